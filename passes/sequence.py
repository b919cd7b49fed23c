"""The step of a sequence: draft, score, compose, cut, accept, then state."""

from typing import Any

from penstock.ir.errors import PenstockError
from penstock.ir.lift import advanced, along_paths, asking, lift
from penstock.ir.ops.forward import keep
from penstock.ir.ops.rows import at, widened
from penstock.ir.ops.sequence import append, end_rows, put
from penstock.ir.ops.tree import reached_by
from penstock.ir.ports import Commit, Draft, LawByRow, Scored
from penstock.ir.roles import Composer
from penstock.ir.rules import AUTO, AUTO_BY_ROW, RULES, ByLaw, Rule
from penstock.ir.state import Sequence, new_sequence
from penstock.ir.step import Step, shaped_as, transformed
from penstock.ir.trace import Tracer
from penstock.ir.walk import walk
from penstock.passes.begin import Beginning
from penstock.passes.buckets import Bucket
from penstock.passes.plan import Placed, Plan
from penstock.passes.sink_accept import refused


def begin_sequence(plan: Plan, rows: Beginning) -> Sequence:
    """Empty suffixes, with room for the in-step nodes behind the longest."""
    return new_sequence(len(rows.key), rows.room, key=rows.key, limit=rows.limit, params=rows.params)


def trace_sequence(tracer: Tracer, plan: Plan, eos: tuple[int, ...], bucket: Bucket | None) -> None:
    """Trace the phases, in their order."""
    listened = frozenset(view for p in plan.stages for view in p.stage.listens)
    foreseen = plan.selects if plan.foreseen else None
    seat = next(iter(plan.scorers[-1].stage.views()))
    trace_phases(Step(tracer, tracer.vocab, plan.mirrored, foreseen, bucket, listened, seat), plan, eos)


def trace_phases(step: Step, plan: Plan, eos: tuple[int, ...]) -> None:
    """Decide what is committed, then have every handle keep it."""
    tracer = step.tracer
    for scorer in (p for p in plan.scorers if p.has("prepare")):
        with tracer.stage_of(scorer.name, scorer.source):
            scorer.stage.prepare(step, scorer.name)
    if plan.drafter:
        with tracer.stage_of(plan.drafter.name, plan.drafter.source):
            step.draft = plan.drafter.stage.propose(step, plan.drafter.name)
    for scorer in plan.scorers:
        with tracer.stage_of(scorer.name, scorer.source):
            step.scored = scorer.stage.score(step, scorer.name)
    scored = step.scored
    assert scored is not None
    check_shared(step.draft, plan)
    follow_paths(step, plan, scored)
    scored.composed = composed(step, plan.accepted, scored)
    with tracer.stage_of("cut"):
        last, closed = cuts(step, plan, scored, eos)
    with tracer.stage_of("accept"):
        rule = rule_of(plan, step.draft)
        where = dict(length=step.length, steps=step.steps, key=step.key, limit=step.limit, live=step.live)
        source = plan.acceptor.source if plan.acceptor else ""
        commit = walk(scored.composed, step.draft, rule, stage=plan.selects, source=source, last=last, closed=closed, **where)
    with tracer.stage_of("state"):
        settle(step, plan, commit, scored, eos)


def rule_of(plan: Plan, draft: Draft | None) -> Rule:
    """The acceptance rule: the acceptor's own, the one of this name, or each row's by its draft's law."""
    if plan.acceptor and plan.acceptor.has("acceptance"):
        return plan.acceptor.stage.acceptance()  # type: ignore[no-any-return]
    if plan.rule == AUTO_BY_ROW:
        assert draft is not None and isinstance(draft.law, LawByRow)
        return ByLaw(tuple(RULES[AUTO[law]] for law in draft.law.among), draft.law.which)
    rule = RULES[plan.rule]
    if rule.one_path and draft is not None and draft.width > 1:
        raise refused(plan, f"{rule.name} is for drafts of one path, and {draft.stage} drafts up to {draft.width} side by side")
    return rule


def check_shared(draft: Draft | None, plan: Plan) -> None:
    """What a drafter has a scorer do for it must be done in every row of every step: else its probes' answers would be stale, and
    the layers above those that drafted would not have the text.
    """
    for how, shared in (("from probes in", draft and draft.probes), ("with the first layers of", draft and draft.begun)):
        if draft and shared and shared.view not in [getattr(p.stage, "seat", None) for p in plan.scorers]:
            scorers = " and ".join(p.name for p in plan.scorers)
            raise PenstockError(
                f"stage {draft.stage} drafts {how} the view {shared.view}, which no verifier scores in every step: not {scorers}",
                fix="name the view that a verifier always scores in",
            )


def follow_paths(step: Step, plan: Plan, scored: Scored) -> None:
    """Path state of every automaton at every site."""
    for p in (p for p in plan.stages if p.automaton):
        with step.tracer.stage_of(p.name, p.source, origin="lift"):
            start = step.read(p.name)
            step.path_states[p.name] = site_states(step, p, start, step.draft, scored)


def site_states(step: Step, p: Placed, start: Any, draft: Draft | None, scored: Scored) -> Any:
    if draft is None:
        return widened(start, 1)
    raw = scored.raw if p.stage.raw_wanted else None
    bound = p.bound(step)
    return along_paths(bound.stage, start, draft.parent_site, draft.token, raw, **asking(bound))


def composed(step: Step, order: tuple[Placed, ...], scored: Scored) -> Any:
    """The acceptor's version of the logits."""
    logits = scored.raw
    for p in order:
        with step.tracer.stage_of(p.name, p.source, origin="lift"):
            if isinstance(p.stage, Composer):
                logits = shaped_as(logits, p.bound(step).whole.compose(step, logits, p.name))
            elif not p.automaton or p.has("read"):
                logits = transformed(step, p, logits, step.path_states.get(p.name))
    return logits


def cuts(step: Step, plan: Plan, scored: Scored, eos: tuple[int, ...]) -> tuple[Any, Any]:
    """``(last, closed)`` by site: where the selected token closes the step, and which sites nothing is read below."""
    last = closed = None
    for p in (p for p in plan.stages if p.automaton):
        state = step.path_states[p.name]
        if p.has("cut"):
            cut = lift(p.bound(step), "cut", state, scored.raw)
            last = cut if last is None else last | cut
        if p.has("end"):
            ended = lift(p.bound(step), "end", state)
            closed = ended if closed is None else closed | ended
    if eos and step.draft is not None:
        stop = reached_by(step.draft.token, eos)
        closed = stop if closed is None else closed | stop
    return last, closed


def settle(step: Step, plan: Plan, commit: Commit, scored: Scored, eos: tuple[int, ...]) -> None:
    """Views keep the path, registers step past the last token, the sequence grows, ended rows get their status."""
    for view in step.views:
        keep(f"view:{view}", "seq", commit.node, commit.count)
    ends = []
    for p in (p for p in plan.stages if p.automaton):
        before = at(step.path_states[p.name], commit.last_site)
        raw = at(scored.raw, commit.last_site) if p.stage.raw_wanted else None
        state = advanced(p.bound(step), before, commit.last_token, raw)
        put(f"reg:{p.name}", state)
        if p.has("end") and p.stage.status is not None:
            ends.append((lift(p.bound(step), "end", state, lead=1), int(p.stage.status)))
    for name, by_site in step.carried.items():
        put(f"reg:{name}", at(by_site, commit.last_site))
    for p in (p for p in plan.stages if p.has("learn")):
        with step.tracer.stage_of(p.name, p.source):
            p.stage.learn(step, commit, p.name)
    append("seq", commit.token, commit.count, eos)
    for ended, status in ends:
        end_rows("seq", ended, status)
