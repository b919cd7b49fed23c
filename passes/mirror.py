"""Copy the target's transforms onto the drafter's logits, so that it proposes what can be accepted; q is the mirrored one."""

from collections.abc import Iterator

from penstock.passes.plan import Placed, Plan


def mirror(plan: Plan) -> Plan:
    """``drafter >> ... >> f``: the drafter draws from ``softmax(f(logits))`` too, for every f it can follow on its own path."""
    shaping = tuple(p for p in plan.accepted if p.shapes)
    if plan.drafter is None or not shaping:
        return plan
    copied = tuple(p for p in shaping if p.mirrors)
    wanted = any(getattr(stage, "mirror", False) for _, stage in plan.drafters)
    return plan.but(*notes(plan, copied, shaping), mirrored=copied if wanted else ())


def notes(plan: Plan, copied: tuple[Placed, ...], shaping: tuple[Placed, ...]) -> Iterator[str]:
    """What each drafter follows, and what it cannot or does not want to."""
    for name, stage in plan.drafters:
        if not hasattr(stage, "mirror"):
            yield f"mirror: nothing onto {name}, which has no logits to shape"
        elif not stage.mirror:
            yield f"mirror: nothing onto {name}, which says mirror: false"
        elif copied:
            yield f"mirror: {', '.join(p.name for p in copied)} onto {name}, so that it drafts what can be accepted"
    if any(getattr(stage, "mirror", False) for _, stage in plan.drafters):
        yield from (f"mirror: not {p.name}, which reads more than a drafter has" for p in shaping if not p.mirrors)
