"""Every rule of every pass is an equation: both sides are equal on inputs made of its annotations, plain, tied and masked."""

import inspect
from itertools import product
from typing import Any

import pytest
import torch

from penstock.ir import tracing
from penstock.passes.optimise.match import Match
from penstock.passes.optimise.rule import LITERALS, Rule, RulePass
from penstock.passes.order import OPTIMISATION

RULES = [rule for each in OPTIMISATION if isinstance(each, RulePass) for rule in each.rules]
SIZES = {"B": 3, "T": 4, "N": 4, "V": 11, "K": 5, "J": 3}
FORMS = ("plain", "tied", "masked")


def sizes_of(dims: str) -> list[int]:
    """``*B V``: two rows of three, by eleven."""
    return [size for dim in dims.split() for size in ([2, 3] if dim.startswith("*") else [SIZES[dim]])]


def made(annotation: Any, form: str, draws: torch.Generator) -> torch.Tensor:
    """A tensor of the annotated shape and kind."""
    shape, kinds = sizes_of(annotation.dim_str), annotation.dtypes
    if all(kind.startswith("bool") for kind in kinds):
        return torch.rand(shape, generator=draws) < 0.4
    if all(kind.startswith(("int", "uint")) for kind in kinds):
        return torch.randint(0, 1000, shape, generator=draws)
    values = 3 * torch.randn(shape, generator=draws)
    if form == "tied":
        values = values.round()
    if form == "masked":
        values[..., torch.randperm(shape[-1], generator=draws)[: shape[-1] // 2]] = -torch.inf
    return values


def inputs(rule: Rule, form: str) -> Any:
    """Values for every variable, and every choice of literals."""
    draws = torch.Generator().manual_seed(5)
    fixed = {name: rule.inputs[name](draws) for name in rule.inputs}
    for name, parameter in rule.parameters.items():
        if name not in fixed and name not in rule.literals:
            fixed[name] = made(parameter.annotation, form, draws)
    for chosen in product(*rule.literals.values()):
        yield fixed | dict(zip(rule.literals, chosen, strict=True))


class AllLive:
    """Runs ops by their meaning, every row live."""

    def record(self, op: Any, args: Any, kwargs: Any) -> Any:
        return op.meaning(*args, **kwargs, **({"live": torch.ones(SIZES["B"], dtype=torch.bool)} if op.takes_live else {}))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_both_sides_are_equal(rule: Rule, form: str):
    for given in inputs(rule, form):
        with tracing.recording(AllLive()):
            before, after = rule.equation(**given)
        torch.testing.assert_close(after, before, rtol=2e-6 if rule.rounds else 0, atol=0, equal_nan=True)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_it_says_what_it_is(rule: Rule):
    assert inspect.getdoc(rule.equation), "a rule says why it pays"
    assert isinstance(rule.pattern.try_at(rule.pattern.root), Match), "its own left side is found"
    literals = {name for name, p in rule.parameters.items() if p.annotation in LITERALS}
    assert literals <= set(rule.literals), "literals have values to be tried with"


def test_a_wrong_equation_is_seen():
    from penstock.ir.ops.logits import scale, top_p
    from penstock.passes.optimise.rule import Equation, Logits, rule

    @rule(literals={"t": (0.5,), "p": (0.7,)})
    def swapped(x: Logits, t: float, p: float) -> Equation:
        """Which does not hold."""
        return top_p(scale(x, t), p), scale(top_p(x, p), t)

    with pytest.raises(AssertionError):
        test_both_sides_are_equal(swapped, "plain")
