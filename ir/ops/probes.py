"""Ops on probes: nodes that are scored beside a draft, never accepted, and told apart from it again by column."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.ir.op import op


@op()
def with_probes(
    token: Int[Tensor, "B N"], embeds: Float[Tensor, "*B P W"]
) -> tuple[Int[Tensor, "B M"], Float[Tensor, "B M W"], Bool[Tensor, "B M"]]:
    """``(tokens, embeds, use_embed)`` of a draft and then its probes, m = n + p; probes have no token."""
    (rows, nodes), probes = token.shape, embeds.shape[-2]
    vectors = torch.cat([embeds.new_zeros(rows, nodes, embeds.shape[-1]), embeds.expand(rows, -1, -1)], 1)
    tokens = torch.cat([token, token.new_zeros(rows, probes)], 1)
    return tokens, vectors, (torch.arange(nodes + probes) >= nodes).expand(rows, -1)


@op()
def apart(values: Any, sites: int) -> tuple[Any, Any]:
    """What a forward of root, draft and probes answered, ``[b,s+p,...]``: at the sites, and at the probes."""
    return pytree.tree_map(lambda x: x[:, :sites], values), pytree.tree_map(lambda x: x[:, sites:], values)


@op()
def by_site(values: Float[Tensor, "B P V"], chains: tuple[tuple[int, ...], ...]) -> Float[Tensor, "B S M V"]:
    """What each site's probes answered, first to last; zeros where a site has fewer than the most."""
    most, none = max(map(len, chains)), values.shape[1]
    table = torch.tensor([[*chain, *[none] * (most - len(chain))] for chain in chains])
    return torch.cat([values, torch.zeros_like(values[:, :1])], 1)[:, table]


@op()
def flattened(tokens: Int[Tensor, "B S K"]) -> Int[Tensor, "B M"]:
    """k tokens a site as one row of nodes, site by site."""
    return tokens.flatten(1)


@op()
def grouped(values: Float[Tensor, "B M V"], k: int) -> Float[Tensor, "B S K V"]:
    """What k nodes a site answered, by site."""
    return values.reshape(len(values), -1, k, values.shape[-1])


def chains(parents: tuple[int, ...], nodes: int) -> tuple[tuple[int, ...], ...]:
    """By site of a draft of ``nodes`` nodes, the probes below it in order; probe j is node ``nodes + j``, site s node s - 1."""
    found: list[list[int]] = [[] for _ in range(1 + nodes)]
    for probe, parent in enumerate(parents):
        above = found[parent + 1] if parent < nodes else next(c for c in found if c and c[-1] == parent - nodes)
        if above and parent < nodes:
            raise ValueError(f"probe {probe} starts a second chain below node {parent}; a site has one")
        above.append(probe)
    return tuple(map(tuple, found))
