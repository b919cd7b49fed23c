"""A limit that is raised: the row goes on as if it had always been the higher one."""

import pytest
import torch

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.runner import Decoder, Request, forwards, read
from penstock.ir.errors import PenstockError
from penstock.library import HiddenThought, ModelDrafter, ModelVerifier, Repetition, Temperature
from penstock.passes.order import elaborate
from penstock.testing import small_world, step_of

GREEDY = (ModelDrafter(model="d", length=3, paths=2), ModelVerifier(model="t"), Repetition(), Temperature(value=0))
SAMPLED = (ModelVerifier(model="t"), Repetition())  # selection is by position: where steps end does not matter
THINKING = (HiddenThought(model="t", helper="h", marker=1), Repetition())
LIMITS = (4, 9, 6)


def started(stages, limits=LIMITS):
    """A decoder, and rows of unequal prompts with limits of their own."""
    world = small_world(stages, vocab=5, batch=3)
    step = step_of(elaborate(stages), world)
    decoder = Decoder(step, world.models, lower(step))
    rows = [{view: prompts[row] for view, prompts in world.prompts.items()} for row in range(3)]
    return decoder, decoder.start([Request(r, n, key) for key, (r, n) in enumerate(zip(rows, limits, strict=True))])


@pytest.mark.parametrize("evicted", [False, True])
@pytest.mark.parametrize("stages", [GREEDY, SAMPLED, THINKING], ids=["greedy", "sampled", "thinking"])
def test_rows_that_a_limit_ended_go_on_to_a_higher_one(stages, evicted):
    decoder, state = started(stages)
    state = decoder.generate(state)
    assert [len(row.tokens) for row in read(state)] == list(LIMITS)
    state = decoder.evict(state) if evicted else state
    longer = read(decoder.generate(decoder.resume(state, 40)))
    always = read(decoder.generate(started(stages, (40, 40, 40))[1]))
    assert [row.tokens for row in longer] == [row.tokens for row in always]


def test_a_lower_limit_changes_nothing_and_one_beyond_the_context_is_refused():
    decoder, state = started(GREEDY)
    before = read(state := decoder.generate(state))
    assert read(decoder.generate(decoder.resume(state, 3)))[1] == before[1]
    for model in decoder.models.values():
        model.context = 30
    with pytest.raises(PenstockError, match="exceed the 30"):
        decoder.resume(decoder.start([Request(dict.fromkeys(decoder.models, [1]), 3)]), 30)


def test_the_old_tokens_are_kept_bit_by_bit():
    decoder, state = started(SAMPLED)
    state = decoder.generate(state)
    tokens, cached = state["seq"].tokens.clone(), state["view:t"].cache.buffer.clone()
    state = decoder.resume(state, 40)
    assert torch.equal(state["seq"].tokens[:, : tokens.shape[1]], tokens)
    assert torch.equal(state["view:t"].cache.buffer[..., : cached.shape[-2] - 1, :], cached[..., :-1, :])


def test_each_row_counts_its_own_forwards_also_when_rows_end_join_and_go_on():
    decoder, state = started(SAMPLED)
    state = decoder.generate(state)
    assert [row["t"] for row in forwards(state)] == list(LIMITS)
    state = decoder.generate(decoder.resume(decoder.cat([state, decoder.take(state, [1])]), 12))
    assert [row["t"] for row in forwards(state)] == [12] * 4
