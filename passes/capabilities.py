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
