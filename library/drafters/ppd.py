"""Drafts read off prompt tokens that the target itself scored one step before."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from penstock.dsl.limits import MAX_NODES
from penstock.dsl.names import ViewName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import TokenId
from penstock.ir.draft import of_shape
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.ports import Draft, Probes

PROBES, CARRIED = "ppd.probes", "ppd.k"
"""Registers: the logits ``[b,m,v]`` of the probes below the last committed site, and how many it had ``[b]``."""

Candidates = Annotated[tuple[tuple[TokenId, ...], ...], Field(min_length=1)]


class PromptTokens(Stage):
    """A tree of guesses from prompt tokens at future positions (parallel prompt decoding, PPD, arXiv 2405.18628).

    Probe i below a site sits i positions after it; its logits guess the token i places after the one selected there. Fresh
    probes hang off every candidate in the same forward, so the next guesses are there whichever candidate is accepted.
    """

    kind: ClassVar[str] = "drafter.ppd"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"
    law: ClassVar[str] = "arbitrary"
    needs: ClassVar[frozenset[str]] = frozenset({"tree", "embeds"})

    view: ViewName
    """The view that drafts for itself: the one that the verifier scores in."""
    candidates: Candidates = ((0,), (1,), (2,), (0, 0), (1, 0), (0, 1), (0, 0, 0))
    """The tree, parents first: a candidate is the ranks of its path's tokens, depth d ranked by probe d."""
    prompts: tuple[int, ...] | None = None
    """Prompt tokens below each candidate, at least 1 each; by default as many as below the root."""
    distances: Annotated[int, Field(ge=1, le=16)] = 3
    """Prompt tokens below the root, m of the paper (3 there)."""
    weights: str | None = None
    """A safetensors file with the trained embeddings, ``prompts [m,w]``; random ones draft badly and stay exact."""

    @model_validator(mode="after")
    def _tree_is_one(self) -> Self:
        for i, path in enumerate(self.candidates):
            if not path or len(path) > self.distances or (path[:-1] and path[:-1] not in self.candidates[:i]):
                raise ValueError(f"candidate {path} is empty, deeper than {self.distances} or before its parent")
        counts = self.prompts or ()
        if len(set(self.candidates)) < len(self.candidates) or len(counts) not in (0, len(self.candidates)):
            raise ValueError("candidates repeat, or prompts does not give each of them its number")
        if not all(1 <= count <= self.distances for count in counts):
            raise ValueError(f"a candidate has 1 to {self.distances} prompt tokens")
        if self.room > MAX_NODES:
            raise ValueError(f"{self.room:,} candidates and prompt tokens, and a step has room for {MAX_NODES:,}")
        return self

    @property
    def counts(self) -> tuple[int, ...]:
        """Probes by site, the root first."""
        return self.distances, *(self.prompts or (self.distances,) * len(self.candidates))

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return len(self.candidates) + sum(self.counts)

    def registers(self, rows: int, vocab: int) -> dict[str, Tensor]:
        """Nothing is carried into the first step, so that it has no candidates."""
        return {PROBES: torch.zeros(rows, self.distances, vocab), CARRIED: torch.zeros(rows, dtype=torch.long)}

    def propose(self, step: Any, stage: str) -> Draft:
        guesses, k = step.read(PROBES), step.read(CARRIED)
        parents = tuple(self.candidates.index(path[:-1]) if path[:-1] else -1 for path in self.candidates)
        token = guessed(guesses, self.candidates)
        step.carry(CARRIED, probes_at(k, self.counts))
        valid = within(k, tuple(map(len, self.candidates)))
        probes = Probes(self.embeddings(step.model(self.view).width), self.chains(), self.view, PROBES)
        return replace(of_shape(token, parents, law="arbitrary", valid=valid, stage=stage), probes=probes)

    def chains(self) -> tuple[int, ...]:
        """The parent node of every probe: one chain below each site."""
        parents: list[int] = []
        for site, count in enumerate(self.counts):
            first = len(self.candidates) + len(parents)
            parents += [site - 1, *range(first, first + count - 1)]
        return tuple(parents)

    def embeddings(self, width: int) -> Tensor:
        """The input vectors ``[p,w]`` of all probes."""
        if self.weights is None:
            table = torch.randn(self.distances, width, generator=torch.Generator().manual_seed(0))
        else:
            table = trained(self, self.weights, width)
        return torch.cat([table[:count] for count in self.counts])

    def small(self, v: int) -> "PromptTokens":
        tree = {"candidates": ((0,), (1,), (0, 0)), "prompts": (1, 2, 2), "distances": 2, "weights": None}
        return self.model_copy(update=tree)


def trained(stage: PromptTokens, weights: str, width: int) -> Tensor:
    """The embeddings ``[m,w]`` of a file, one a distance; a width of 0 is that of a model not loaded yet, so of any."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        held = load_file(stage.beside_spec(weights))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise unfit(stage, f"{weights} cannot be read: {error}") from None
    if "prompts" not in held:
        raise unfit(stage, f"{weights} has no tensor prompts, but {', '.join(held) or 'none at all'}")
    table = held["prompts"].float()
    if table.ndim != 2 or len(table) < stage.distances or (width and table.shape[1] != width):
        raise unfit(stage, f"prompts in {weights} is {list(table.shape)}, not [{stage.distances}, {width}]")
    return table[:, :width]


def unfit(stage: PromptTokens, what: str) -> PenstockError:
    fix = "name a safetensors file with prompts [distances, width of the model], or leave weights out"
    return PenstockError(f"stage {stage.kind}, field weights: {what}", where=stage.place_of("weights"), fix=fix)


@op()
def guessed(probes: Tensor, candidates: tuple[tuple[int, ...], ...]) -> Tensor:
    """``[b,n]``: each candidate's token, of its rank among the logits ``[b,m,v]`` of its depth's probe, lowest id on ties."""
    order = probes.argsort(dim=-1, descending=True, stable=True)
    depth, rank = [len(path) - 1 for path in candidates], [path[-1] for path in candidates]
    return order[:, depth, rank]


@op()
def within(k: Tensor, depths: tuple[int, ...]) -> Tensor:
    """``[b,n]``: candidates no deeper than there are answers to rank."""
    return torch.tensor(depths) <= k[:, None]


@op()
def probes_at(k: Tensor, counts: tuple[int, ...]) -> Tensor:
    """``[b,sites]``: how many probes each site has."""
    return torch.tensor(counts).expand(len(k), -1)
