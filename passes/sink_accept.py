"""The verifier names a rule where it stands; acceptance runs last, by the rule that fits the draft's law."""

from penstock.ir.errors import PenstockError
from penstock.ir.rules import AUTO, AUTO_BY_ROW, RULES
from penstock.passes.plan import Plan


def sink_accept(plan: Plan) -> Plan:
    """``accept(auto)`` becomes the rule of the law, by row where rows differ; a named rule that does not fit is refused."""
    declared = plan.acceptor.stage.rule if plan.acceptor else "auto"
    laws = laws_of(plan)
    fitting = sorted({AUTO[law] for law in laws})
    if declared == "auto":
        return plan.but(rule=fitting[0] if len(fitting) == 1 else AUTO_BY_ROW)
    unfit = [law for law in laws if declared in RULES and law not in RULES[declared].laws]
    if plan.drafter and unfit:
        fits = f"{declared} is for {' or '.join(sorted(RULES[declared].laws))} drafts"
        raise refused(plan, f"{fits}, and {plan.drafter.name} drafts are {' or '.join(unfit)}")
    return plan.but(rule=declared)


def refused(plan: Plan, why: str) -> PenstockError:
    """The error of a named rule that does not fit the draft, with the rule that does."""
    fitting = sorted({AUTO[law] for law in laws_of(plan)})
    assert plan.acceptor is not None
    return PenstockError(
        f"stage {plan.acceptor.written}, field rule: {why}",
        where=plan.acceptor.stage.place_of("rule"),
        fix="rule: auto" if len(fitting) > 1 else f"rule: {fitting[0]}, or rule: auto",
    )


def laws_of(plan: Plan) -> tuple[str, ...]:
    """What the drafts of rows may be distributed like: one law, or several where a drafter drafts rows differently."""
    if plan.drafter is None:
        return ("arbitrary",)
    law = plan.drafter.stage.law
    return (law,) if isinstance(law, str) else tuple(law)
