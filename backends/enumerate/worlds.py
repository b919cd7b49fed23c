"""Run a step in all worlds at once: worlds are groups of batch rows, one row enumerated, its mates raced.

A random op forks the batch: one group for every outcome of the enumerated row, weighted; the mates draw from their own noise.
"""

from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.backends.enumerate.scratch import ForwardCheck
from penstock.backends.interpret import Interpreter
from penstock.ir.errors import PenstockError
from penstock.ir.noise import addresses
from penstock.ir.op import Op
from penstock.ir.ops.stacked import STACKED, unstacked
from penstock.ir.rows import State, leaves, take

MAX_ROWS = 400_000


class DrawnTwice(AssertionError):
    """One address was read twice in one world."""


class NoSupport(PenstockError):
    """A live row had nothing that could be drawn."""


class Worlds(Interpreter):
    """One step over ``len(weight)`` rows, ``group`` rows a world."""

    def __init__(self, weight: Tensor, reads: Tensor, group: int, coverage: dict[str, float], check: ForwardCheck | None) -> None:
        super().__init__()
        self.weight, self.reads, self.group = weight, reads, group
        self.coverage, self.check = coverage, check
        self.peak = len(weight)

    def op(self, op: Op, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if op.category == "random":
            return self._random(op, node, args, kwargs)
        value = self._world_by_world(op, args, kwargs) if op.couples_rows else op.meaning(*args, **kwargs)
        if op.category == "forward" and self.check is not None:
            for each in unstacked(args, kwargs, value) if op in STACKED.values() else [(args, kwargs, value)]:
                self.check(*each)
        return value

    def _world_by_world(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Rows meet their own world's only."""
        parts = []
        for first in range(0, len(self.weight), self.group):
            rows = torch.arange(first, first + self.group)
            parts.append(op.meaning(*take(args, rows), **take(kwargs, rows)))
        return pytree.tree_map(lambda *each: torch.cat(each), *parts)

    def _random(self, op: Op, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        weights, live = args[0], kwargs["live"]
        key, stage, purpose, at = args[-4:]
        if not live.any():
            return op.meaning(*self._idle(weights, live, args), **kwargs)
        self._supported(weights, live, stage, node)
        if op.reads:
            self._read_once(addresses(key, stage, purpose, at), live, (stage, purpose, at))
        args = self._idle(weights, live, args)
        drawn = op.meaning(*args, **kwargs)
        assert op.outcomes is not None, f"{op.name} does not say its outcomes"
        options = {name: value for name, value in kwargs.items() if name != "live"}
        world, value, chance = op.outcomes(*take(args, torch.arange(0, len(live), self.group)), **options)
        self._cover(op, (stage, purpose, at), live, world, chance)
        return self._fork(drawn, world, value, chance)

    def _idle(self, weights: Tensor, live: Tensor, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Rows that are not live have one outcome, token 0, so that they do not fork."""
        certain = torch.zeros_like(weights)
        certain[..., 0] = 1
        mask = live.view(-1, *[1] * (weights.dim() - 1))
        return (torch.where(mask, weights, certain), *args[1:])

    def _supported(self, weights: Tensor, live: Tensor, stage: str, node: fx.Node) -> None:
        mass = weights.flatten(1).sum(1)
        bad = live & ~(mass > 0)
        if bad.any():
            what = f"stage {stage}: row {int(bad.nonzero()[0])} has no support ({node.name})"
            raise NoSupport(what, where=node.meta.get("source") or None, fix="loosen the masks before it")

    def _read_once(self, word: Any, live: Tensor, place: tuple[Any, ...]) -> None:
        word = torch.from_numpy(word.view("int64"))
        again = live & (self.reads == word[:, None]).any(1)
        if again.any():
            raise DrawnTwice(f"{place[0]} read its {place[1]} noise twice at one address")
        self.reads = torch.cat([self.reads, torch.where(live, word, 0)[:, None]], 1)

    def _cover(self, op: Op, place: tuple[Any, ...], live: Tensor, world: Tensor, chance: Tensor) -> None:
        stage, purpose, at = place
        static = ",".join(str(c) for c in at if isinstance(c, int))
        mine = live[:: self.group][world]
        for name, which in (("", mine), (" some but not all", mine & (chance < 1))):
            most = float((self.weight[:: self.group][world] * chance)[which].max()) if which.any() else 0.0
            label = f"{stage} {purpose}({static}){name}"
            self.coverage[label] = max(self.coverage.get(label, 0.0), most)

    def _fork(self, drawn: Any, world: Tensor, value: Any, chance: Tensor) -> Any:
        """Every live value regathered to one group an outcome; the enumerated row takes the outcome."""
        rows = (world[:, None] * self.group + torch.arange(self.group)).flatten()
        if len(rows) > MAX_ROWS:
            raise MemoryError(f"{len(rows)} rows of worlds; certify with a smaller vocabulary, draft or length")
        same = len(rows) == len(self.weight)  # nobody forked, and outcomes come in row order
        if not same:
            self._regather(rows)
        self.weight = self.weight * chance.repeat_interleave(self.group)
        out = drawn if same else take(drawn, rows)
        return self._with_outcome(out, value)

    def _regather(self, rows: Tensor) -> None:
        for env in self.environments:
            for name in env:
                env[name] = take(env[name], rows)
        self.weight, self.reads = self.weight[rows], self.reads[rows]
        self.peak = max(self.peak, len(rows))

    def _with_outcome(self, drawn: Any, value: Any) -> Any:
        if isinstance(drawn, tuple):
            return tuple(self._with_outcome(d, v) for d, v in zip(drawn, value, strict=True))
        drawn = drawn.clone()
        drawn[:: self.group] = value
        return drawn


def merged(state: State, weight: Tensor, reads: Tensor, group: int) -> tuple[State, Tensor, Tensor]:
    """Worlds in equal states as one: their weights add up; row step, key and read log do not tell them apart."""
    worlds = len(weight) // group
    table = fingerprint(state).reshape(worlds, -1)
    _, inverse = torch.unique(table, dim=0, return_inverse=True)
    total = torch.zeros(int(inverse.max()) + 1, dtype=weight.dtype).index_add_(0, inverse, weight[::group])
    # of equal worlds keep the one furthest on in row steps: its addresses are all fresh
    order = torch.argsort(state["seq"].steps[::group], stable=True)  # type: ignore[attr-defined]
    chosen = torch.empty(len(total), dtype=torch.long)
    chosen[inverse[order]] = order
    rows = (chosen[:, None] * group + torch.arange(group)).flatten()
    return {n: h.take(rows) for n, h in state.items()}, total.repeat_interleave(group), reads[rows]


def fingerprint(state: State) -> Tensor:
    """int64 ``[b,k]``: each row's state, floats rounded; not what only counts what has been done."""
    columns = []
    for handle in state.values():
        told = [value for name, value in vars(handle).items() if name not in ("steps", "key", "forwards")]
        for leaf in leaves(told):
            flat = leaf.reshape(len(leaf), -1)
            columns.append((flat.double() * 2**30).round().long() if flat.is_floating_point() else flat.long())
    return torch.cat(columns, 1)
