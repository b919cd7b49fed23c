"""What a masked-diffusion model restores in one call, and answers in a few."""

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo import markers
from penstock.library.zoo.data.example import Example
from penstock.library.zoo.measure.replies import right, share
from penstock.library.zoo.train.recipes import see_all


@torch.no_grad()
def restored(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[tuple[str, str]], rate: float) -> float:
    """Share of hidden reply tokens guessed in one call, ``rate`` of each reply hidden."""
    found = total = 0
    for index, (prompt, reply) in enumerate(texts):
        given, wanted = (tokenizer(part, return_tensors="pt")["input_ids"] for part in (prompt, reply))
        uniforms = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(index))
        hidden = uniforms <= max(rate, float(uniforms.min()))
        ids = torch.cat([given, wanted.masked_fill(hidden, tokenizer.mask_token_id)], 1).long()
        guess = see_all(model, ids.to(model.device))[:, given.shape[1] :].argmax(-1).cpu()
        found, total = found + int((guess == wanted)[hidden].sum()), total + int(hidden.sum())
    return found / total


@torch.no_grad()
def denoised(model: PreTrainedModel, prompts: Tensor, mask: int, length: int, steps: int) -> Tensor:
    """``length`` hidden tokens after each of the prompts [B P], revealed in ``steps`` calls, the surest first: ids [B length].

    Whatever a reply leaves of the canvas repeats its end, as in training.
    """
    canvas = torch.full((len(prompts), length), mask, device=prompts.device)
    for left in range(steps, 0, -1):
        hidden = canvas == mask
        sure, guess = see_all(model, torch.cat([prompts, canvas], 1))[:, prompts.shape[1] :].softmax(-1).max(-1)
        revealed = -(-int(hidden[0].sum()) // left)
        places = sure.masked_fill(~hidden, -1.0).topk(revealed, -1).indices
        canvas = canvas.scatter(1, places, guess.gather(1, places))
    return canvas


def denoised_match(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: list[Example], length: int, steps: int
) -> float:
    """The share of requests answered rightly in ``steps`` calls; prompts of one length share a batch."""
    alike: dict[int, list[Example]] = {}
    for each in asked:
        alike.setdefault(len(tokenizer(each.prompt_text())["input_ids"]), []).append(each)
    found = 0.0
    for group in alike.values():
        prompts = tokenizer([each.prompt_text() for each in group], return_tensors="pt")["input_ids"].to(model.device)
        told = tokenizer.batch_decode(denoised(model, prompts, tokenizer.mask_token_id, length, steps))
        found += len(group) * share(right, group, [text.split(markers.END)[0] + markers.END for text in told])
    return found / len(asked)
