"""Regions: what they may ask, how many shapes they are compiled for, what is kept of them, what is said where they are not."""

from typing import Any

import pytest
import torch
from seven_tokens import DRAFTS, MODELS, PROMPTS, SHAPES, TARGET, VOCAB, both, graph_of
from torch.utils._python_dispatch import TorchDispatchMode

from penstock.backends.inductor import artefact
from penstock.backends.inductor.artefact import MOST, Artefacts
from penstock.backends.inductor.layout import bucket
from penstock.backends.inductor.lower import lower
from penstock.backends.inductor.toolchain import CACHE, compiler, keep_cache
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.dsl.param import param
from penstock.ir.errors import PenstockError
from penstock.library import Repetition, Temperature


def test_sites_are_compiled_once_for_all_batches(traced):
    """Their shapes know no batch; sites below the root are read, and what a row's request has set for all of its sites."""
    artefacts, graph = Artefacts(), graph_of((*DRAFTS["ranked"], TARGET, Repetition(alpha=param("a"))), eos=())
    step = lower(graph, artefacts)
    for batch in (1, 3, 5):
        requests = [Request(dict.fromkeys(MODELS, PROMPTS[b]), 16, key=b, params={"a": 1.1 + b}) for b in range(batch)]
        decoded, meaning = (Decoder(graph, MODELS, each).decode(requests) for each in (step, interpreted(graph)))
        assert decoded == meaning and sum(len(r.tokens) for r in decoded) > 1.1 * sum(r.steps for r in decoded)
    assert artefacts.report.regions == len(traced) == 1


def test_a_region_is_compiled_for_few_shapes(traced):
    artefacts = Artefacts()
    double = artefacts.add(lambda x: (2 * x,), "doubled")
    for size in range(MOST):
        assert double(torch.ones(size + 1))[0].sum() == 2 * size + 2
    with pytest.warns(RuntimeWarning, match="doubled is not compiled: its inputs had more than 6 shapes"):
        double(torch.ones(MOST + 1))
    assert double(torch.ones(MOST + 2))[0].sum() == 2 * MOST + 4 and len(traced) == MOST


def test_a_region_is_compiled_for_the_types_that_it_meets(traced):
    """Logits of a drafter that did not run are of another type; of the same shape they must not meet the first one's code."""
    artefacts = Artefacts()
    kept = artefacts.add(lambda x, y: (x.index_put((torch.tensor([1]),), y),), "kept")
    for kind in (torch.float32, torch.float64, torch.float32):
        (out,) = kept(torch.zeros(3, dtype=kind), torch.ones(1, dtype=kind))
        assert out.dtype == kind and out.tolist() == [0, 1, 0]
    assert artefacts.report.regions == len(traced) == 2


def test_a_region_asks_for_no_number_and_has_fixed_shapes(traced):
    """At most one read a region, of one block of integers, is all that the host sees of it."""
    both((*DRAFTS["paths"], TARGET, *SHAPES["narrow"]), 3, Artefacts(), lockstep=True)
    called = {str(node.target) for graph in traced for node in graph.graph.nodes}
    assert not {name for name in called if "nonzero" in name or "_local_scalar_dense" in name}
    assert len(traced) == 2  # a level of draws, and the walk


class Reads(TorchDispatchMode):
    """Counts what waits for a device: numbers read from tensors, and shapes that depend on them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


def test_a_region_that_runs_uncompiled_reads_nothing_either(monkeypatch):
    counted = Reads()

    def built(function: Any, inputs: Any) -> Any:
        def run(*args: Any) -> Any:
            with counted:
                return function(*args)

        return run

    monkeypatch.setattr(artefact, "built", built)
    monkeypatch.setattr("penstock.backends.inductor.lower.compiler", lambda: "c++")
    inductor, meaning = both((*DRAFTS["paths"], TARGET, *SHAPES["grammar"]), 2, Artefacts(), lockstep=True)
    assert inductor == meaning and counted.count == 0
    with counted:
        assert bool(torch.ones(()) > 0)
    assert counted.count == 1  # a read would have been seen


def test_rows_are_padded_to_few_sizes():
    assert [bucket(rows) for rows in range(1, 10)] == [1, 2, 4, 4, 8, 8, 8, 8, 16]


def test_batches_of_like_sizes_share_what_was_compiled(traced):
    artefacts, stages = Artefacts(), (TARGET, Temperature(value=0.8))
    step = lower(graph_of(stages), artefacts)
    for batch in (3, 4, 3):
        requests = [Request({"t": PROMPTS[b]}, 4, key=b) for b in range(batch)]
        Decoder(graph_of(stages), {"t": MODELS["t"]}, step).decode(requests)
    assert artefacts.report.regions == len(traced) == 1


def test_a_row_that_nothing_can_be_drawn_for_is_named(traced):
    class Void(TableModel):
        def forward(self, cache: Any, feed: Any) -> Any:
            out = super().forward(cache, feed)
            out.logits[1:] = torch.nan
            return out

    step = lower(graph_of((TARGET,)), Artefacts())
    requests = [Request({"t": PROMPTS[b]}, 4, key=b) for b in range(2)]
    with pytest.raises(PenstockError, match="stage acceptor.walk.0: row 1 has nothing to draw from"):
        Decoder(graph_of((TARGET,)), {"t": Void(VOCAB, 1, 2)}, step).decode(requests)


def test_without_a_compiler_the_pipeline_runs_eager_and_says_so(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiler() is None
    artefacts = Artefacts()
    with pytest.warns(RuntimeWarning, match="there is no C\\+\\+ compiler.*runs eager"):
        inductor, meaning = both((*DRAFTS["chain"], TARGET), 2, artefacts)
    assert inductor == meaning and artefacts.report.regions == 0


def test_a_region_that_cannot_be_compiled_runs_as_it_is_and_says_so(monkeypatch):
    def built(function: Any, inputs: Any) -> Any:
        raise ValueError("no such instruction\nand a long story")

    monkeypatch.setattr(artefact, "built", built)
    monkeypatch.setattr("penstock.backends.inductor.lower.compiler", lambda: "c++")
    artefacts = Artefacts()
    with pytest.warns(RuntimeWarning, match="accept is not compiled: ValueError: no such instruction$") as told:
        inductor, meaning = both((TARGET, Temperature(value=0.8)), 2, artefacts)
    assert inductor == meaning and len(told) == 1
    assert str(artefacts.report) == "0 regions compiled in 0.0 s; accept is not compiled: ValueError: no such instruction"


def test_what_was_compiled_is_kept_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE, str(tmp_path / "mine"))
    assert keep_cache() == tmp_path / "mine"
    monkeypatch.delenv(CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert keep_cache() == tmp_path / "penstock" / "inductor"


@pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")
def test_compiled_once_kept_for_the_next_run_and_the_same_tokens(monkeypatch, tmp_path):
    """The one test that compiles: a walk in lockstep, and sites of a walk on the host."""
    monkeypatch.setenv(CACHE, str(tmp_path))
    for stages in ((TARGET, *SHAPES["penalty"]), (*DRAFTS["ranked"], TARGET, Temperature(value=0.8))):
        first, again = Artefacts(), Artefacts()
        inductor, meaning = both(stages, 3, first)
        assert inductor == meaning
        assert (first.report.regions, first.report.cached) == (1, 0) and not first.report.refused
        assert both(stages, 3, again) == (inductor, meaning)
        assert (again.report.regions, again.report.cached) == (1, 1) and again.report.seconds < first.report.seconds
