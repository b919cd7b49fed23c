"""The decode loop around a lowered step: start requests as rows, step until none is live, fork and take rows between."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from penstock.backends.runtime.evict import evict, restore
from penstock.backends.runtime.grow import grow
from penstock.backends.runtime.prefill import prefilled
from penstock.ir.errors import PenstockError
from penstock.ir.host import Model
from penstock.ir.noise import fold, request_key
from penstock.ir.rows import State, cat_states, drop_state, put_state, take_state
from penstock.ir.runner import Decoded as Decoded, Request as Request
from penstock.ir.state import PAUSED, RUNNING, STATUS, View
from penstock.passes.build import StepGraph
from penstock.passes.kinds import new_state


class Decoder:
    """A step graph bound to models; ``step`` is the lowered function, or the graph's meaning run node by node."""

    def __init__(
        self, graph: StepGraph, models: Mapping[str, Model], step: Callable[..., tuple[Any, ...]], seed: int = 0
    ) -> None:
        self.graph, self.models, self.step, self.seed = graph, models, step, seed

    def start(self, requests: Sequence[Request]) -> State:
        """A state with one row a request, prompts prefilled where what models compute of them is kept."""
        self.refuse(requests)
        keys = [request.key for request in self.keyed(requests)]
        state = new_state(self.graph.plan, requests, self.models, keys, self.graph.nodes)
        return state if self.graph.plan.kind == "canvas" else prefilled(state)

    def refuse(self, requests: Sequence[Request]) -> None:
        """Raises PenstockError for the first request that has nothing to go on from, or more than a model or a stage can hold."""
        for i, r in enumerate(requests):
            length = r.limit if r.canvas is None else len(r.canvas)
            for stage in (p.stage for p in self.graph.plan.stages):
                stage.refuse(length)
            self._fits(f"prompt {i}", {name: len(r.prompts.get(name, ())) for name in self.models}, length)
            for name, model in self.models.items():
                beyond = max(r.prompts.get(name, ()), default=0)
                if beyond >= model.vocab:
                    what = f"prompt {i}: token {beyond} is none of the {model.vocab} that {model.name} has"
                    raise PenstockError(what, fix="give the model its own tokenizer")

    def generate(self, state: State) -> State:
        """Step until no row is live; paused rows stay as they are."""
        return deque(self.steps(state), maxlen=1).pop()

    def steps(self, state: State) -> Iterator[State]:
        """The state as it is, then after every step until no row is live; each is consumed by asking for the next."""
        yield state
        while RUNNING in state["seq"].status.tolist():  # type: ignore[attr-defined]
            with torch.inference_mode():
                handles = self.step(*(state[name] for name in self.graph.handles))
            state = dict(zip(self.graph.handles, handles, strict=True))
            yield state

    def decode(self, requests: Sequence[Request]) -> list[Decoded]:
        """Start, generate, read."""
        return read(self.generate(self.start(requests)))

    def resume(self, state: State, limit: int | None = None) -> State:
        """Paused rows run again, their texts prefilled where their caches were evicted; ``limit`` is a new, higher one."""
        if limit is not None:
            longest = {name: int(state[f"view:{name}"].prefix_length.max()) for name in self.models}  # type: ignore[attr-defined]
            self._fits("a row", longest, limit)
            state = grow(state, limit, self.graph.nodes)
        return restore(resume(state))

    def fork(self, state: State, n: int) -> State:
        return fork(state, n)

    def take(self, state: State, rows: Sequence[int]) -> State:
        return take(state, rows)

    def drop(self, state: State, rows: Sequence[int]) -> State:
        return drop_state(state, torch.tensor(list(rows), dtype=torch.long))

    def put(self, state: State, rows: Sequence[int], other: State) -> State:
        return put_state(state, torch.tensor(list(rows), dtype=torch.long), other)

    def cat(self, states: Sequence[State]) -> State:
        return cat_states(*states)

    def evict(self, state: State) -> State:
        return evict(state)

    def read(self, state: State) -> list[Decoded]:
        return read(state)

    def keyed(self, requests: Sequence[Request], seed: int | None = None) -> list[Request]:
        """The requests with noise keys; equal ones are told apart by how many came before."""
        seen: Counter[tuple[int, ...]] = Counter()
        made, view = [], next(iter(self.models))
        for r in requests:
            text = (*r.prompts.get(view, ()), *(r.canvas or ()))
            key = request_key(self.seed if seed is None else seed, text, seen[text]) if r.key is None else r.key
            made.append(replace(r, key=key))
            seen[text] += 1
        return made

    def _fits(self, what: str, lengths: Mapping[str, int], limit: int) -> None:
        """Raises PenstockError unless every view's model can hold its prompt and ``limit`` tokens more."""
        for name, model in self.models.items():
            context = getattr(model, "context", None)
            if not lengths[name] and self.graph.plan.kind != "canvas":
                raise PenstockError(f"{what} is empty for view {name}", fix="give at least one token")
            if context is not None and lengths[name] + limit > context:
                raise PenstockError(
                    f"{what}: its {lengths[name]} tokens and {limit} new ones exceed the {context} that {model.name} can hold",
                    fix="shorten the prompt, or lower max_new_tokens",
                )


def read(state: State) -> list[Decoded]:
    """Each row's tokens and status."""
    seq: Any = state["seq"]
    rows = zip(seq.tokens.tolist(), seq.length.tolist(), seq.status.tolist(), seq.steps.tolist(), strict=True)
    return [Decoded(tokens[:length], STATUS[status], steps) for tokens, length, status, steps in rows]


def ended(state: State, row: int, length: int, status: int) -> None:
    """End a row from outside, after some of its tokens; what it had beyond is forgotten."""
    seq: Any = state["seq"]
    seq.tokens[row, length:] = 0
    seq.length[row], seq.status[row] = length, status


def forwards(state: State) -> list[dict[str, float]]:
    """By row and view, the forwards that its steps have made; prefill is none."""
    views = {name.removeprefix("view:"): view for name, view in state.items() if isinstance(view, View)}
    counts = zip(*(view.made.tolist() for view in views.values()), strict=True)
    return [dict(zip(views, row, strict=True)) for row in counts]


def take(state: State, rows: Sequence[int]) -> State:
    """These rows as a state of their own."""
    return take_state(state, torch.tensor(list(rows)))


def fork(state: State, n: int) -> State:
    """Every row n times in place; child 0 keeps its key, the others derive theirs. The parent state is consumed.

    Fork once, as wide as wanted: two forks without a token between them give some children the same key.
    """
    count = len(state["seq"].key)  # type: ignore[attr-defined]
    forked = take_state(state, torch.arange(count).repeat_interleave(n))
    seq: Any = forked["seq"]
    seq.key = derived(seq.key, seq.length, torch.arange(n).repeat(count))
    return forked


def derived(key: Tensor, length: Tensor, child: Tensor) -> Tensor:
    """Keys of the children of a fork; with the place of the fork in them, no child of child 0 gets a key of its uncles."""
    triples = zip(key.tolist(), length.tolist(), child.tolist(), strict=True)
    return torch.tensor([fold(fold(k, n), c) >> 1 if c else k for k, n, c in triples])


def resume(state: State) -> State:
    """Paused rows run again."""
    seq: Any = state["seq"]
    seq.status = torch.where(seq.status == PAUSED, RUNNING, seq.status)
    return state
