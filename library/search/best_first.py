"""A best-first search of one request: the open list and the node table. It knows no model; a program feeds it children."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from penstock.ir.rows import State

DIGITS = 9
"""f is compared rounded: where it stays the same along a path, sums of floats must not tell equals apart."""
Outcome = Literal["goal", "budget", "exhausted"]


@dataclass(eq=False)
class Node:
    """A partial text: how good it looks, what its path cost, and a state of one row that goes on from it."""

    text: tuple[int, ...]
    r: float
    """Its score in [0, 1]."""
    g: float = 0.0
    """Cost of its path so far."""
    depth: int = 0
    goal: bool = False
    """The text has ended."""
    parent: "Node | None" = None
    state: State | None = None
    evicted: bool = False

    @property
    def f(self) -> float:
        """Cost so far and the estimated rest: how far its score is from perfect."""
        return self.g + 1 - self.r


@dataclass
class Budget:
    """What a search may spend, and has spent; a search overruns it by at most one expansion."""

    tokens: int | None = None
    scores: int | None = None
    generated: int = 0
    """Tokens generated, those of discarded children too."""
    scored: int = 0
    """Texts scored."""

    @property
    def spent(self) -> bool:
        return (self.tokens is not None and self.generated >= self.tokens) or (
            self.scores is not None and self.scored >= self.scores
        )


@dataclass
class Search:
    """``cost(r, r')`` is what a step from score r to r' costs."""

    root: Node
    cost: Callable[[float, float], float]
    budget: Budget = field(default_factory=Budget)
    depth: int = 64
    """Deeper texts are given up."""
    nodes: list[Node] = field(default_factory=list)
    popped: list[Node] = field(default_factory=list)
    result: Node | None = None
    outcome: Outcome | None = None
    failures: int = 0
    """Children given up: empty steps, texts cut off by their limit, too deep ones."""
    duplicates: int = 0

    def __post_init__(self) -> None:
        self._heap: list[tuple[tuple[float, int, float], int, Node]] = []
        self._seen = {self.root.text}
        self.push(self.root)

    def push(self, node: Node) -> None:
        """Put a node on the open list; of equally promising ones the older comes first."""
        heapq.heappush(self._heap, (promise(node), len(self.nodes), node))
        self.nodes.append(node)

    @property
    def open(self) -> list[Node]:
        """The open list, best first."""
        return [entry[-1] for entry in sorted(self._heap)]

    def next(self) -> Node | None:
        """The node to expand; None once the search is over. A goal counts when it is popped: before, a better one may come."""
        if self.outcome is not None:
            return None
        if not self._heap:
            self.outcome, self.result = "exhausted", max(self.nodes, key=lambda node: (node.depth > 0, node.r, node.depth))
        elif self.budget.spent and not self._heap[0][-1].goal:
            self.outcome, self.result = "budget", next((node for node in self.open if node.goal), self.open[0])
        else:
            node = heapq.heappop(self._heap)[-1]
            self.popped.append(node)
            if not node.goal:
                return node
            self.outcome, self.result = "goal", node
        return None

    def fresh(self, text: tuple[int, ...]) -> bool:
        """Whether a text is new, which it then no longer is."""
        if text in self._seen:
            self.duplicates += 1
            return False
        self._seen.add(text)
        return True

    def grow(self, parent: Node, children: Sequence[Node], scores: Sequence[float]) -> None:
        """Put the children of an expanded node on the open list, by their scores."""
        self.budget.scored += len(scores)
        for child, score in zip(children, scores, strict=True):
            child.r = clamped(score)
            child.g, child.depth, child.parent = parent.g + self.cost(parent.r, child.r), parent.depth + 1, parent
            if child.depth >= self.depth and not child.goal:
                self.failures += 1
            else:
                self.push(child)


def promise(node: Node) -> tuple[float, int, float]:
    """What comes first: least f, then the deeper, then the better scored."""
    return round(node.f, DIGITS), -node.depth, -node.r


def clamped(score: float) -> float:
    """A score in [0, 1]; one that is no number is the worst."""
    return min(max(float(score), 0.0), 1.0) if score == score else 0.0
