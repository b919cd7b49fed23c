"""Case: DEL's controller against the card's numbers and an oracle that reads no cache, graph or register."""

import pytest
import torch
from early_exit import TARGET, agreeing, exits

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.library import Del, Temperature
from penstock.library.drafters import del_
from penstock.library.drafters.del_ import agreement, between, choice, decayed, tokens_a_layer
from penstock.passes.build import build
from penstock.passes.order import elaborate

ALPHA = {1: 0.5, 2: 0.7, 3: 0.78, 4: 0.85, 6: 0.95}
PROMPTS = ([1], [2, 0, 1], [4, 3])


def counts(alpha):
    """A register that has these acceptance rates, for one row."""
    return torch.tensor([[[[a, 1 - a], [0.0, 0.0]] for a in alpha]], dtype=torch.float64)


def test_tokens_a_layer_are_the_closed_form():
    assert float(tokens_a_layer(torch.tensor([[0.8]]), (2,), 8, 4)[0, 4, 0]) == pytest.approx(0.21010, abs=1e-5)
    table = tokens_a_layer(torch.tensor([list(ALPHA.values())]), tuple(ALPHA), 8, 17)[0]
    assert float(table[2, 1]) == pytest.approx(0.1825, abs=1e-6)
    assert float(table[:, 0].max()) == pytest.approx(0.1750, abs=1e-6)
    assert torch.equal(table[0], torch.full((5,), 0.125))


def chosen(shadow=None, live=(True,)):
    shadow = counts(ALPHA.values()) if shadow is None else shadow
    return choice(shadow, torch.tensor(live), tuple(ALPHA), 8, 17)[0].tolist()


def test_the_choice_is_the_largest():
    assert chosen() == [2, 2]


def test_counting_the_last_column_twice_is_seen(monkeypatch):
    def doubled(alpha, layers, whole, longest):
        g = torch.arange(longest + 1)[:, None]
        return (alpha[:, None] ** g).cumsum(1) / (whole + g * torch.tensor(layers) + torch.tensor(layers))

    monkeypatch.setattr(del_, "tokens_a_layer", doubled)
    assert chosen() != [2, 2]


def test_rows_that_ended_have_no_say_and_the_others_share_one_choice():
    never, always = counts([0.0] * 5), counts([1.0] * 5)
    assert chosen(torch.cat([never, always])[[0, 1, 1]], (True, False, False)) == [1, 0]
    assert chosen(torch.cat([never, always])[[0, 1, 1]], (False, True, True)) == [1, 17]
    both = choice(torch.cat([never, always]), torch.tensor([True, True]), tuple(ALPHA), 8, 17)
    assert torch.equal(both[0], both[1])


def test_positions_after_the_committed_path_do_not_count():
    """The exit is wrong at index 2 of 5, so three sites are committed: every exit counts just these."""
    full = torch.eye(4)[[0, 1, 2, 3, 0]][None] * 3
    shadow = torch.stack([full, full.clone(), full.flip(1)], 1)
    shadow[:, 0, 2] = torch.eye(4)[3] * 3
    seen = agreement(shadow, full, torch.tensor([3]))
    assert seen[0, :, 0].sum(-1).tolist() == [3, 3, 3]
    assert seen[0, :, 0, 0].tolist() == [2, 3, 2]
    sure = float(torch.tensor([3.0, 0, 0, 0]).double().softmax(0)[0])
    assert seen[0, 0, 1].tolist() == pytest.approx([2 * sure, sure])


def test_counts_are_decayed_sums():
    total = torch.zeros(1, 1, dtype=torch.float64)
    for _ in range(20):
        total = decayed(total, torch.full((1, 1), 3.0, dtype=torch.float64), 0.95)
    assert float(total) == pytest.approx(38.4908, abs=1e-4)


def test_tau_is_between_the_two_means_and_0_before_both():
    seen = torch.tensor([[[[4.0, 2.0], [3.6, 0.8]], [[5.0, 0.0], [4.5, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    assert [float(between(seen, i)) for i in range(3)] == pytest.approx([(0.9 + 0.4) / 2, 0, 0])


@pytest.mark.parametrize(("omega", "soonest", "latest"), [(0.95, 1, 60), (1.0, 100, 10_000)])
def test_the_choice_follows_a_change_as_fast_as_counts_decay(omega, soonest, latest):
    """Exits 1 and 4 of 8 trade places after 100 steps of five positions; without decay it takes longer than they had lasted."""
    shadow, before, after = torch.zeros(1, 2, 2, 2).double(), counts([0.9, 0.3]) * 5, counts([0.3, 0.9]) * 5
    for _ in range(100):
        shadow = decayed(shadow, before, omega)
    assert int(choice(shadow, torch.tensor([True]), (1, 4), 8, 8)[0, 0]) == 1
    steps = 0
    while int(choice(shadow, torch.tensor([True]), (1, 4), 8, 8)[0, 0]) == 1:
        shadow, steps = decayed(shadow, after, omega), steps + 1
    assert soonest <= steps <= latest


def oracle(model, text, first, used, drafted, omega, shadow):
    """The card's steps 4 and 5 for one row and step: compare argmaxes from the root on, clip at the used exit's first miss."""
    said = [logits[first : first + drafted + 1] for logits in exits(model, text)]
    token = [x.argmax(-1) for x in said]
    wrong = (token[used - 1] != token[-1]).nonzero()[:, 0].tolist()
    upto = (wrong[0] if wrong and drafted else drafted) + 1
    for e in range(len(shadow)):
        match = (token[e] == token[-1])[:upto]
        conf = said[e].softmax(-1).amax(-1)[:upto]
        new = [match.sum(), (~match).sum()], [(conf * match).sum(), (conf * ~match).sum()]
        shadow[e] = omega * shadow[e] + torch.tensor(new)
    return upto


def run():
    """Registers after every step of a greedy batch, beside the oracle's; ``(worst difference, buckets met)``."""
    model, stage = agreeing(5, 3, (2, 4)), Del(model="target", exits=(1, 2), longest=4, omega=0.7, stop=False)
    step = build(elaborate([stage, TARGET, Temperature(value=0.0)]), {"target": model})
    decoder = Decoder(step, {"target": model}, lower(step))
    state = decoder.start([Request({"target": p}, 60) for p in PROMPTS])
    greedy = [greedy_text(model, prompt, 64) for prompt in PROMPTS]
    shadows, met, worst = [torch.zeros(2, 2, 2).double() for _ in PROMPTS], set(), 0.0
    for _ in range(8):
        bucket = tuple(state["reg:del.choice"].value[0].tolist())
        before = state["seq"].length.tolist()
        state = dict(zip(step.handles, decoder.step(*[state[h] for h in step.handles]), strict=True))
        met.add(bucket)
        for row, prompt in enumerate(PROMPTS):
            root = len(prompt) + before[row] - 1
            upto = oracle(model, greedy[row], root, *bucket, 0.7, shadows[row])
            assert int(state["seq"].length[row]) - before[row] == upto
            worst = max(worst, float((state["reg:del.shadow"].value[row] - shadows[row]).abs().max()))
        assert state["reg:del.choice"].value.unique(dim=0).shape[0] == 1
    return worst, met


def greedy_text(model, prompt, length):
    """The full model's own greedy text."""
    text = list(prompt)
    while len(text) < length:
        text.append(int(exits(model, text)[-1][-1].argmax()))
    return text


def test_registers_are_what_the_exits_say_from_scratch():
    """The wrong context after a miss does not matter to the oracle: it reads the committed text alone."""
    worst, met = run()
    assert worst < 1e-9
    assert len(met) >= 2


def test_counting_positions_after_a_rejection_is_seen(monkeypatch):
    honest = del_.agreement
    monkeypatch.setattr(del_, "agreement", lambda shadow, full, count: honest(shadow, full, count * 0 + 99))
    worst, _ = run()
    assert worst > 0.1


def test_exits_off_by_one_layer_are_seen(monkeypatch):
    honest = del_.layers_of
    monkeypatch.setattr(del_, "layers_of", lambda *states: honest(*states[1:], states[0]))
    worst, _ = run()
    assert worst > 0.1


def test_exits_that_never_agree_end_in_plain_forwards(monkeypatch):
    """An untrained model: no layer but the last is asked for anything once that is known."""
    model = TableModel(5, 3, 3)
    model.tables[2] = -6 * model.tables[2].abs()
    for token in range(5):  # the last layer says what the one before it is surest not to be
        model.tables[2, token, :, (token + 1) % 5] = 9.0
    step = build(elaborate([Del(model="target", exits=(1, 2), longest=4), TARGET]), {"target": model})
    decoder = Decoder(step, {"target": model}, lower(step))
    state = decoder.start([Request({"target": p}, 40) for p in PROMPTS])
    for _ in range(12):
        state = dict(zip(step.handles, decoder.step(*[state[h] for h in step.handles]), strict=True))
    assert state["reg:del.choice"].value[:, 1].tolist() == [0, 0, 0]
    ranges, forward = [], TableModel.forward
    monkeypatch.setattr(TableModel, "forward", lambda self, cache, feed: ranges.append(feed.layers) or forward(self, cache, feed))
    decoder.generate(state)
    assert set(ranges) == {None}
