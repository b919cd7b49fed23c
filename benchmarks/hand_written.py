"""The loops one would write by hand for one algorithm each, over the same models: what Penstock's own time is compared with.

One row lives in Python integers and preallocated buffers; many rows are vectorised, with one read a step. Noise is drawn
unaddressed. ``Plain`` picks by the usual torch calls, ``Tuned`` by what was measured to be fastest on a CPU.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from penstock.ir.host import Feed, Model
from penstock.ir.standin import NoCache

BUCKET = 64


class Plain:
    """Selection as most loops have it: argmax, and a race of exponentials."""

    @staticmethod
    def largest(x: Tensor) -> Tensor:
        return x.argmax(-1)

    @staticmethod
    def drawn(p: Tensor) -> Tensor:
        return (p / torch.empty_like(p).exponential_()).argmax(-1)


class Tuned:
    """numpy's argmax is vectorised and torch's is not; a logarithm of uniforms is cheaper than `exponential_`."""

    @staticmethod
    def largest(x: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(x.numpy().argmax(-1)))

    @staticmethod
    def drawn(p: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray((p / torch.rand(p.shape).log_().neg_()).numpy().argmax(-1)))


@dataclass
class Loop:
    """What all loops share: buffers of ids, slots and masks, long enough for ``room`` tokens."""

    target: Model
    drafter: Model
    prompts: list[list[int]]
    room: int
    temperature: float
    pick: type[Plain] | type[Tuned] = Plain
    length: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = len(self.prompts)
        self.length = len(self.prompts[0])  # equal at the start
        self.ids = torch.zeros(self.rows, self.room, dtype=torch.long)
        self.ids[:, : self.length] = torch.tensor(self.prompts)
        self.slots = torch.arange(self.room)
        self.causal = torch.ones(self.room, self.room, dtype=torch.bool).tril()
        self.cache = NoCache(self.room)
        self.every = torch.arange(self.rows)
        self.setup()

    def setup(self) -> None:
        pass

    def shaped(self, logits: Tensor) -> Tensor:
        return (logits / self.temperature).softmax(-1)

    def up(self, size: int) -> int:
        """Slots attended to, in whole buckets."""
        return min(-(-size // BUCKET) * BUCKET, self.room)


class Alone(Loop):
    """No draft: a token a row and step, so that all rows stay equally long."""

    def step(self) -> list[list[int]]:
        n = self.length
        places = self.slots[None, n - 1 : n].expand(self.rows, 1)
        seen = self.causal[None, n - 1 : n, : self.up(n)].expand(self.rows, 1, -1)
        logits = self.target.forward(self.cache, Feed(self.ids[:, n - 1 : n], places, places, seen)).logits[:, 0]
        new = self.pick.drawn(self.shaped(logits)) if self.temperature else self.pick.largest(logits)
        self.ids[:, n] = new
        self.length += 1
        return new[:, None].tolist()


class Chain(Loop):
    """Speculative sampling with a chain of 4, one row."""

    K = 4

    def setup(self) -> None:
        self.in_drafter = self.in_target = 0

    def feed(self, model: Model, first: int, last: int) -> Tensor:
        """The logits of text ``first..last``."""
        places = self.slots[None, first:last]
        seen = self.causal[None, first:last, : self.up(last)]
        return model.forward(self.cache, Feed(self.ids[:, first:last], places, places, seen)).logits[0]

    def step(self) -> list[list[int]]:
        n, drafted, qs = self.length, [], []
        for i in range(self.K):
            logits = self.feed(self.drafter, self.in_drafter, n + i)[-1]
            self.in_drafter = n + i
            if self.temperature:
                qs.append(self.shaped(logits))
                drafted.append(self.pick.drawn(qs[-1]).item())
            else:
                drafted.append(self.pick.largest(logits).item())
            self.ids[0, n + i] = drafted[-1]
        logits = self.feed(self.target, self.in_target, n + self.K)[-self.K - 1 :]
        new = self.verified(logits, drafted, qs) if self.temperature else self.agreed(logits, drafted)
        self.length = self.in_target = n + len(new)
        self.in_drafter = min(self.in_drafter, self.length - 1)
        self.in_target -= 1
        self.ids[0, self.length - 1] = new[-1]
        return [new]

    def agreed(self, logits: Tensor, drafted: list[int]) -> list[int]:
        best = self.pick.largest(logits).tolist()
        k = 0
        while k < self.K and drafted[k] == best[k]:
            k += 1
        return best[: k + 1]

    def verified(self, logits: Tensor, drafted: list[int], qs: list[Tensor]) -> list[int]:
        p = self.shaped(logits)
        chosen = p[self.slots[: self.K], torch.tensor(drafted)].tolist()
        coins = torch.rand(self.K).tolist()
        for k, (token, q) in enumerate(zip(drafted, qs, strict=True)):
            if coins[k] * q[token].item() >= chosen[k]:
                return [*drafted[:k], self.pick.drawn((p[k] - q).clamp_(min=0)).item()]
        return [*drafted, self.pick.drawn(p[self.K]).item()]


class Chains(Loop):
    """Speculative sampling with chains of 4, all rows at once."""

    K = 4

    def setup(self) -> None:
        self.lengths = torch.full((self.rows,), self.length)
        self.ahead = torch.arange(self.room)

    def feed(self, model: Model, first: Tensor, columns: int, longest: int) -> Tensor:
        """The logits of ``columns`` tokens of each row's text from its own ``first`` on."""
        places = first[:, None] + self.ahead[:columns]
        seen = self.causal[places, : self.up(longest)]
        return model.forward(self.cache, Feed(self.ids.gather(1, places), places, places, seen)).logits

    def step(self) -> list[list[int]]:
        longest, drafted, qs = int(self.lengths.max()), [], []
        for i in range(self.K):
            back = 1 if i else 2  # the first call feeds two tokens: a row that took its whole draft is one behind
            logits = self.feed(self.drafter, self.lengths + i - back, back, longest + i)[:, -1]
            if self.temperature:
                qs.append(self.shaped(logits))
                drafted.append(self.pick.drawn(qs[-1]))
            else:
                drafted.append(self.pick.largest(logits))
            self.ids[self.every, self.lengths + i] = drafted[-1]
        logits = self.feed(self.target, self.lengths - 1, self.K + 1, longest + self.K)
        chain = torch.stack(drafted, 1)
        new, taken = self.verified(logits, chain, qs) if self.temperature else self.agreed(logits, chain)
        self.ids.scatter_(1, self.lengths[:, None] + self.ahead[: self.K + 1], new)
        self.lengths += taken + 1
        return [row[: k + 1] for row, k in zip(new.tolist(), taken.tolist(), strict=True)]

    def agreed(self, logits: Tensor, chain: Tensor) -> tuple[Tensor, Tensor]:
        best = self.pick.largest(logits)
        return best, (best[:, : self.K] == chain).long().cumprod(1).sum(1)

    def verified(self, logits: Tensor, chain: Tensor, qs: list[Tensor]) -> tuple[Tensor, Tensor]:
        p = self.shaped(logits)
        px = p[:, : self.K].gather(2, chain[..., None])[..., 0]
        qx = torch.stack([q.gather(1, chain[:, i : i + 1])[:, 0] for i, q in enumerate(qs)], 1)
        taken = (torch.rand(self.rows, self.K) * qx < px).long().cumprod(1).sum(1)
        rest = p[self.every, taken]
        for b, k in enumerate(taken.tolist()):
            if k < self.K:
                rest[b] = (rest[b] - qs[k][b]).clamp_(min=0)
        new = torch.cat([chain, chain[:, :1]], 1)
        new[self.every, taken] = self.pick.drawn(rest)
        return new, taken
