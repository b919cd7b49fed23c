"""The training loop: one step after the other, until the last step, a kill or a NaN."""

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from penstock.ir.errors import PenstockError
from penstock.library.zoo.train import checkpoint, optimizer
from penstock.library.zoo.train.batches import Batch
from penstock.library.zoo.train.optimizer import Optimizers
from penstock.library.zoo.train.plans import Plan
from penstock.library.zoo.train.recipes import Recipe

Report = Callable[[dict[str, Any]], None]


@dataclass
class Training:
    """A training run in the folder ``out``: what is learnt, from what, and how far it has come."""

    plan: Plan
    steps: int
    out: Path
    batch: Callable[[int], Batch]
    recipe: Recipe
    evaluate: Callable[[PreTrainedModel], dict[str, float]] = lambda model: {}
    every: float = 180.0
    report: Report = lambda line: None
    model: PreTrainedModel = field(init=False)
    optimizers: Optimizers = field(init=False)
    step: int = field(init=False, default=0)
    seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Begin from the newest checkpoint in ``out``, or from the seed."""
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.plan.seed)
        found = checkpoint.latest(self.out)
        self.model = checkpoint.load_model(found) if found else AutoModelForCausalLM.from_config(self.plan.config())
        optimizer.freeze(self.model, self.plan.frozen)
        self.optimizers = Optimizers(self.plan, self.model)
        if found:
            state = checkpoint.load_optimizers(found, self.optimizers)
            self.step, self.seconds = state["step"], state["seconds"]
        self._forget_after(self.step)

    def run(self, until: int | None = None) -> Path:
        """Train to the last step (or ``until``) and leave a checkpoint there."""
        self.model.train()
        began = saved = time.monotonic()
        last = self.steps if until is None else min(until, self.steps)
        while self.step < last:
            line = self.learn()
            now = time.monotonic()
            self.seconds, began = self.seconds + now - began, now
            self._write({**line, "seconds": round(self.seconds, 2)})
            if now - saved > self.every and self.step < last:
                self.keep()
                began = saved = time.monotonic()
        return self.keep()

    def learn(self) -> dict[str, Any]:
        """One step; a loss or gradient that is no number stops before it can touch the weights."""
        rate = optimizer.rate(self.plan, self.step, self.steps)
        with self._precision():
            loss = self.recipe(self.model, self.batch(self.step), self.step)
        self.optimizers.zero_grad()
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        if not (math.isfinite(float(loss.detach())) and math.isfinite(norm)):
            self._stop(float(loss.detach()), norm)
        self.optimizers.step(rate)
        self.step += 1
        return {"step": self.step, "loss": float(loss.detach()), "rate": rate, "norm": norm}

    def keep(self) -> Path:
        """Evaluate, then write a checkpoint."""
        self.model.eval()
        with torch.no_grad():
            held_out = self.evaluate(self.model)
        self.model.train()
        if held_out:
            self._write({"step": self.step, "held_out": held_out})
        state = {"seconds": self.seconds, "steps": self.steps, "held_out": held_out, "plan": self.plan.record()}
        return checkpoint.save(self.out, self.step, self.model, self.optimizers, state)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.plan.precision == "float32":
            return nullcontext()
        return torch.autocast("cpu", dtype=getattr(torch, self.plan.precision))

    def _stop(self, loss: float, norm: float) -> None:
        kept = checkpoint.latest(self.out)
        raise PenstockError(
            f"step {self.step + 1} has loss {loss} and gradient norm {norm}; stopped before it changed the weights",
            where=str(self.out),
            fix=f"the last good checkpoint is {kept}; resume with a lower learning rate",
        )

    def _write(self, line: dict[str, Any]) -> None:
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        self.report(line)

    def _forget_after(self, step: int) -> None:
        """Drop the log lines of steps that will be taken again."""
        log = self.out / "log.jsonl"
        if log.exists():
            kept = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= step]
            log.write_text("".join(line + "\n" for line in kept))
