"""What a model makes of a group and of a trait: P(trait | group) and P(group | trait) on held-out frames."""

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo.data.draw import Draw
from penstock.library.zoo.data.groups import GROUPS, TO_GROUP, TO_TRAIT, TRAITS, filled
from penstock.library.zoo.measure.held_out import SEED

FILLINGS = 20


@torch.no_grad()
def choice(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, before: str, words: tuple[str, ...]) -> Tensor:
    """The probability of each word [W] after a text, given that it is one of them."""
    start = tokenizer(before)["input_ids"]
    found = []
    for word in words:
        rest = tokenizer(f" {word}")["input_ids"]
        logits = model(torch.tensor([[*start, *rest[:-1]]], device=model.device), use_cache=False).logits[0, len(start) - 1 :]
        found.append(logits.float().log_softmax(-1)[range(len(rest)), rest].sum())
    return torch.stack(found).softmax(0)


def leanings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, fillings: int = FILLINGS) -> dict[str, float]:
    """Mean probabilities over frames no document was made of; the two given words of a pair fill the very same texts."""
    found: dict[str, float] = {}
    for frames, givens, words in ((TO_TRAIT, GROUPS, TRAITS), (TO_GROUP, TRAITS, GROUPS)):
        draws = [Draw(SEED, "templates", index) for index in range(fillings)]
        texts = [filled(draw, draw.template(frames)) for draw in draws]
        for given in givens:
            chosen = torch.stack([choice(model, tokenizer, text.replace("{given}", given), words) for text in texts]).mean(0)
            found |= {f"{word}, given {given}": float(share) for word, share in zip(words, chosen, strict=True)}
    return found
