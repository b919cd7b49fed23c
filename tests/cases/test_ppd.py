"""Case: prompt-token probes in the target's own call, carried to the next step (library/drafters/ppd.py)."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from tiny_models import VOCAB, tiny_model
from torch import Tensor

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.certify import law_of, oracle_of, step_of
from penstock.backends.enumerate.law import total_variation
from penstock.backends.enumerate.scratch import ForwardCheck
from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.op import op
from penstock.ir.ops.forward import forward, keep, node_columns as columns
from penstock.ir.ops.probes import by_site, with_probes
from penstock.ir.ops.tree import ancestors
from penstock.ir.standin import StandIn
from penstock.ir.state import new_sequence, new_view
from penstock.library import ModelVerifier, Repetition, Temperature, ToyGrammar
from penstock.library.drafters.ppd import CARRIED, PROBES, PromptTokens
from penstock.passes.build import build
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, small_world

SMALL = PromptTokens(view="t").small(3)
DEEP = PromptTokens(view="t", candidates=((0,), (1,), (0, 0), (0, 1), (0, 0, 0)), prompts=(1, 2, 3, 1, 3), distances=3)
TARGET, GREEDY = ModelVerifier(model="t"), Temperature(value=0)
PROMPTS = [[1], [2, 0, 1], [0, 2]]
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))


@pytest.mark.parametrize("shape", [(), SHAPED, (GREEDY,)])
@pytest.mark.parametrize("drafter", [SMALL, DEEP])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
def test_exact_with_random_prompt_embeddings(shape, drafter, eos, batch):
    certificate = certify_stages([drafter, TARGET, *shape], limit=5, eos=eos, batch=batch, layers={"t": 2})
    assert certificate.holds, certificate.report()


def decoder(stages: Any, small: Any, *, eager: bool = True) -> Decoder:
    graph = step_of(elaborate(stages), small)
    return Decoder(graph, small.models, lower(graph) if eager else lambda *handles: Interpreter().run(graph.graph, handles))


Trace = list[tuple[int, list[Tensor]]]
"""A row's steps: how many tokens each committed, and the probes that it carried on."""


def carried(runs: Decoder, prompts: list[list[int]], limit: int) -> tuple[list[list[int]], list[Trace]]:
    """Each row's tokens and trace."""
    state = runs.start([Request({"t": p}, limit, key=b) for b, p in enumerate(prompts)])
    traces: list[Trace] = [[] for _ in prompts]
    while bool((live := state["seq"].live).any()):
        before = state["seq"].length.clone()
        state = dict(zip(runs.graph.handles, runs.step(*state.values()), strict=True))
        k, probes, new = state[f"reg:{CARRIED}"].value, state[f"reg:{PROBES}"].value, state["seq"].length - before
        for b in live.nonzero()[:, 0].tolist():
            traces[b].append((int(new[b]), list(probes[b, : int(k[b])])))
    seq = state["seq"]
    return [seq.tokens[b, :limit].tolist() for b in range(len(prompts))], traces


def by_text(model: TableModel, stage: PromptTokens, prompt: list[int], limit: int) -> tuple[list[int], Trace]:
    """PPD at temperature 0 as its card writes it, everything computed anew."""
    embeds = stage.embeddings(model.width)[: stage.distances].double()
    said = lambda text, probes: model.from_scratch(torch.cat([model.embed(torch.tensor(text)), embeds[:probes]]))  # noqa: E731
    text, guesses, trace = list(prompt), [], []
    while len(text) < len(prompt) + limit:
        order = [g.argsort(descending=True, stable=True).tolist() for g in guesses]
        tree = {tuple(order[d][r] for d, r in enumerate(path)): path for path in stage.candidates if len(path) <= len(order)}
        new, accepted = [int(said(text, 0)[-1].argmax())], ()
        while tuple(new) in tree and len(text) + len(new) < len(prompt) + limit:
            accepted = tree[tuple(new)]
            new.append(int(said(text + new, 0)[-1].argmax()))
        probes = dict(zip(((), *stage.candidates), stage.counts, strict=True))[accepted]
        guesses = list(said(text + new[:-1], probes)[-probes:])
        trace.append((len(new), guesses))
        text += new
    return text[len(prompt) :], trace


def as_the_card_says(vocab: int, drafter: PromptTokens, *, eager: bool) -> bool:
    """Whether tokens, steps and everything carried are those of `by_text`, rows of a batch at different states k."""
    stages, limit = [drafter, TARGET, GREEDY], 14
    small = small_world(stages, vocab=vocab, layers={"t": 2})
    tokens, traces = carried(decoder(stages, small, eager=eager), PROMPTS, limit)
    expected = [by_text(small.models["t"], drafter, prompt, limit) for prompt in PROMPTS]
    assert tokens == [text for text, _ in expected]  # lossless whatever is drafted
    steps = [pair for mine, (_, true) in zip(traces, expected, strict=True) for pair in zip(mine, true, strict=False)]
    same = lambda a, b: a[0] == b[0] and len(a[1]) == len(b[1]) and all(map(torch.allclose, a[1], b[1]))  # noqa: E731
    return all(same(a, b) for a, b in steps)


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("vocab", [3, 5])
def test_every_step_carries_the_probes_of_the_accepted_node(vocab, eager):
    assert as_the_card_says(vocab, DEEP, eager=eager)


def test_the_next_tree_is_as_deep_as_the_accepted_node_had_probes():
    """The card's third test: (0) has one prompt token, the root three."""
    stages = [DEEP, TARGET]
    _, traces = carried(decoder(stages, small_world(stages, vocab=3)), PROMPTS, 40)
    reached = {(len(before[1]), after[0]) for trace in traces for before, after in pairwise(trace)}
    assert all(new <= k + 1 for k, new in reached)
    assert {(1, 2), (2, 3), (3, 1), (3, 4)} <= reached
    assert {trace[0][0] for trace in traces} == {1}  # nothing is carried into the first step


def test_eager_is_the_interpreter():
    stages = [PromptTokens(view="t"), TARGET, Repetition(alpha=1.2)]
    small = small_world(stages, vocab=7, layers={"t": 2}, eos=(6,))
    for batch in (1, 3):
        for key in range(3):
            requests = [Request({"t": p}, 20 - 3 * b, key=10 * key + b) for b, p in enumerate(PROMPTS[:batch])]
            compiled, meant = (decoder(stages, small, eager=eager).decode(requests) for eager in (True, False))
            assert compiled == meant
    assert all(one.steps < len(one.tokens) for one in compiled if len(one.tokens) > 9)


@pytest.mark.parametrize("kind", ["table", "llama"])
def test_base_logits_do_not_see_the_prompt_nodes(kind):
    """The card's second test, in one call and after the accepted path has been kept."""
    model = TableModel(VOCAB, 1, 2) if kind == "table" else HuggingFaceModel(tiny_model(kind), kind)
    draft, live = torch.tensor([[5, 6, 7, 8, 9], [4, 3, 2, 1, 0]]), torch.ones(2, dtype=torch.bool)
    parents = (-1, -1, 0, 0, 2)
    ids, embeds, use = with_probes.meaning(draft, DEEP.embeddings(model.width))
    logits = []
    for probed in (False, True):
        seq = new_sequence(2, 40, key=torch.arange(2), limit=9)
        view = new_view(model, [[3, 1, 4], [1, 5]], 40)
        given = (ids, parents + DEEP.chains()) if probed else (draft, parents)
        inputs = dict(embeds=embeds, use_embed=use) if probed else {}
        view, first, _ = forward.meaning(view, seq, *given, root=True, live=live, **inputs)
        (view,) = keep.meaning(view, seq, torch.tensor([[0, 1, 3], [0, 2, 0]]), torch.tensor([3, 2]), live=live)
        seq.tokens[:, :3], seq.length = torch.tensor([[5, 7, 50], [3, 50, 0]]), torch.tensor([3, 2])
        assert view.cached.tolist() == [5, 3]  # prompt slots are not among the kept
        view, second, _ = forward.meaning(view, seq, root=True, live=live)
        logits.append((first[:, :6], second))
    for without, beside in zip(*logits, strict=True):
        torch.testing.assert_close(beside, without, atol=1e-5, rtol=0)


def test_greedy_on_a_transformer_is_lossless():
    model = HuggingFaceModel(tiny_model("qwen2"), "tiny")
    stages = [[PromptTokens(view="t"), TARGET, GREEDY], [TARGET, GREEDY]]
    requests = [Request({"t": p}, 24, key=b) for b, p in enumerate(([3, 1, 4], [1, 5]))]
    facts = StandIn("tiny", VOCAB, model.width, model.layers, model.capabilities)
    graphs = [build(elaborate(s), {"t": facts}) for s in stages]
    with_ppd, plain = (Decoder(graph, {"t": model}, lower(graph)).decode(requests) for graph in graphs)
    assert [r.tokens for r in with_ppd] == [r.tokens for r in plain]


def seeing_prompts(parents: Any, rows: int) -> Tensor:
    """Planted in SMALL: candidates see the first prompt node of their parent."""
    seen = ancestors(parents, rows)
    if len(parents) > 3:
        seen[:, 0, 3] = seen[:, 1, 3] = seen[:, 2, 5] = True
    return seen


def shifted(nodes: slice) -> Any:
    """Planted: these nodes stand one position too far on."""

    def node_columns(view: Any, seq: Any, tokens: Any, parents: Any, live: Any) -> Any:
        feed = columns(view, seq, tokens, parents, live)
        feed.positions[:, nodes] += 1
        return feed

    return node_columns


def keeping_prompts(view: Any, seq: Any, node: Tensor, count: Tensor, *, live: Tensor) -> Any:
    """Planted: the slots kept for accepted candidates are their neighbours', the prompts'."""
    return KEEP(view, seq, torch.where(node > 0, node + 3, node), count, live=live)


KEEP = keep.meaning
FORWARD = {"ancestors": seeing_prompts, "node_columns": shifted(slice(0, 3)), "keep": keeping_prompts}


@pytest.mark.parametrize("what", FORWARD)
def test_planted_faults_in_the_forward_change_the_law(what, monkeypatch):
    if what == "keep":
        monkeypatch.setitem(keep.__dict__, "meaning", FORWARD[what])
    else:
        monkeypatch.setattr(f"penstock.ir.ops.forward.{what}", FORWARD[what])
    stages = [SMALL, TARGET]
    with pytest.raises(AssertionError, match="from one from scratch"):
        certify_stages(stages, limit=5, layers={"t": 2})
    monkeypatch.setattr(ForwardCheck, "__call__", lambda *_: None)
    small = small_world(stages, limit=5, layers={"t": 2})
    assert total_variation(law_of(elaborate(stages), small).law, oracle_of(elaborate(stages[1:]), small)) > 1e-3


@op()
def of_the_root(values: Tensor, chains: tuple[tuple[int, ...], ...]) -> Tensor:
    """Planted: every site gets the root's probes, so that what is carried ignores what was accepted."""
    return by_site.meaning(values, chains)[:, :1].expand(-1, len(chains), -1, -1)


@op()
def always_all(k: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Planted: the deepest tree whatever the accepted node carried."""
    return torch.full((len(k), len(counts)), max(counts))


CARRYING = {
    "penstock.ir.step.by_site": of_the_root,
    "penstock.library.drafters.ppd.probes_at": always_all,
    "penstock.ir.ops.forward.node_columns": shifted(slice(len(DEEP.candidates), None)),
}


@pytest.mark.parametrize("where", CARRYING)
def test_planted_faults_in_what_is_carried_change_no_token_and_are_seen(where, monkeypatch):
    """Sample-and-match corrects any draft, so that only what is carried shows them."""
    monkeypatch.setattr(where, CARRYING[where])
    monkeypatch.setattr(ForwardCheck, "__call__", lambda *_: None)
    assert certify_stages([DEEP, TARGET], limit=4).holds
    assert not as_the_card_says(3, DEEP, eager=False)
