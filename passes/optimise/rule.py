"""Rules: equations between two ways to write one computation, of which a pass puts the right one for the left.

A rule is a function of its variables that returns both sides, written with ops::

    @rule
    def scaled_by_one(x: Logits) -> Equation:
        "Temperature 1 changes nothing."
        return scale(x, 1), x

Parameters annotated as tensors are variables; numbers and words are literals, which match constants only; `Any` matches whatever
stands there. Every rule is tested by its equation, on inputs made of these annotations.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

from jaxtyping import Float
from torch import Tensor, fx

from penstock.ir import tracing
from penstock.ir.region import Region
from penstock.ir.trace import Tracer
from penstock.passes.lint import LintError
from penstock.passes.optimise.match import Match, Pattern, literal, word
from penstock.passes.optimise.optimisation import Finding
from penstock.passes.optimise.written import LITERALS, Equation as Equation, Written, expression, in_graph, replayed

Logits = Float[Tensor, "*B V"]
LONGEST = 10_000
"""Rewrites of one graph after which rules are taken to undo each other."""


@dataclass(frozen=True, eq=False)
class Rule:
    """An equation, and when it pays."""

    equation: Callable[..., Equation]
    when: Callable[..., str | None] | None = None
    """Given what the parameters stand for, the reason why the rule does not fire there, or None."""
    literals: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Values of literals that the equation is tested with, and that `when` lets pass."""
    inputs: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """How variables are made for that test, of a torch.Generator, where their annotations do not say enough."""
    alone: bool = False
    """Whether it pays only where nobody else reads what would be inside."""
    follows: bool = False
    """Whether it only goes on with what another rule began: then nobody needs to be told where it does not stand."""
    rounds: bool = False
    """Whether the sides add up in another order, and are equal up to rounding."""

    @property
    def name(self) -> str:
        return self.equation.__name__

    def __str__(self) -> str:
        """``before = after``."""
        return " = ".join(map(expression, self.sides[:2]))

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.equation).parameters

    @cached_property
    def sides(self) -> tuple[Any, Any, dict[fx.Node, str]]:
        """Both sides, traced once, and the variables."""
        kinds = {name: p.annotation for name, p in self.parameters.items() if p.annotation in LITERALS}
        samples = {name: literal(name, kind, self.literals[name][0]) for name, kind in kinds.items()}
        written = Written()
        return *written.sides(self.equation, dict.fromkeys(self.parameters) | samples), written.names

    @cached_property
    def pattern(self) -> Pattern:
        """The left side."""
        before, _, names = self.sides
        return Pattern(before, names)

    def reason(self, match: Match) -> str:
        """Why it does not fire where its pattern stands; nothing if it does."""
        if self.alone and (other := next(match.other_readers(), None)) is not None:
            return f"{word(other[0])} is read by {word(other[1])} too"
        given = {name: match.values[name] for name in self.parameters}
        return (self.when(**given) if self.when is not None else None) or ""

    def put(self, match: Match, vocab: int) -> None:
        """Replace the matched root by the right side."""
        root, written = match.nodes[-1], Written()
        _, after = written.sides(self.equation, {name: match.values[name] for name in self.parameters})
        tracer = Tracer({}, vocab, root.graph)
        values = {node: in_graph(match.values[name], tracer) for node, name in written.names.items()}
        tracer.live = in_graph(match.values.get("live"), tracer)
        place = root.meta.get("stage") or "", str(root.meta.get("source") or ""), self.name
        with root.graph.inserting_before(root), tracing.recording(tracer), tracer.stage_of(*place):
            made = replayed(after, values)
        root.replace_all_uses_with(made.node)
        root.graph.erase_node(root)


@overload
def rule(equation: Callable[..., Equation], /) -> Rule: ...
@overload
def rule(**options: Any) -> Callable[[Callable[..., Equation]], Rule]: ...
def rule(equation: Callable[..., Equation] | None = None, /, **options: Any) -> Any:
    """A function that returns both sides of an equation, as a `Rule`; options are its other fields."""
    if equation is None:
        return lambda equation: Rule(equation, **options)
    return Rule(equation)


class RulePass:
    """A pass that is rules: each put wherever it stands, until none does."""

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self.name, self.rules = name, tuple(rules)

    def requires(self, graph: fx.Graph) -> None: ...

    def ensures(self, graph: fx.Graph) -> None: ...

    def run(self, graph: fx.Graph) -> list[Finding]:
        return self.everywhere(graph, vocab_of(graph))

    def everywhere(self, graph: fx.Graph, vocab: int) -> list[Finding]:
        """Put rules in a graph and in its regions, until none stands."""
        found = [f for n in graph.nodes if isinstance(n.target, Region) for f in self.everywhere(n.target.graph, vocab)]
        for _ in range(LONGEST):
            put = self.first(graph, vocab, found)
            if put is None:
                return found
            found.append(put)
        raise LintError(f"the rules of {self.name} put each other's sides without end")

    def first(self, graph: fx.Graph, vocab: int, found: list[Finding]) -> Finding | None:
        """Put the first rule that stands somewhere; what came near until then is found."""
        for node in graph.nodes:
            for each in self.rules:
                if node.target is not each.pattern.root.target:
                    continue
                match = each.pattern.try_at(node)
                why = match if isinstance(match, str) else each.reason(match)
                if why and not (each.follows and isinstance(match, str)):
                    note(found, Finding(each.name, node, False, why))
                elif not why and isinstance(match, Match):
                    each.put(match, vocab)
                    return Finding(each.name, node, True)
        return None


def note(found: list[Finding], near: Finding) -> None:
    """Each near miss once."""
    if not any((each.rule, each.node, each.why) == (near.rule, near.node, near.why) for each in found):
        found.append(near)


def vocab_of(graph: fx.Graph) -> int:
    """How many tokens the first view's model has; 0 where a graph has no view."""
    examples = (node.meta.get("example") for node in graph.nodes if node.op == "placeholder")
    return next((example.model.vocab for example in examples if hasattr(example, "model")), 0)
