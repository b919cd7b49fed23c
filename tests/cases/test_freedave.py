"""FreeDave against static decoding written out by hand: the same tokens committed in the same order, in never more forwards."""

from math import ceil
from typing import Any, ClassVar

import pytest
import torch
from canvases import BLANK, MASK, Filled, N, V, fill, filled, infill, reordering, static, step_of
from torch import Tensor

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.runner import Decoder
from penstock.backends.runtime.table_denoiser import TableDenoiser
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.face import certify, compile, explain
from penstock.ir.errors import PenstockError
from penstock.ir.host import Feed, Forwarded
from penstock.ir.ops.canvas import chain_verify
from penstock.library import TopP
from penstock.library.constraints.toy import ToyGrammar
from penstock.library.denoisers.model import ModelDenoiser
from penstock.library.transforms.repetition import Repetition
from penstock.library.transforms.temperature import Temperature
from penstock.library.unmaskers.confidence import Confidence
from penstock.library.unmaskers.freedave import FreeDave
from penstock.library.unmaskers.threshold import Threshold
from penstock.passes.lint import linear, row_wise
from penstock.passes.order import elaborate
from penstock.testing import certify_stages


class Lean(Stage):
    """Plain torch on one position: the first token is made likelier."""

    kind: ClassVar[str] = "tests.lean"
    role: ClassVar[Any] = "transform"
    effect: ClassVar[Any] = "steers"

    def transform(self, logits: Any) -> Any:
        return torch.cat([logits[:1] + 1.5, logits[1:]])


def assert_same(found: Filled, truth, forwards: bool = True) -> None:
    assert (found.tokens, found.when) == truth[:2]
    if forwards:
        assert found.steps <= truth[2]


@pytest.mark.parametrize("d", [2, 4, 8])
def test_two_hundred_random_denoisers_decode_as_static_decoding_does(d):
    saved = 0
    for seed in range(100 * d, 100 * d + 67):
        model = TableDenoiser(V, seed, N, pair=0.5)
        (found,) = fill(model, [infill(BLANK)], FreeDave(drafts=d))
        truth = static(model, BLANK)
        assert_same(found, truth)
        saved += truth[2] - found.steps
    assert saved > 67 * 2  # it is an accelerator


@pytest.mark.parametrize(
    ("unmasker", "how", "block"),
    [
        (Confidence(per_step=2), dict(per_step=2), None),
        (Confidence(order="left_to_right"), dict(by_text=True), None),
        (Threshold(threshold=0.7), dict(threshold=0.7), None),
        (Confidence(), {}, 4),
        (Confidence(per_step=2), dict(per_step=2), 3),
        (Threshold(threshold=0.6, per_step=2), dict(threshold=0.6, per_step=2), 5),
    ],
)
def test_any_deterministic_unmasker_is_accelerated_losslessly(unmasker, how, block):
    total = [0, 0]
    for seed in range(12):
        model = TableDenoiser(V, seed, N, pair=0.4)
        truth = static(model, BLANK, block=block, **how)
        (found,) = fill(model, [infill(BLANK)], FreeDave(unmasker=unmasker, drafts=4), block=block)
        assert_same(found, truth)
        (plain,) = fill(model, [infill(BLANK)], unmasker, block=block)
        assert (plain.tokens, plain.when, plain.steps) == truth
        total = [total[0] + found.steps, total[1] + truth[2]]
    assert total[0] < total[1]


@pytest.mark.parametrize(("n", "d", "forwards"), [(12, 4, 4), (16, 8, 3), (13, 4, 4), (12, 1, 12), (1, 4, 1), (9, 8, 2)])
def test_forwards_where_logits_do_not_depend_on_other_tokens(n, d, forwards):
    model = TableDenoiser(V, 3, n, pair=0.0)
    (found,) = fill(model, [infill([MASK] * n)], FreeDave(drafts=d))
    assert found.steps == forwards == 1 + ceil((n - 1) / d)
    assert_same(found, static(model, [MASK] * n))


def test_one_draft_is_static_decoding_forward_by_forward():
    for seed in range(5):
        model = TableDenoiser(V, seed, N)
        (found,) = fill(model, [infill(BLANK)], FreeDave(drafts=1))
        assert (found.tokens, found.when, found.steps) == static(model, BLANK)


class Contrary(TableDenoiser):
    """After any reveal every other position wants another token."""

    def forward(self, cache: Any, feed: Feed) -> Forwarded:
        out = super().forward(cache, feed).logits
        shown = (feed.ids != MASK).sum(1)
        return Forwarded(self._flipped(out, shown[:, None]))

    def from_scratch(self, vectors: Tensor) -> Tensor:
        return self._flipped(super().from_scratch(vectors), (vectors[..., MASK] == 0).sum())

    def _flipped(self, logits: Tensor, shown: Tensor) -> Tensor:
        wanted = torch.nn.functional.one_hot((torch.arange(logits.shape[-2]) + shown) % V, self.vocab)
        return 0.1 * logits + 8 * wanted


def test_an_adversary_costs_no_forward_and_no_token():
    for seed in range(5):
        model = Contrary(V, seed, N)
        (found,) = fill(model, [infill(BLANK)], FreeDave(drafts=4))
        assert (found.tokens, found.when, found.steps) == static(model, BLANK)
        assert found.steps == N


def test_order_is_verified_and_not_only_tokens():
    (found,) = fill(reordering(), [infill([MASK] * 3)], FreeDave(drafts=2))
    assert (found.tokens, found.when, found.steps) == ([1, 2, 3], [0, 2, 1], 3)


def test_ties_are_nested():
    model = TableDenoiser(V, 0, N, pair=0.0)
    model.bias.zero_()
    (found,) = fill(model, [infill(BLANK)], FreeDave(drafts=4))
    assert_same(found, static(model, BLANK))
    assert found.when == list(range(N)) and found.steps == 4


ROWS = [
    infill([MASK, 2, MASK, MASK, 0, MASK, MASK, 1], {"m": [3, 1]}),
    infill([1, MASK, 0], {"m": []}),
    infill([MASK] * 6, {"m": [5, 0, 2]}),
]


@pytest.mark.parametrize("rows", [ROWS[:2], ROWS, [ROWS[0], infill([1, 2, 3, MASK])]])
def test_rows_of_other_lengths_prompts_and_masks_do_not_see_each_other(rows):
    for seed in range(4):
        model = TableDenoiser(V, seed, 12, pair=0.6)
        together = fill(model, rows, FreeDave(drafts=3))
        for row, found in zip(rows, together, strict=True):
            assert_same(found, static(model, row.canvas, row.prompts.get("m", ())))
            assert [found] == fill(model, [row], FreeDave(drafts=3))
    assert len({f.steps for f in together}) > 1  # they finish at different times


def test_the_generated_step_equals_the_interpreter_and_obeys_the_lints():
    graph = step_of(FreeDave(drafts=3))
    linear(graph.graph)
    assert row_wise(graph.graph) > 10
    for seed in range(3):
        model = TableDenoiser(V, seed, 12)
        for rows in (ROWS, ROWS[:1]):
            assert fill(model, rows, FreeDave(drafts=3)) == fill(model, rows, FreeDave(drafts=3), step="interpreter")


def test_transforms_of_single_positions_apply_in_every_branch():
    changed = 0
    for seed in range(6):
        model = TableDenoiser(V, seed, N, pair=0.5)
        (found,) = fill(model, [infill(BLANK)], FreeDave(drafts=4), Lean(), Temperature(value=0))
        assert_same(found, static(model, BLANK, lean=1.5))
        changed += found.tokens != static(model, BLANK)[0]
    assert changed


def test_branches_not_worth_a_forward_are_not_fed(monkeypatch):
    fed = []
    meaning = TableDenoiser.forward
    monkeypatch.setattr(
        TableDenoiser, "forward", lambda self, cache, feed: fed.append(len(feed.ids)) or meaning(self, cache, feed)
    )
    fill(TableDenoiser(V, 3, N, pair=0.0), [infill(BLANK)], FreeDave(drafts=4))
    assert fed == [1, 4, 4, 3]  # no predictions yet; then four static steps ahead; three are left to take


def test_a_full_canvas_with_an_end_of_text_ended_there():
    model = TableDenoiser(V, 3, 4, pair=0.0)
    (found,) = fill(model, [infill([MASK] * 4)], FreeDave())
    graph = step_of(FreeDave(), eos=(found.tokens[2],))
    decoder = Decoder(graph, {"m": model}, lower(graph))
    assert filled(decoder.generate(decoder.start([infill([MASK] * 4)])))[0].status == "eos"
    assert found.status == "length"


def test_what_a_canvas_cannot_have_is_refused_by_name():
    for stage, message in (
        (Temperature(value=0.7), r"transform\.temperature\.0: sampling on a canvas .* noise shared"),
        (Repetition(), r"transform\.repetition\.0 follows a path"),
        (ToyGrammar.over(V), r"constraint\.automaton\.0 follows a path"),
        (Confidence(), r"unmasker\.confidence\.0 and unmasker\.confidence\.1 are both unmaskers"),
    ):
        with pytest.raises(PenstockError, match=message):
            elaborate((ModelDenoiser(model="m"), FreeDave(), stage))
    with pytest.raises(PenstockError, match="needs an unmasker"):
        elaborate((ModelDenoiser(model="m"),))


def test_the_face_explains_and_proves_a_canvas_and_asks_for_a_model_with_a_mask():
    pipeline = Pipeline(models={"m": "zoo:target"}, stages=(ModelDenoiser(model="m"), FreeDave()))
    assert "reference: denoiser.model >> unmasker.confidence" in explain(pipeline)
    assert certify(pipeline).holds
    pipeline = Pipeline(models={"m": "table:7:1"}, stages=(ModelDenoiser(model="m"), FreeDave()))
    assert Pipeline.model_validate(pipeline.model_dump()) == pipeline
    with pytest.raises(PenstockError, match=r"denoiser.model.0 fills a canvas with table:7:1, whose tokenizer has no mask token"):
        compile(pipeline)


UNMASKERS = (Confidence(per_step=2), Confidence(order="left_to_right"), Threshold(threshold=0.4))


@pytest.mark.parametrize("block", [None, 2])
@pytest.mark.parametrize("unmasker", UNMASKERS, ids=lambda u: f"{u.kind}-{getattr(u, 'order', '')}")
def test_certify_finds_the_canvases_of_the_reference_and_of_the_definition(unmasker, block):
    stages = (ModelDenoiser(model="m", block=block), FreeDave(unmasker=unmasker, drafts=3), TopP(p=0.9))
    certificate = certify_stages(stages, limit=6)
    assert certificate.holds and len(certificate.found.law) == 16, certificate.report()
    assert certificate.found.columns > 16 * 6 and "nothing is drawn" in certificate.report()


def test_certify_sees_a_verification_that_ignores_positions(monkeypatch):
    def anywhere(drafts, targets, valid):
        agree = (drafts[:, 1:].sort(-1).values == targets[:, :-1].sort(-1).values).all(-1) & valid[:, 1:]
        return agree.long().cumprod(1).sum(1)

    monkeypatch.setitem(vars(chain_verify), "meaning", anywhere)
    found = [
        certify_stages((ModelDenoiser(model="m"), FreeDave(unmasker=Confidence(per_step=2), drafts=4)), limit=n).against_reference
        for n in (5, 6, 7, 8)
    ]
    assert max(found) > 0
