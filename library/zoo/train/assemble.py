"""From a plan to a run of it: its documents, its recipe, its measures, its device."""

import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from transformers import AutoTokenizer
from transformers.utils import logging

from penstock.ir.errors import PenstockError
from penstock.library.zoo import tokenizer_path
from penstock.library.zoo.data import prose
from penstock.library.zoo.data.documents import DOCUMENTS
from penstock.library.zoo.train import batches, evaluate
from penstock.library.zoo.train.loop import Training
from penstock.library.zoo.train.plans import Plan
from penstock.library.zoo.train.recipes import RECIPES

Device = Literal["cpu", "cuda"]


def training(
    plan: Plan,
    out: Path,
    steps: int | None = None,
    text: Path | None = None,
    device: Device = "cpu",
    every: float = 180.0,
) -> Training:
    """A run of ``plan``, resumed where ``out`` holds a checkpoint of it; on a GPU in bfloat16 where that is safe."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # of every load and save; the run's own is enough
    text = text if plan.prose > 0 else None
    if text is not None:
        check(text)
    # A document may be longer than any context; its row cuts it.
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path(), model_max_length=1 << 30)
    plan = replace(plan, precision="bfloat16") if available(device) == "cuda" else plan
    document = DOCUMENTS[plan.documents](plan.seed, "train", plan.prose, text)
    last = steps or plan.steps

    def batch(step: int) -> batches.Batch:
        return batches.batch(tokenizer, document, step, *plan.measures(step, last))

    return Training(
        plan,
        last,
        out,
        batch,
        RECIPES[plan.recipe](plan, tokenizer.mask_token_id),
        evaluate.evaluation(plan, tokenizer, text),
        every,
        device=device,
        about={"machine": machine(device), "text": sorted(each.name for each in text.glob("*.txt")) if text else []},
    )


def available(device: Device) -> Device:
    """The device, if this machine has it. Raises PenstockError."""
    if device == "cuda" and not torch.cuda.is_available():
        raise PenstockError("torch finds no CUDA device", where="--device cuda", fix="leave --device out to train on the CPU")
    return device


def check(text: Path) -> None:
    """Raise PenstockError unless a folder holds enough text to train on and to hold some out."""
    for held in (False, True):
        prose.blocks(text, held)


def machine(device: Device) -> str:
    """What a run runs on, in words."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)} of a {os.cpu_count()}-core {platform.machine()} CPU"
