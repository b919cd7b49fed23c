"""What a test of a model adapter needs: tiny random models, and feeds spelled out token by token."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from penstock.ir.host import Feed

VOCAB, WINDOW = 101, 6
KINDS: dict[str, dict[str, object]] = {
    "llama": {},
    "qwen2": {"tie_word_embeddings": True},
    "mistral": {"sliding_window": WINDOW},
    "gemma2": {"sliding_window": WINDOW, "head_dim": 16, "attn_logit_softcapping": 5.0},
}
"""Full attention; biases and tied embeddings; windows on all layers; windows on every other layer, and softcapping."""


def tiny_model(kind: str, seed: int = 0) -> PreTrainedModel:
    """A random model of four layers, built offline, with weights large enough for attention to matter."""
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4}
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    config = AutoConfig.for_model(kind, **shape, num_key_value_heads=2, vocab_size=VOCAB, **ends, **KINDS[kind])
    with torch.random.fork_rng():  # the first weights are of the global generator
        torch.manual_seed(seed)
        # eager, the reference: sdpa drops softcapping without a word in some versions of transformers.
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        spread = weight.shape[-1] ** -0.5 if weight.ndim > 1 else 0.1
        weight.data += torch.randn(weight.shape, generator=generator) * spread
    return model


def chain(tokens: Sequence[Sequence[int]], cached: Sequence[int], slots: int, void: int = 0) -> Feed:
    """Each row's next tokens as a chain after its ``cached`` slots, right-aligned behind at least ``void`` voids."""
    n = max(map(len, tokens)) + void
    feed = blank(len(tokens), n, slots)
    for b, row in enumerate(tokens):
        for j, token in enumerate(row):
            column, place = n - len(row) + j, cached[b] + j
            _fill(feed, b, column, token, place, place, range(place + 1))
    return feed


def tree(tokens: Sequence[Sequence[int]], parents: Sequence[int], cached: Sequence[int], slots: int) -> Feed:
    """Node i of row b at slot ``cached[b] + i``, seeing the committed text and its ancestors."""
    feed = blank(len(tokens), len(parents), slots)
    for b, row in enumerate(tokens):
        for node, token in enumerate(row):
            line = path(parents, node)
            seen = [*range(cached[b]), *(cached[b] + i for i in line)]
            _fill(feed, b, node, token, cached[b] + node, cached[b] + len(line) - 1, seen)
    return feed


def path(parents: Sequence[int], node: int) -> list[int]:
    """The nodes from the one below the root to this one."""
    return [*(path(parents, parents[node]) if parents[node] >= 0 else []), node]


def blank(rows: int, columns: int, slots: int) -> Feed:
    """A feed of void columns."""
    visible = torch.zeros(rows, columns, slots + 1, dtype=torch.bool)
    visible[:, :, slots] = True
    ids = torch.zeros(rows, columns, dtype=torch.int64)
    return Feed(ids, torch.full_like(ids, slots), torch.zeros_like(ids), visible)


def keep(cached: Sequence[int], nodes: Sequence[Sequence[int]], slots: int) -> tuple[Tensor, Tensor]:
    """Arguments of `Cache.move` that append each row's accepted nodes, as many as they are, to its text."""
    most = max(map(len, nodes))
    source = torch.full((len(nodes), most), slots)
    target = source.clone()
    for b, line in enumerate(nodes):
        source[b, : len(line)] = torch.tensor(line, dtype=torch.int64) + cached[b]
        target[b, : len(line)] = torch.arange(len(line)) + cached[b]
    return source, target


def _fill(feed: Feed, b: int, column: int, token: int, slot: int, position: int, seen: Sequence[int]) -> None:
    feed.ids[b, column], feed.slots[b, column], feed.positions[b, column] = token, slot, position
    feed.visible[b, column] = False
    feed.visible[b, column, list(seen)] = True
