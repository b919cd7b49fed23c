"""Which ops and regions the eager backend replaces on the host; everything else runs its meaning."""

from dataclasses import replace
from functools import partial

from penstock.backends.eager import (
    ahead,
    bookkeeping,
    candidates,
    forward,
    pacing,
    race,
    ranks,
    shaping,
    stacked,
    state,
    thresholds,
)
from penstock.backends.eager.generate import Kernels, RegionKernels
from penstock.backends.eager.places import kernel
from penstock.backends.eager.rules import RULES
from penstock.backends.eager.walk import walk
from penstock.ir import draft
from penstock.ir.ops import (
    ahead as halves,
    candidates as few,
    forward as forwards,
    logits,
    pacing as paces,
    random,
    rows,
    sequence,
    threshold,
    tree,
)
from penstock.ir.ops.stacked import RESULTS, STACKED

OF_LOGITS: Kernels = {
    random.race: (kernel(race.race),),
    random.foresee: (kernel(race.race),),
    random.race_among: (kernel(race.race_among),),
    random.foresee_among: (kernel(race.race_among),),
    random.largest: (kernel(race.largest),),
    logits.scale: (kernel(shaping.scale),),
    logits.top_k: (kernel(shaping.top_k),),
    logits.top_p: (kernel(shaping.top_p),),
    threshold.min_p: (kernel(shaping.min_p),),
    logits.repetition_penalty: (kernel(shaping.repetition_penalty),),
    few.among: (kernel(candidates.among),),
    few.candidates: (kernel(candidates.candidates),),
    few.shaped_candidates: (kernel(candidates.shaped_candidates),),
    few.nucleus: (kernel(thresholds.nucleus),),
    few.near_the_top: (kernel(thresholds.near_the_top),),
    few.supported: (kernel(thresholds.supported),),
    logits.top_ids: (kernel(ranks.top_ids),),
}
"""Kernels that look into logits and distributions, which are the host's."""

KERNELS: Kernels = {
    **OF_LOGITS,
    forwards.forward: (kernel(forward.forward),),
    **{op: (replace(kernel(stacked.forward_stacked), gives=("tensor",) * RESULTS * n),) for n, op in STACKED.items()},
    forwards.keep: (kernel(state.keep),),
    forwards.keep_first: (kernel(state.keep_first),),
    halves.begun: (kernel(ahead.begun),),
    halves.awaited: (kernel(ahead.awaited),),
    sequence.look: (kernel(state.look),),
    sequence.append: (kernel(state.append),),
    sequence.put: (kernel(state.put),),
    paces.started: (kernel(pacing.started),),
    paces.paced: (kernel(pacing.paced),),
    paces.within: (kernel(pacing.within),),
    draft.stacked: (kernel(bookkeeping.stacked),),
    draft.repeated: (kernel(bookkeeping.repeated_columns),),
    draft.last_columns: (kernel(bookkeeping.last_columns),),
    draft.canonical_tip: (kernel(bookkeeping.canonical_tip),),
    rows.join: (kernel(bookkeeping.join_numbers), kernel(bookkeeping.join_columns)),
    rows.in_every_row: (kernel(bookkeeping.in_every_row),),
    rows.widened: (kernel(bookkeeping.widened),),
    rows.at: (kernel(bookkeeping.at),),
    rows.at_each: (kernel(bookkeeping.at_each),),
    tree.sites: (kernel(bookkeeping.sites),),
    tree.reached_by: (kernel(bookkeeping.reached_by),),
    tree.tip_row: (kernel(bookkeeping.tip_row),),
}
"""By op, the first kernel that fits a call's types."""

REGIONS: RegionKernels = {"walk": partial(walk, rules=RULES)}
