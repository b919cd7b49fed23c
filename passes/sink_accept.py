"""The verifier names a rule where it stands; acceptance runs last, by the rule that fits the draft's law."""

from penstock.ir.errors import PenstockError
from penstock.ir.ops.accept import AUTO, RULES
from penstock.passes.plan import Plan


def sink_accept(plan: Plan) -> Plan:
    """``accept(auto)`` becomes the rule of the law; a named rule that does not fit is refused with the one that does."""
    declared = getattr(plan.acceptor.stage, "rule", "auto") if plan.acceptor else "auto"
    law = str(plan.drafter.stage.law) if plan.drafter else "arbitrary"
    fitting = AUTO[law]
    if declared == "auto":
        return plan.but(f"sink_accept: auto is {fitting}, for a draft that is {law}", rule=fitting)
    if plan.drafter and law not in RULES[declared].laws:
        assert plan.acceptor is not None
        raise PenstockError(
            f"stage {declarer(plan)}, field rule: {declared} is exact for "
            f"{' or '.join(sorted(RULES[declared].laws))} drafts, "
            f"and {plan.drafter.name} drafts are {law}",
            where=plan.acceptor.stage.place_of("rule"),
            fix=f"rule: {fitting}, or rule: auto",
        )
    return plan.but(rule=declared)


def declarer(plan: Plan) -> str:
    """The stage that a user wrote the rule in: the composite whose part the acceptor is, or the acceptor itself."""
    assert plan.acceptor is not None
    source = plan.acceptor.source
    return next((p.name for p in plan.scorers if p.source == source and hasattr(p.stage, "rule")), plan.acceptor.name)
