"""What a pipeline promises, and what elaboration made of it, in lines: all that `explain` says before the step itself."""

from collections.abc import Iterator

from penstock.dsl.pipeline import Pipeline
from penstock.ir.rules import AUTO, RULES
from penstock.passes.build import StepGraph
from penstock.passes.plan import Plan
from penstock.passes.sink_accept import laws_of

LAWS = {
    "fixed": "certain of its tokens, which follow from the text",
    "iid": "each token drawn by itself from q, duplicates kept",
    "without_replacement": "drawn from q, siblings never twice",
    "arbitrary": "with no q that it would be a draw from",
}
"""What is known of a draft, by its law."""


def explained(pipeline: Pipeline, step: StepGraph) -> list[str]:
    """Reference, steering, guarantee and reproducibility; the law of every drafter and the rule; what passes did, and why."""
    plan = step.plan
    return [
        *promises(pipeline, step),
        *(drafted(plan) if plan.kind == "sequence" else ()),
        *plan.notes,
        *(f"{p.name}: {p.stage.remark}" for p in plan.stages if p.stage.remark),
    ]


def promises(pipeline: Pipeline, step: StepGraph) -> list[str]:
    """Reference, steering, guarantee and reproducibility."""
    return [
        f"reference: {' >> '.join(s.kind for s in pipeline.reference().stages)}",
        f"steered by: {', '.join(steering(step.plan)) or 'nothing'}",
        f"guarantee: {guarantee(step.plan)}",
        f"reproducible: {reproducible(step)}",
    ]


def steering(plan: Plan) -> list[str]:
    """What changes the reference on purpose."""
    named = [p.name for p in plan.compose if p.stage.effect == "steers"]
    if plan.acceptor is not None and plan.kind == "sequence" and plan.acceptor.stage.one_hot:
        named.append(f"{plan.acceptor.written} (rule: greedy)")
    return named


def guarantee(plan: Plan) -> str:
    """Exact in distribution, greedy-exact, or approximate, relative to the reference."""
    if plan.approximating:
        return f"approximate, because of {', '.join(plan.approximating)}"
    greedy = plan.kind == "canvas" or any(p.stage.one_hot for p in plan.stages)
    return "greedy-exact (same tokens as the reference)" if greedy else "exact (same distribution as the reference)"


def reproducible(step: StepGraph) -> str:
    """Whether a request's key alone decides its tokens, whatever else is in the batch."""
    plan = step.plan
    invariant = plan.rule in RULES and not RULES[plan.rule].tests_children
    certain = any(p.stage.one_hot for p in plan.stages)
    sharing = {node.meta["stage"] for node in step.graph.nodes if getattr(node.target, "couples_rows", False)}
    if plan.drafter and (invariant or certain):
        sharing.discard(plan.drafter.name)
    clocked = sorted(p.name for p in plan.stages if p.stage.clocked and p.name in sharing)
    if clocked:
        how = f"how far {', '.join(clocked)} drafts depends on the clock and the batch"
        return f"no, {how}, and {plan.rule} throws its coins by row step"
    if sharing:
        return f"not by request key alone, the rows of a batch share {', '.join(sorted(sharing))}"
    return "yes, by request key, with any drafter or none" if invariant and plan.drafter else "yes, by request key"


def drafted(plan: Plan) -> Iterator[str]:
    """What is drafted, and by which rule it is accepted."""
    if plan.drafter is None:
        yield "drafts: none, a step commits one token"
        return
    for name, stage in plan.drafters:
        what = name if name.startswith(stage.kind) else f"{name}, a {stage.kind},"
        noise = ", on the noise of the selections that it guesses at" if plan.foreseen and stage.law == "iid" else ""
        yield f"drafts: {what} is {stage.law}: {LAWS[stage.law]}{noise}"
    yield f"accepted by: {accepted(plan)}"


def accepted(plan: Plan) -> str:
    """The rule and why it is this one."""
    laws = laws_of(plan)
    if plan.acceptor is not None and plan.acceptor.stage.rule != "auto":
        return f"{plan.rule}, named by {plan.acceptor.written}, for drafts that are {' or '.join(laws)}"
    if plan.rule in RULES:
        return f"{plan.rule}, picked for drafts that are {' or '.join(laws)}"
    return f"each row's own: {', '.join(f'{AUTO[law]} for drafts that are {law}' for law in laws)}"
