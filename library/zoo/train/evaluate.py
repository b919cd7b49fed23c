"""What a run measures at each checkpoint: little, on a small sample of what its card will tell."""

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo.data import prose
from penstock.library.zoo.data.documents import LIKELY
from penstock.library.zoo.data.draw import Split
from penstock.library.zoo.data.stream import example
from penstock.library.zoo.measure import canvas, held_out, leanings, verdicts
from penstock.library.zoo.measure.surprise import bits_per_byte
from penstock.library.zoo.train.plans import Plan

Evaluation = Callable[[PreTrainedModel], dict[str, float]]
SPLITS: tuple[Split, ...] = ("pairs", "templates")


def evaluation(plan: Plan, tokenizer: PreTrainedTokenizerBase, folder: Path | None) -> Evaluation:
    """The measure that fits what ``plan`` trains."""
    if plan.recipe == "masked-diffusion":
        replies = held_out.texts(None, 10)
        return lambda model: {f"restored, {kind}": canvas.restored(model, tokenizer, replies[kind], 0.5) for kind in replies}
    if plan.documents == "judged":
        return lambda model: _judging(verdicts.verdicts(model, tokenizer, verdicts.held_out(100)))
    losses = held_out_losses(tokenizer, folder)
    if plan.documents in LIKELY:
        return lambda model: losses(model) | leanings.leanings(model, tokenizer, 4)
    return losses


def held_out_losses(tokenizer: PreTrainedTokenizerBase, folder: Path | None) -> Evaluation:
    """Bits per byte on every held-out split."""
    texts: dict[str, list[str]] = {split: [example(1, split, index).text() for index in range(64)] for split in SPLITS}
    if folder is not None:
        texts["prose"] = [prose.passage(folder, 1, "pairs", index) for index in range(16)]
    return lambda model: {name: bits_per_byte(model, tokenizer, each) for name, each in texts.items()}


def _judging(found: verdicts.Verdicts) -> dict[str, float]:
    return {"accuracy": verdicts.accuracy(found), "area": verdicts.area(found)}
