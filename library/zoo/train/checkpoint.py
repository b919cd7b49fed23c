"""Checkpoints: tensors in safetensors, the rest in JSON, and never half of one."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from penstock.library.zoo.train.optimizer import Optimizers

KEPT = 2


def latest(out: Path) -> Path | None:
    """The newest complete checkpoint under ``out``."""
    return max(out.glob("step-*[0-9]"), default=None)


def save(out: Path, step: int, model: PreTrainedModel, optimizers: Optimizers, state: dict[str, Any]) -> Path:
    """Write a checkpoint beside the others, then give it its name: a kill leaves the older ones whole."""
    final, partial = out / f"step-{step:07d}", out / f"step-{step:07d}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    save_file(optimizers.tensors(), partial / "optimizer.safetensors")
    (partial / "state.json").write_text(json.dumps({"step": step, **state}, indent=1))
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    for old in sorted(out.glob("step-*[0-9]"))[:-KEPT]:
        shutil.rmtree(old)
    return final


def load_model(checkpoint: Path) -> PreTrainedModel:
    """The model as it was trained, in float32."""
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)


def load_optimizers(checkpoint: Path, optimizers: Optimizers) -> dict[str, Any]:
    """Fill ``optimizers`` in place; the rest of the state is returned."""
    optimizers.load(load_file(checkpoint / "optimizer.safetensors"))
    return json.loads((checkpoint / "state.json").read_text())
