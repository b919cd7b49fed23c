"""The training loop: one step after the other, until the last step, Ctrl-C, a kill or a NaN.

A kill at any moment, of a step or of saving, loses nothing but the steps after the last checkpoint, and those are taken again
exactly as they were: a batch is a function of its step, and whatever is on disk under its own name is whole.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from penstock.ir.errors import PenstockError
from penstock.library.zoo import whole
from penstock.library.zoo.train import beginning, checkpoint, log, optimizer
from penstock.library.zoo.train.batches import Batch
from penstock.library.zoo.train.interrupt import interrupts
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
    device: str = "cpu"
    about: dict[str, Any] = field(default_factory=dict)
    """What else a checkpoint tells of its run."""
    model: PreTrainedModel = field(init=False)
    optimizers: Optimizers = field(init=False)
    step: int = field(init=False, default=0)
    seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Begin from the newest checkpoint in ``out``, or as the plan says."""
        beginning.folder(self.out)
        whole.sweep(self.out, "step-*")
        found = checkpoint.latest(self.out)
        state = beginning.resumed(self.plan, self.about, found) if found else {}
        model = checkpoint.load_model(found) if found else beginning.model(self.plan)
        self.model = model.to(self.device)  # type: ignore[arg-type]
        optimizer.freeze(self.model, self.plan.frozen)
        self.optimizers = Optimizers(self.plan, self.model)
        if found:
            checkpoint.load_optimizers(found, self.optimizers)
            self.step, self.seconds = state["step"], state["seconds"]
        log.forget_after(self.out, self.step)

    def run(self, until: int | None = None) -> Path:
        """Train to the last step (or ``until``) and leave a checkpoint there; on Ctrl-C leave one and raise KeyboardInterrupt."""
        self.model.train()
        began = saved = time.monotonic()
        last = self.steps if until is None else min(until, self.steps)
        with interrupts() as stopped:
            while self.step < last and not stopped():
                line = self.learn()
                now = time.monotonic()
                self.seconds, began = self.seconds + now - began, now
                self._write({**line, "seconds": round(self.seconds, 2)})
                if now - saved > self.every and self.step < last:
                    self.keep()
                    began = saved = time.monotonic()
            kept = self.keep(measured=self.step >= last)
            if stopped():
                raise KeyboardInterrupt
        return kept

    def learn(self) -> dict[str, Any]:
        """One step; a loss or gradient that is no number stops before it can touch the weights."""
        rate = optimizer.rate(self.plan, self.step, self.steps)
        with self._precision():
            loss = self.recipe(self.model, self.batch(self.step).to(self.device), self.step)
        self.optimizers.zero_grad()
        torch.autograd.backward(loss)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        if not (math.isfinite(float(loss.detach())) and math.isfinite(norm)):
            self._stop(float(loss.detach()), norm)
        self.optimizers.step(rate)
        self.step += 1
        return {"step": self.step, "loss": float(loss.detach()), "rate": rate, "norm": norm}

    def keep(self, measured: bool = True) -> Path:
        """Evaluate, then write a checkpoint, unless this step has one."""
        found = checkpoint.latest(self.out)
        if found and checkpoint.state(found)["step"] == self.step:
            return found
        self.model.train(False)
        with torch.no_grad():
            held_out = self.evaluate(self.model) if measured else {}
        self.model.train()
        if held_out:
            self._write({"step": self.step, "held_out": held_out})
        state = {"seconds": self.seconds, "steps": self.steps, "held_out": held_out, "plan": self.plan.record(), **self.about}
        return checkpoint.save(self.out, self.step, self.model, self.optimizers, state)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.plan.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device, dtype=getattr(torch, self.plan.precision))

    def _stop(self, loss: float, norm: float) -> None:
        kept = checkpoint.latest(self.out)
        raise PenstockError(
            f"step {self.step + 1} has loss {loss} and gradient norm {norm}; stopped before it changed the weights",
            where=str(self.out),
            fix=f"the last good checkpoint is {kept}; resume with a lower learning rate",
        )

    def _write(self, line: dict[str, Any]) -> None:
        log.append(self.out, line)
        self.report(line)
