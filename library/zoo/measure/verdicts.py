"""How well a reward model tells right from wrong, at the steps of held-out solutions."""

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo.data import judged
from penstock.library.zoo.data.draw import Draw
from penstock.library.zoo.data.judged import Judged
from penstock.library.zoo.measure.held_out import SEED
from penstock.library.zoo.reward import Reward

Verdicts = list[tuple[Judged, Tensor]]


def held_out(count: int) -> list[Judged]:
    """Solutions of held-out problems, right and wrong."""
    return [judged.example(Draw(SEED, "pairs", index)) for index in range(count)]


def verdicts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, solutions: list[Judged]) -> Verdicts:
    """Each solution with what the model says after each of its pieces."""
    reward = Reward(model)
    found = []
    for solution in solutions:
        lengths = [len(tokenizer(text)["input_ids"]) for text in (solution.prompt, *solution.pieces)]
        ids = tokenizer(solution.prompt + "".join(solution.pieces), return_tensors="pt")["input_ids"]
        ends = torch.tensor(lengths).cumsum(0)[1:] - 1
        found.append((solution, reward.after_each(ids.to(model.device))[0].cpu()[ends]))
    return found


def accuracy(found: Verdicts) -> float:
    """The share of steps that are called what they are."""
    said, good = flat(found)
    return float(((said > 0.5) == good).float().mean())


def area(found: Verdicts) -> float:
    """The probability that a right text scores above a wrong one, ties counting half (area under the ROC curve)."""
    said, good = flat(found)
    above = said[good][:, None] - said[~good][None]
    return float((above.sign() + 1).mean() / 2)


def flat(found: Verdicts) -> tuple[Tensor, Tensor]:
    """Scores and truths of all steps."""
    return torch.cat([said for _, said in found]), torch.tensor([good for solution, _ in found for good in solution.good])
