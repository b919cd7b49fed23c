"""``rule: greedy`` is one more transform, after all others: nothing but the likeliest token is left to accept, or to mirror."""

from penstock.ir.errors import PenstockError
from penstock.passes.plan import Plan


def greedy_rule(plan: Plan) -> Plan:
    """Where the acceptor leaves one token, it shapes the logits last; a stage that is there for a draw contradicts it."""
    if plan.acceptor is None or not plan.acceptor.stage.one_hot:
        return plan
    name = plan.acceptor.written
    for p in plan.compose:
        if p.stage.only_sampled:
            raise PenstockError(
                f"stage {name}, field rule: greedy draws nothing, and {p.name} is there for a draw",
                where=plan.acceptor.stage.place_of("rule"),
                fix=f"rule: auto, or leave {p.name} out",
            )
    return plan.but(f"greedy_rule: {name} leaves the likeliest token alone", accepted=(*plan.accepted, plan.acceptor))
