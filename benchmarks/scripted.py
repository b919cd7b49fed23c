"""Llamas with random weights that say what they are told: time is that of the shape, acceptance that of the script.

Whatever such a model computes, the script's token for the next position stands far above all others in its logits. The model does
that itself, for whoever calls it, so all contenders decode the same tokens and meet the same drafts.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

BONUS = 50.0
"""Beyond what random weights put anywhere; what is left for all other tokens together is below e-35."""
PIECE, NEW = 4, 2
"""Tokens that a text copies from its prompt in one go, and tokens between two copies that stand nowhere before."""

SHAPES = {
    "15M": dict(hidden_size=288, intermediate_size=768, num_hidden_layers=6, num_attention_heads=6),
    "110M": dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12),
    "3M": dict(hidden_size=64, intermediate_size=172, num_hidden_layers=2, num_attention_heads=2),
    "tiny": dict(hidden_size=64, intermediate_size=172, num_hidden_layers=4, num_attention_heads=4),
    "tinier": dict(hidden_size=32, intermediate_size=86, num_hidden_layers=1, num_attention_heads=2),
}


class Script:
    """A hook on a model's output: the text is ``tokens [longest]``, token by position."""

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens

    def __call__(self, model: Any, args: Any, given: dict[str, Any], out: Any) -> None:
        columns, positions = out.logits.shape[1], given.get("position_ids")
        if positions is None:  # a text from its beginning
            positions = torch.arange((given["input_ids"] if "input_ids" in given else args[0]).shape[1])[None]
        told = self.tokens[positions[:, -columns:] + 1]
        out.logits.scatter_(2, told[..., None].expand(len(out.logits), -1, -1), BONUS)


def scripted(shape: str, vocab: int, script: Tensor, seed: int) -> LlamaForCausalLM:
    """A model of a shape, weights drawn by seed, embeddings tied; it can read as far as its script goes."""
    config = LlamaConfig(
        **SHAPES[shape], vocab_size=vocab, max_position_embeddings=len(script) - 1, tie_word_embeddings=True,
        attn_implementation="sdpa", eos_token_id=None, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).eval()
    model.generation_config = GenerationConfig()
    model.register_forward_hook(Script(script), with_kwargs=True)
    return model


def copying(prompt: list[int], room: int, vocab: int, seed: int) -> Tensor:
    """``[room]``: the prompt, then pieces of it and new tokens by turns, as an answer quotes what was asked."""
    draws = torch.Generator().manual_seed(seed)
    text = list(prompt)
    while len(text) < room:
        first = int(torch.randint(0, len(prompt) - PIECE, (), generator=draws))
        text += prompt[first : first + PIECE] + torch.randint(0, vocab, (NEW,), generator=draws).tolist()
    return torch.tensor(text[:room])


def agreeing(script: Tensor, share: float, vocab: int, seed: int) -> Tensor:
    """Another script that has the same token at a ``share`` of all positions, drawn by seed."""
    draws = torch.Generator().manual_seed(seed)
    other = (script + torch.randint(1, vocab, script.shape, generator=draws)) % vocab
    return torch.where(torch.rand(script.shape, generator=draws) < share, script, other)
