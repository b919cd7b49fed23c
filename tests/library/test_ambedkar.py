"""AMBEDKAR against its card's numbers: shares, null and aligned branches, brute force, both penalties, caches."""

import math
from functools import cache

import pytest
import torch
from ambedkar_oracle import Method, js, probabilities, share
from tiny_models import VOCAB
from whole_transformers import Whole, weights

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.dsl.pipeline import Pipeline
from penstock.face import certify, compile
from penstock.ir.errors import PenstockError
from penstock.ir.ops import forward
from penstock.ir.ops.divergence import js as full_js, js_shares
from penstock.ir.standin import StandIn
from penstock.library import Ambedkar, ModelDrafter, ModelVerifier, Temperature
from penstock.library.steer.ambedkar import candidates, of_candidates
from penstock.passes.build import build
from penstock.passes.order import elaborate
from penstock.testing import interpreted, views_of

TARGET, DRAFT = ModelVerifier(model="t"), ModelDrafter(model="d", length=3, paths=2)
GREEDY = Temperature(value=0)


def steered(**fields):
    return Ambedkar(**dict(model="v", view="swapped") | fields)


def random_pair(vocab, seed):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(2, vocab, generator=draws, dtype=torch.float64) * 2


def test_shares_add_up_to_the_divergence():
    for seed in range(50):
        a, b = random_pair(16, seed)
        shares, p, q = js_shares(a, b), probabilities(a.tolist()), probabilities(b.tolist())
        assert float(shares.sum()) == pytest.approx(js(p, q), abs=1e-10)
        assert shares.tolist() == pytest.approx([share(x, y) for x, y in zip(p, q, strict=True)], abs=1e-12)
        assert bool((shares >= 0).all()) and torch.equal(shares, js_shares(b, a))
        assert float(full_js(a, b)) <= math.log(2)
    assert not js_shares(a, a).any()


def test_the_shares_of_impossible_tokens_and_the_largest_divergence():
    a, b = torch.tensor([0.0, -torch.inf, -torch.inf]), torch.tensor([-torch.inf, 0.0, -torch.inf])
    assert js_shares(a, b).tolist() == pytest.approx([math.log(2) / 2, math.log(2) / 2, 0])
    assert js_shares(a.bfloat16(), b.bfloat16()).dtype == torch.float32


def chosen(stage, logits, fair, swapped):
    """The token selected at one site a row."""
    tokens, log_p = candidates(logits, stage.k)
    return stage.selected(logits, tokens, log_p, of_candidates(js_shares(fair, swapped), tokens)).argmax(-1)


def test_the_selection_by_brute_force():
    rows = torch.randn(3, 1000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    logits, fair, swapped = rows
    p, shares = logits.log_softmax(-1), js_shares(fair, swapped)
    for alpha in (0.0, 0.5, 1.0, 10.0, 1e6):
        assert torch.equal(chosen(steered(alpha=alpha, k=5), logits, fair, swapped), (p - alpha * shares).argmax(-1))
    least, second = shares.topk(2, largest=False).values.unbind(-1)
    clear = second - least > 2e-5
    by_weight, by_least = (chosen(steered(k=5, **f), logits, fair, swapped) for f in (dict(alpha=1e6), dict(select="argmin")))
    assert torch.equal(by_least, shares.argmin(-1)) and torch.equal(by_weight[clear], by_least[clear])
    assert clear.sum() > 950


def test_only_the_likeliest_are_candidates_and_ties_go_to_the_likelier():
    logits, same = torch.tensor([[0.0, 3.0, 2.0, 1.0]]), torch.zeros(1, 4)
    tokens, _ = candidates(logits, 2)
    assert tokens.tolist() == [[1, 2]]
    sampled = steered(k=2, select="sample", temperature=2.0).selected(logits, *candidates(logits, 2), torch.tensor([[0.5, 0.0]]))
    log_p = logits.log_softmax(-1)[0]
    assert sampled[0].tolist() == pytest.approx([-math.inf, float(log_p[1]) / 2 - 0.5, float(log_p[2]) / 2, -math.inf])
    assert chosen(steered(k=3, select="argmin"), logits, same, same).tolist() == [1]  # all tie
    masked = torch.tensor([[0.0, -torch.inf, 1.0, -torch.inf]])
    moving = torch.tensor([[5.0, 0.0, 0.0, 0.0]])
    for select in ("argmax", "argmin"):  # a masked token does not win for having moved least
        assert chosen(steered(k=4, alpha=100.0, select=select), masked, moving, same).tolist() == [2]


def test_an_exempt_token_is_not_penalised():
    logits, fair, swapped = torch.tensor([[2.0, 1.0]]), torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert chosen(steered(alpha=100.0, k=2, exempt=(0,)), logits, fair, swapped).tolist() == [0]
    assert chosen(steered(alpha=100.0, k=2, exempt=(1,)), logits, fair, swapped).tolist() == [1]
    with pytest.raises(PenstockError, match="argmin of D selects whatever is exempt"):
        steered(select="argmin", exempt=(0,))


def decoded(stages, models, prompts, others, limit, run=lower):
    """Tokens by row; the prompts of the swapped view are the others."""
    bound = {view: models["v" if view == "swapped" else view] for view in views_of(stages)}
    facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in bound.items()}
    step = build(elaborate(stages), facts)
    rows = [{v: other if v == "swapped" else x for v in bound} for x, other in zip(prompts, others, strict=True)]
    requests = [Request(row, limit, key=i) for i, row in enumerate(rows)]
    return [row.tokens for row in Decoder(step, bound, run(step)).decode(requests)]


def tables(vocab, layers=1):
    return {"t": TableModel(vocab, 1), "v": TableModel(vocab, 2, layers), "draft:d": TableModel(vocab, 3)}


PROMPTS, OTHERS = [[1], [2, 0, 1], [0, 2], [3, 4, 5]], [[0, 2], [2, 4, 1], [3], [6, 3, 3, 4, 5]]


@pytest.mark.parametrize("penalty", ["local", "after"])
@pytest.mark.parametrize("drafter", [(), (DRAFT,)])
def test_a_null_counterfactual_is_the_target_whatever_alpha(penalty, drafter):
    models = tables(7, layers=2)
    plain = decoded((*drafter, TARGET, GREEDY), models, PROMPTS, PROMPTS, 16)
    for alpha in (0.5, 1e6):
        stage = steered(alpha=alpha, penalty=penalty)
        assert decoded((*drafter, TARGET, stage), models, PROMPTS, PROMPTS, 16) == plain
    assert decoded((*drafter, TARGET, stage), models, PROMPTS, OTHERS, 16) != plain  # at the larger alpha


@pytest.mark.parametrize("penalty", ["local", "after"])
def test_branches_are_aligned_a_bigram_verifier_sees_no_difference(penalty):
    models = tables(7)
    models["v"].tables = models["v"].tables[:, :, :1].expand(-1, -1, 8, -1)  # only the last token counts
    prompts, others = [[1, 4], [2, 0, 1]], [[3, 3, 4], [5, 1]]
    plain = decoded((DRAFT, TARGET, GREEDY), models, prompts, others, 16)
    assert decoded((DRAFT, TARGET, steered(alpha=1e6, penalty=penalty)), models, prompts, others, 16) == plain


def test_the_penalty_after_rejects_what_the_local_one_cannot_tell_apart():
    """Candidates 0 and 1 are as likely in both branches now; after 1 the branches part."""
    base, verifier = TableModel(4, 1), TableModel(4, 2)
    base.tables[0, :, :] = torch.tensor([1.0, 1.1, -9.0, -9.0], dtype=torch.float64)
    verifier.tables[0, 2:4, :] = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    verifier.tables[0, 0, :] = 0.0
    verifier.tables[0, 1, 2], verifier.tables[0, 1, 3] = torch.eye(4, dtype=torch.float64)[:2] * 5
    models = {"t": base, "v": verifier}
    fair, swapped = (verifier.from_scratch(verifier.embed(torch.tensor([x])))[-1] for x in (2, 3))
    assert not js_shares(fair, swapped).any()  # a tie
    assert decoded((TARGET, steered(k=2, alpha=1.0)), models, [[2]], [[3]], 1) == [[1]]
    assert decoded((TARGET, steered(k=2, alpha=1.0, penalty="after")), models, [[2]], [[3]], 1) == [[0]]


KINDS = dict(t="qwen2", v="llama")
LONG = dict(local=(40, dict(alpha=300.0, k=4)), after=(12, dict(alpha=10.0, k=3)))


@cache
def recomputed(penalty):
    """Every row's text, each branch from scratch at every token; the prompts are felt to the end."""
    limit, fields = LONG[penalty]
    base, verifier = (Whole(KINDS[name]) for name in "tv")
    rows = [Method(base, verifier, x, o, **fields, after=penalty == "after") for x, o in zip(PROMPTS, OTHERS, strict=True)]
    texts = [method.best(limit) for method in rows]
    felt = [max(share(p, q) for p, q in zip(*m.branches(text), strict=True)) for m, text in zip(rows, texts, strict=True)]
    assert min(felt) > 1e-3  # the branches still differ at the end
    return texts


def transformers():
    return {name: HuggingFaceModel(weights(KINDS[name]), name) for name in "tv"} | {"draft:d": TableModel(VOCAB, 3)}


@pytest.mark.parametrize("penalty", ["local", "after"])
@pytest.mark.parametrize("drafter", [(), (DRAFT,)])
def test_three_caches_say_what_recomputing_says(penalty, drafter):
    limit, fields = LONG[penalty]
    stages, models = (*drafter, TARGET, steered(penalty=penalty, **fields)), transformers()
    assert decoded(stages, models, PROMPTS, OTHERS, limit) == recomputed(penalty)
    assert decoded((*drafter, TARGET, GREEDY), models, PROMPTS, OTHERS, limit) != recomputed(penalty)


def test_positions_that_drift_in_the_counterfactual_branch_change_tokens(monkeypatch):
    """Planted: generated tokens stand in the swapped view where they stand in the target's."""
    due = forward.text_due

    def drifted(view, seq, live):
        feed = due(view, seq, live)
        longer = torch.tensor([len(o) - len(x) for x, o in zip(PROMPTS, OTHERS, strict=True)])
        if view.prefix.shape[1] == max(map(len, OTHERS)):
            feed.positions = torch.where((view.cached > 0)[:, None], feed.positions - longer[:, None], feed.positions).clamp(
                min=0
            )
        return feed

    monkeypatch.setattr(forward, "text_due", drifted)
    limit, fields = LONG["local"]
    assert decoded((TARGET, steered(**fields)), transformers(), PROMPTS, OTHERS, limit, interpreted) != recomputed("local")


def test_a_spec_reads_its_counterfactual_view():
    models = {"t": "table:7:1", "v": "table:7:2", "d": "table:7:3"}
    swap = {"prompt.counterfactual": {"swap": {"1": "5"}}}
    stages = (DRAFT, TARGET, steered(alpha=30.0, penalty="after"))
    pipeline = Pipeline(models=models, views={"swapped": {"model": "v", "prompt": swap}}, stages=stages)
    certificate = certify(pipeline)
    assert certificate.holds, certificate.report()
    rows = [row.tokens for row in compile(pipeline).generate(["0 1", "5 2"], max_new_tokens=12)]
    tables = {name: TableModel(7, seed) for name, seed in (("t", 1), ("v", 2))}
    fields = dict(alpha=30.0, k=5, after=True)
    assert rows == [Method(tables["t"], tables["v"], x, o, **fields).best(12) for x, o in (([0, 1], [0, 5]), ([5, 2], [1, 2]))]


def test_the_defaults_are_the_authors():
    stage = steered()
    assert (stage.alpha, stage.k, stage.penalty, stage.select) == (1.0, 5, "local", "argmax")
    assert stage.views() == {"v": "v", "swapped": "v"} and stage.room_a_site == 0
    assert steered(penalty="after", k=3).room_a_site == 3


def test_one_view_for_both_branches_is_refused():
    with pytest.raises(PenstockError, match="both branches are the view fair"):
        Ambedkar(model="fair", view="fair")
