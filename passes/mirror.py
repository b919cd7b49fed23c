"""Copy the target's transforms onto the drafter's logits, so that it proposes what can be accepted; q is the mirrored one."""

from penstock.passes.plan import Plan


def mirror(plan: Plan) -> Plan:
    """``drafter >> ... >> f``: the drafter draws from ``softmax(f(logits))`` too, for every f it can follow on its own path."""
    if plan.drafter is None or not getattr(plan.drafter.stage, "mirror", False):
        return plan
    copied = tuple(p for p in plan.accepted if p.mirrors)
    left = tuple(p for p in plan.accepted if not p.mirrors)
    notes = [f"mirror: {p.name} onto {plan.drafter.name}" for p in copied]
    notes += [f"mirror: not {p.name}, which reads more than a drafter has" for p in left]
    return plan.but(*notes, mirrored=copied)
