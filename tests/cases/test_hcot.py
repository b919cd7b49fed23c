"""Case: a marker's input is a helper's hidden state, mid-generation and under a drafter (library/verifiers/hcot.py)."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from tiny_models import tiny_model
from torch import Tensor

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.certify import law_of, oracle_of
from penstock.backends.enumerate.law import total_variation
from penstock.backends.enumerate.scratch import ForwardCheck
from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.noise import addresses, exponentials
from penstock.ir.ops.inject import at_root, inject
from penstock.ir.standin import StandIn
from penstock.library import ModelDrafter, Repetition, Temperature, ToyGrammar
from penstock.library.drafters.ppd import PromptTokens
from penstock.library.verifiers.hcot import HiddenThought
from penstock.passes.build import build
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, small_world

MARKER, LAYERS = 1, {"t": 2, "h": 2}
HCOT = HiddenThought(model="t", helper="h", marker=MARKER)
CHAIN, TREE = ModelDrafter(model="d", length=2), ModelDrafter(model="d", length=2, paths=2)
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))
PROMPTS = {"t": [[1], [2, 0, 1], [0, 2]], "helper:h": [[2, 1], [0], [1, 1, 0]], "draft:d": [[0], [1], [2, 2]]}


def own(batch: int) -> dict[str, list[list[int]]]:
    """The helper's own prompts, a row of which ends at a marker: a plain token, as all of a prompt is."""
    return {"helper:h": PROMPTS["helper:h"][:batch]}


@pytest.mark.parametrize("drafter", [CHAIN, TREE, PromptTokens(view="t").small(3), None])
@pytest.mark.parametrize("shape", [(), SHAPED])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
def test_exact_under_a_drafter(drafter, shape, eos, batch):
    stages = [*([drafter] if drafter else []), HCOT, *shape]
    certificate = certify_stages(stages, limit=4, eos=eos, batch=batch, layers=LAYERS, prompts=own(batch))
    assert certificate.holds, certificate.report()
    assert not certificate.not_exercised


def by_text(request: Request) -> list[int]:
    """Sampling with hidden thoughts as the card writes it: no cache, every vector computed anew for every token."""
    text: list[int] = []
    target, helper = MODELS["t"], MODELS["helper:h"]
    while len(text) < request.limit:
        prompt = list(request.prompts["t"])
        vectors = target.embed(torch.tensor(prompt + text))
        for t in (t for t, token in enumerate(text) if token == MARKER):
            seen = list(request.prompts["helper:h"]) + text[: t + 1]
            vectors[len(prompt) + t] = helper.from_scratch(helper.embed(torch.tensor(seen)))[-1]
        weights = target.from_scratch(vectors)[-1].softmax(-1)
        place = addresses(torch.tensor([request.key]), "acceptor.walk.0", "select", (torch.tensor([len(text)]),))
        text.append(int((exponentials(place, len(weights))[0] / weights).argmin()))
    return text


MODELS = small_world([CHAIN, HCOT], vocab=4, layers=LAYERS).models
"""By view; the drafter's is not used by every pipeline below."""


def decoder(stages: Any, models: Any = MODELS, *, eager: bool = True) -> Decoder:
    facts = {v: StandIn(v, m.vocab, m.width, m.layers, m.capabilities) for v, m in models.items()}
    graph = build(elaborate(stages), facts)
    return Decoder(graph, models, lower(graph) if eager else lambda *handles: Interpreter().run(graph.graph, handles))


def matched(drafter: Any) -> Any:
    """Stages whose tokens no drafter changes."""
    return [drafter, HiddenThought(model="t", helper="h", marker=MARKER, rule="match")]


def request(b: int, key: int, limit: int = 10) -> Request:
    return Request({view: rows[b] for view, rows in PROMPTS.items()}, limit, key)


@pytest.fixture(scope="module")
def chosen() -> list[tuple[Request, list[int]]]:
    """One request a row, with what it says: 0, 1 and 3 hidden thoughts."""
    found = []
    for b, count in enumerate((0, 1, 3)):
        tried = ((request(b, key), by_text(request(b, key))) for key in range(200))
        found.append(next(pair for pair in tried if pair[1].count(MARKER) == count))
    return found


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("drafter", [CHAIN, TREE, PromptTokens(view="t", candidates=((0,), (1,), (0, 0)))])
def test_cached_is_uncached_with_0_1_and_3_thoughts(drafter, eager, chosen):
    runs = decoder(matched(drafter), eager=eager)
    texts = [text for _, text in chosen]
    assert [d.tokens for d in runs.decode([r for r, _ in chosen])] == texts
    assert [runs.decode([r])[0].tokens for r, _ in chosen] == texts


def test_eager_is_the_interpreter_under_speculative_sampling():
    stages = [TREE, HCOT, Repetition(alpha=1.1)]
    for batch in (1, 3):
        requests = [request(b, 7 * b, 24 - 5 * b) for b in range(batch)]
        compiled, meant = (decoder(stages, eager=eager).decode(requests) for eager in (True, False))
        assert compiled == meant
    assert sum(d.tokens.count(MARKER) for d in compiled) > 3


def test_the_helper_runs_where_a_root_is_a_marker_and_nowhere_else(chosen):
    calls = []

    class Counting(TableModel):
        def forward(self, cache: Any, feed: Any) -> Any:
            calls.append((feed.slots < cache.slots).any(1).tolist())
            return super().forward(cache, feed)

    counting = Counting(4, 0, 2)
    counting.tables = MODELS["helper:h"].tables
    runs = decoder(matched(CHAIN), {**MODELS, "helper:h": counting})
    state = runs.generate(runs.start([r for r, _ in chosen]))
    fed = [sum(rows) for rows in zip(*calls, strict=True)]
    markers = [text[:-1].count(MARKER) for _, text in chosen]  # a last token is never a root
    assert fed == markers and max(markers) >= 2
    last = [max((t for t, token in enumerate(text[:-1]) if token == MARKER), default=None) for _, text in chosen]
    seen = [0 if t is None else len(PROMPTS["helper:h"][b]) + t + 1 for b, t in enumerate(last)]
    assert state["view:helper:h"].cached.tolist() == seen


def test_greedy_on_transformers_is_the_full_recomputation():
    plain = {"t": tiny_model("llama"), "helper:h": tiny_model("qwen2"), "draft:d": tiny_model("llama")}
    models = {view: HuggingFaceModel(deepcopy(model), view) for view, model in plain.items()}
    prompts = [3, 1, 4], [1, 5]
    marker = recomputed(plain, prompts[0], -1)[3]
    expected = [recomputed(plain, prompt, marker) for prompt in prompts]
    assert expected[0] != recomputed(plain, prompts[0], -1)
    hcot = HiddenThought(model="t", helper="h", marker=marker)
    runs = decoder([ModelDrafter(model="d", length=3), hcot, Temperature(value=0)], models)
    requests = [Request(dict.fromkeys(models, prompt), 12, key=0) for prompt in prompts]
    assert [d.tokens for d in runs.decode(requests)] == expected


@torch.no_grad()
def recomputed(models: Any, prompt: list[int], marker: int) -> list[int]:
    """Transformers' own forwards over ``inputs_embeds``, a state before the helper's final norm in each marker's place."""
    target, helper, states = models["t"], models["helper:h"], []
    listening = helper.model.norm.register_forward_pre_hook(lambda _, given: states.append(given[0]))
    text = list(prompt)
    for _ in range(12):
        vectors = target.get_input_embeddings()(torch.tensor([text]))
        for t in (t for t in range(len(prompt), len(text)) if text[t] == marker):
            helper(torch.tensor([text[: t + 1]]))
            vectors[0, t] = states[-1][0, -1]
        text.append(int(target(inputs_embeds=vectors).logits[0, -1].argmax()))
    listening.remove()
    return text[len(prompt) :]


def test_a_thought_does_not_depend_on_what_follows():
    runs = decoder(matched(CHAIN))
    state = runs.generate(runs.start([request(0, key) for key in range(24)]))
    by_past: dict[tuple[int, ...], list[Tensor]] = {}
    for b, text in enumerate(state["seq"].tokens[:, :10].tolist()):
        for t in (t for t, token in enumerate(text[:-1]) if token == MARKER):
            by_past.setdefault(tuple(text[: t + 1]), []).append(state["view:t"].override[b, t])
    shared = [vectors for vectors in by_past.values() if len(vectors) > 1]
    assert shared and all(torch.equal(one, vectors[0]) for vectors in shared for one in vectors)


class Unclosed(HiddenThought):
    """Planted: a marker does not close the step, so that the slot of its plain embedding is kept."""

    def end(self, state: Tensor) -> Tensor:
        return state & False


class Leaking(HiddenThought):
    """Planted: the hidden state is read behind the draft, after text that is not there yet."""

    def prepare(self, step: Any, stage: str) -> None:
        """Not before there is a draft."""

    def score(self, step: Any, stage: str) -> Any:
        super().prepare(step, stage)
        return super().score(step, stage)

    def think(self, step: Any) -> list[Any]:
        nodes = step.draft.token, step.draft.parents
        _, hidden = step.forward(self.helper_seat, *nodes, root=True, want_hidden=True)
        inject(f"view:{self.seat}", "seq", hidden[-1][:, -1], step.length - 1)
        return []


class Late(HiddenThought):
    """Planted: the vector is written at t + 1."""

    def think(self, step: Any) -> list[Any]:
        _, hidden = step.forward(self.helper_seat, want_hidden=True)
        inject(f"view:{self.seat}", "seq", at_root(hidden[-1]), step.length)
        return []


class Thoughtless(HiddenThought):
    """Planted: the marker is a plain token, a mere pause."""

    def think(self, step: Any) -> list[Any]:
        return []


@pytest.mark.parametrize("planted", [Unclosed, Leaking, Late, Thoughtless])
def test_planted_faults_change_the_law(planted, monkeypatch):
    monkeypatch.setattr(ForwardCheck, "__call__", lambda *_: None)
    stages = [CHAIN, planted(model="t", helper="h", marker=MARKER)]
    small = small_world(stages, limit=4, layers=LAYERS, prompts=own(1))
    assert total_variation(law_of(elaborate(stages), small).law, oracle_of(elaborate([HCOT]), small)) > 1e-3
