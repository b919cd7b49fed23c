"""Case: vectors in place of embeddings belong to their row and their position (ir/ops/inject.py, the view's override table)."""

from typing import Any

import pytest
import torch
from tiny_models import tiny_model
from torch import Tensor

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request, fork, take
from penstock.backends.runtime.table import TableModel
from penstock.ir.errors import PenstockError
from penstock.ir.ops.forward import forward
from penstock.ir.ops.inject import inject
from penstock.ir.rows import Rows, State
from penstock.ir.standin import StandIn
from penstock.ir.state import View, new_sequence, new_view
from penstock.library import ModelDrafter
from penstock.library.verifiers.hcot import HiddenThought
from penstock.passes.build import build
from penstock.passes.order import elaborate

MARKER = 1
STAGES = [ModelDrafter(model="d", length=2), HiddenThought(model="t", helper="h", marker=MARKER, rule="match")]
MODELS = {"t": TableModel(4, 3, 2), "helper:h": TableModel(4, 2, 2), "draft:d": TableModel(4, 1)}


def logits_after(model: Any, text: list[int], where: int, vector: Tensor | None, *, late: bool) -> list[Tensor]:
    """The root's logits for every prefix of a suffix, each computed in a view of its own; ``late``: injected once cached."""
    out, live = [], torch.ones(1, dtype=torch.bool)
    for n in range(1, len(text) + 1):
        seq = new_sequence(1, 20, key=torch.zeros(1), limit=20)
        seq.tokens[0, :n], seq.length = torch.tensor(text[:n]), torch.tensor([n])
        view = new_view(model, [[3, 0, 2]], 20)
        if late:
            view = forward.meaning(view, seq, root=True, live=live)[0]
        if vector is not None and n > where:
            (view,) = inject.meaning(view, seq, vector, torch.tensor([where]), live=live)
        view.cached = torch.minimum(view.cached, torch.tensor([3 + n - 1]))  # the root is due, whatever is cached
        out.append(forward.meaning(view, seq, root=True, live=live)[1][0, 0])
    return out


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", ["table", "llama", "gemma2"])
def test_only_what_differs_from_the_embedding_shows_and_only_from_there_on(kind, late):
    model = TableModel(5, 1, 4) if kind == "table" else HuggingFaceModel(tiny_model(kind), kind)
    text, where = [0, 4, 1, 2, 3], 2
    plain = logits_after(model, text, where, None, late=late)
    same = logits_after(model, text, where, model.embed(torch.tensor([text[where]])), late=late)
    other = logits_after(model, text, where, torch.randn(1, model.width, generator=torch.Generator().manual_seed(1)), late=late)
    equal = torch.equal if not late else lambda a, b: torch.allclose(a, b, atol=1e-5)  # another number of columns a call
    assert all(map(equal, same, plain))
    changed = [not torch.allclose(a, b, atol=1e-3) for a, b in zip(other, plain, strict=True)]
    assert changed == [False, False, True, True, True]


def test_a_vector_of_another_width_is_refused_while_tracing():
    facts = {"t": StandIn("t", 3, 8, 2, TableModel.capabilities), "helper:h": StandIn("h", 3, 6, 2, TableModel.capabilities)}
    with pytest.raises(PenstockError, match="t is 8 wide and h is 6 wide"):
        build(elaborate(STAGES[1:]), facts)


def rebuilt(state: State) -> State:
    """All caches empty, as after a move to another machine: what is left must say what the slots held."""
    for view in (h for h in state.values() if isinstance(h, View)):
        view.cached = torch.zeros_like(view.cached)
        view.cache.clear_from(view.cached)
    return state


def decoder() -> Decoder:
    facts = {v: StandIn(v, m.vocab, m.width, m.layers, m.capabilities) for v, m in MODELS.items()}
    graph = build(elaborate(STAGES), facts)
    return Decoder(graph, MODELS, lower(graph))


def halfway(runs: Decoder, requests: list[Request], steps: int) -> State:
    state = runs.start(requests)
    for _ in range(steps):
        state |= dict(zip(runs.graph.handles, runs.step(*(state[h] for h in runs.graph.handles)), strict=True))
    return state


def tokens(state: State) -> list[list[int]]:
    seq: Any = state["seq"]
    return [row[:length] for row, length in zip(seq.tokens.tolist(), seq.length.tolist(), strict=True)]


def request(key: int, prompt: list[int], helper: list[int]) -> Request:
    return Request({"t": prompt, "helper:h": helper, "draft:d": [0]}, 12, key)


REQUESTS = [request(key, prompt, [2, key]) for key, prompt in enumerate(([1], [2, 0, 1], [0, 2]))]


@pytest.fixture(scope="module")
def runs() -> Decoder:
    return decoder()


@pytest.fixture(scope="module")
def texts(runs: Decoder) -> list[list[int]]:
    found = [d.tokens for d in runs.decode(REQUESTS)]
    assert sum(MARKER in text[:5] for text in found) >= 2
    return found


def test_rows_keep_their_thoughts_when_taken_forked_and_put(runs, texts):
    """The table goes with the row: with every cache rebuilt, each goes on as if nothing had happened."""
    state = halfway(runs, REQUESTS, 4)
    assert state["seq"].live.all() and state["view:t"].overridden.any(1).sum() >= 2
    assert tokens(runs.generate(rebuilt(take(state, [2, 0, 2])))) == [texts[2], texts[0], texts[2]]
    children = tokens(runs.generate(rebuilt(fork(take(state, [0, 1, 2]), 2))))
    assert children[::2] == texts and children[1::2] != texts  # child 0 keeps its key, the other draws its own
    fresh = runs.start(REQUESTS[::-1])
    assert fresh["view:t"].override is None
    there = runs.put(fresh, [0], take(state, [1]))
    assert tokens(runs.generate(rebuilt(there))) == [texts[1], texts[1], texts[0]]
    back = runs.put(halfway(runs, REQUESTS, 4), [0], take(runs.start(REQUESTS), [0]))
    assert tokens(runs.generate(rebuilt(back))) == texts


def test_planted_fault_a_table_left_behind_changes_tokens(runs, texts, monkeypatch):
    def without_table(self: View, rows: Tensor) -> View:
        taken = Rows.take(self, rows)
        taken.override = taken.overridden = None
        return taken

    monkeypatch.setattr(View, "take", without_table)
    assert tokens(runs.generate(rebuilt(take(halfway(runs, REQUESTS, 4), [0, 1, 2])))) != texts


def test_equal_ids_may_hold_different_thoughts(runs):
    """Planted: a prefix cache keyed by ids alone gives row 1 the slots of row 0, whose text reads the same."""
    for key in range(100):
        state = halfway(runs, [request(key, [2], helper) for helper in ([2, 1], [0, 3, 2])], 2)
        first, second = tokens(state)
        if first == second and first[-2:-1] == [MARKER]:
            vectors = state["view:t"].override[:, len(first) - 2]
            assert not torch.allclose(vectors[0], vectors[1])
            apart, shared = take(state, [0, 1]), take(state, [0, 1])
            shared["view:t"] = shared["view:t"].take(torch.tensor([0, 0]))
            if tokens(runs.generate(shared)) != tokens(runs.generate(apart)):
                return
    raise AssertionError("the fault was not seen")
