"""A stage states what it needs of its models; a model that cannot do it is refused by name, before anything runs."""

from collections.abc import Mapping

from penstock.ir.standin import StandIn
from penstock.passes.plan import Plan


def check_capabilities(plan: Plan, views: Mapping[str, StandIn]) -> None:
    """Raises PenstockError naming the stage, the model and what is missing."""
    for p in plan.stages:
        needs = p.stage.needs
        used = {*p.stage.views(), getattr(p.stage, "view", None)}
        for view in sorted(view for view in used if view in views):
            missing = sorted(needs - views[view].capabilities)
            if missing:
                raise p.wrong(
                    f" needs a model with {', '.join(missing)}, and {views[view].name} has none of it",
                    fix="use another model, or another stage",
                )
    check_nodes(plan, views)


def check_nodes(plan: Plan, views: Mapping[str, StandIn]) -> None:
    """What a step feeds beyond the text it takes back, which a model without trees (one with recurrent layers) cannot."""
    makers = [p for p in plan.stages if p.stage.room or p.stage.room_a_site]
    if plan.kind == "frontier":
        makers = list(plan.scorers)
    for view in views.values() if makers else ():
        if "tree" not in view.capabilities:
            raise makers[0].wrong(
                f" has {view.name} read tokens that may be taken back, and it cannot take anything back",
                fix="let this model decode without drafts, or use one with attention in every layer",
            )
