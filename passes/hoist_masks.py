"""Hard masks before support-shrinking transforms, in the acceptor's version of the logits.

A top-p taken before a grammar could leave the grammar nothing; readers still see the order as written.
"""

from penstock.passes.plan import Placed, Plan


def hoist_masks(plan: Plan) -> Plan:
    """``shrink >> mask`` is accepted as ``mask >> shrink``; the order of masks among themselves stays."""
    order = list(plan.accepted)
    shrinking = next((i for i, p in enumerate(order) if p.stage.shrinks), None)
    if shrinking is None:
        return plan
    late = [p for p in order[shrinking:] if p.stage.hard_mask]
    if not late:
        return plan
    rest = [p for p in order if p not in late]
    return plan.but(*(note(p, order[shrinking]) for p in late), accepted=(*rest[:shrinking], *late, *rest[shrinking:]))


def note(mask: Placed, shrinking: Placed) -> str:
    return f"hoist_masks: the acceptor's logits take {mask.name} before {shrinking.name}, which could leave it no token to allow"
