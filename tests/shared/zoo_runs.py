"""Tiny training runs: what they learn from is numbers that count up, so that they need no tokenizer."""

import json

import torch

from penstock.library.zoo.train.batches import Batch
from penstock.library.zoo.train.loop import Training
from penstock.library.zoo.train.plans import Plan, Shape
from penstock.library.zoo.train.recipes import RECIPES

TINY = Plan("tiny", Shape(16, 1, 2, 2, 32), "language", steps=6, warmup=2, rows=2, length=24)


def numbers(step):
    """Rows that count up from a place the step decides."""
    return Batch((torch.arange(25) + 7 * step + torch.tensor([[20], [900]])) % 4096, torch.ones(2, 25))


def begin(out, plan=TINY, batch=numbers, **rest):
    return Training(plan, plan.steps, out, batch, RECIPES[plan.recipe](plan, 2), **rest)


def curve(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]
