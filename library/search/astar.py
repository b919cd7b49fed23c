"""A* decoding (arXiv 2505.13672): a search tree of reasoning steps, grown where cost so far and a scorer's doubt are least.

The paper's transition cost could not be read; ``abs_delta`` makes ``1 - r`` consistent, so f never falls along a path: getting
better is free, getting worse is charged twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Protocol

from pydantic import Field

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import TokenId
from penstock.ir.rows import State
from penstock.ir.runner import Decoded, Request, Runner
from penstock.library.control.pause import Pause
from penstock.library.search.best_first import Budget, Node, Search

COSTS: dict[str, Callable[[float, float], float]] = {
    "abs_delta": lambda before, after: abs(after - before),
    "drop": lambda before, after: max(0.0, before - after),
    "deficit": lambda before, after: 1 - after,
    "zero": lambda before, after: 0.0,
}
GOALS = ("eos", "stop")


class StepScorer(Protocol):
    """A process reward: how good each partial text looks, in [0, 1]."""

    def __call__(self, prompt: Sequence[int], texts: Sequence[Sequence[int]]) -> Sequence[float]: ...


@dataclass(frozen=True)
class Found:
    """What a search found: a text that ended (``goal``), else the most promising one when the budget or the tree was used up."""

    tokens: list[int]
    outcome: str
    r: float
    f: float
    search: Search


class AStar(Stage):
    """Expand the open text of least ``f = g + 1 - r`` into forked children, each sampled to the end of its step.

    A search for a well-scored text: it samples from no distribution that the pipeline promises. Each child does, also where the
    pipeline drafts and verifies. It runs around a pipeline that holds its `control`.
    """

    kind: ClassVar[str] = "search.astar"
    role: ClassVar[Role] = "program"
    effect: ClassVar[Effect] = "steers"

    at: tuple[TokenId, ...]
    """Ids of the tokens that end a step."""
    longest: Annotated[int, Field(ge=1)] | None = None
    """A step ends after so many tokens in any case."""
    children: Annotated[int, Field(ge=1, le=256)] = 4
    """Children of an expanded text, rows of one batch."""
    cost: Literal["abs_delta", "drop", "deficit", "zero"] = "abs_delta"
    """What a step costs, by the scores before and after it."""
    initial: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Score of the empty continuation."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Budget: stop expanding once so many tokens have been generated."""
    scores: Annotated[int, Field(ge=1)] | None = None
    """Budget: stop expanding once so many texts have been scored."""
    depth: Annotated[int, Field(ge=1)] = 64
    """Steps after which a text that has not ended is given up."""
    resident: Annotated[int, Field(ge=1)] = 64
    """Open texts of one request that keep their caches; the others' are computed again when their turn comes."""

    def control(self) -> Pause:
        """The stage that the pipeline needs, so that its rows pause where a step ends."""
        return Pause(at=self.at, longest=self.longest)

    def run(self, runner: Runner, requests: Sequence[Request], score: StepScorer) -> list[Found]:
        """Search for every request; the searches do not see each other, their expansions share batches."""
        started = runner.start(requests)
        searches = [self.search(runner.take(started, [row])) for row in range(len(requests))]
        prompts = [next(iter(request.prompts.values())) for request in requests]
        while turns := [(i, node) for i, search in enumerate(searches) if (node := search.next()) is not None]:
            grown, k = self.sampled(runner, [node for _, node in turns]), self.children
            decoded = runner.read(grown)
            for turn, (i, node) in enumerate(turns):
                born = self.born(searches[i], node, decoded[turn * k : turn * k + k])
                for child, row in born:
                    child.state = None if child.goal else runner.take(grown, [turn * k + row])
                texts = [child.text for child, _ in born]
                searches[i].grow(node, [child for child, _ in born], score(prompts[i], texts) if texts else [])
                self.evict(runner, searches[i])
        return [found(search) for search in searches]

    def search(self, state: State) -> Search:
        """A search that starts from a state of one row."""
        root = Node((), self.initial, state=state)
        return Search(root, COSTS[self.cost], Budget(self.tokens, self.scores), self.depth)

    def sampled(self, runner: Runner, nodes: Sequence[Node]) -> State:
        """One step further from each node ``children`` times, all in one batch."""
        states = []
        for node in nodes:
            assert node.state is not None, "an open node holds a state"
            states.append(runner.resume(node.state))
            node.state = None
        return runner.generate(runner.fork(runner.cat(states), self.children))

    def born(self, search: Search, parent: Node, rows: Sequence[Decoded]) -> list[tuple[Node, int]]:
        """The children worth a score, each with its row: no duplicates, no empty steps, nothing that its limit cut off."""
        kept = []
        for row, decoded in enumerate(rows):
            text = tuple(decoded.tokens)
            step = text[len(parent.text) :]
            search.budget.generated += len(step)
            empty = len(step) == 1 and step[0] in self.at
            if empty or decoded.status not in (*GOALS, "paused"):
                search.failures += 1
            elif search.fresh(text):
                kept.append((Node(text, 0.0, goal=decoded.status in GOALS), row))
        return kept

    def evict(self, runner: Runner, search: Search) -> None:
        """Keep the caches of the most promising open texts only."""
        for node in search.open[self.resident :]:
            if node.state is not None and not node.evicted:
                node.state, node.evicted = runner.evict(node.state), True


def found(search: Search) -> Found:
    """A finished search's answer."""
    best, outcome = search.result, search.outcome
    assert best is not None and outcome is not None, "a search that is over has a result"
    return Found(list(best.text), outcome, best.r, best.f, search)
