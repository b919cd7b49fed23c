"""Checkpoints: tensors in safetensors, the rest in JSON, and never half of one."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from penstock.library.zoo import whole
from penstock.library.zoo.train.optimizer import Optimizers

KEPT = 2


def latest(out: Path) -> Path | None:
    """The newest complete checkpoint under ``out``."""
    return max(out.glob("step-*[0-9]"), default=None)


def save(out: Path, step: int, model: PreTrainedModel, optimizers: Optimizers, state: dict[str, Any]) -> Path:
    """Write a checkpoint, from whatever device; older ones but for the last go when it is there."""
    final = out / f"step-{step:07d}"
    with whole.folder(final) as partial:
        model.save_pretrained(partial)
        save_file(optimizers.tensors(), partial / "optimizer.safetensors")
        (partial / "state.json").write_text(json.dumps({"step": step, **state}, indent=1))
    for old in sorted(out.glob("step-*[0-9]"))[:-KEPT]:
        whole.remove(old)
    return final


def state(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says about its run."""
    told: dict[str, Any] = json.loads((checkpoint / "state.json").read_text())
    return told


def load_model(checkpoint: Path) -> PreTrainedModel:
    """The model as it was trained, in float32."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    return model


def load_optimizers(checkpoint: Path, optimizers: Optimizers) -> None:
    """Fill ``optimizers`` in place."""
    optimizers.load(load_file(checkpoint / "optimizer.safetensors"))
