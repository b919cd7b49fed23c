"""A stage states what it needs of its models; a model that cannot do it is refused by name, before anything runs."""

from collections.abc import Mapping

from penstock.ir.errors import PenstockError
from penstock.ir.standin import StandIn
from penstock.passes.plan import Plan


def check_capabilities(plan: Plan, views: Mapping[str, StandIn]) -> None:
    """Raises PenstockError naming the stage, the model and what is missing."""
    for p in plan.stages:
        needs = frozenset(getattr(p.stage, "needs", ()))
        used = {*(p.stage.views() if p.has("views") else ()), getattr(p.stage, "view", None)}
        for view in sorted(view for view in used if view in views):
            missing = sorted(needs - views[view].capabilities)
            if missing:
                raise PenstockError(
                    f"stage {p.name} needs a model with {', '.join(missing)}, and {views[view].name} has none of it",
                    where=p.source or None,
                    fix="use another model, or another stage",
                )
