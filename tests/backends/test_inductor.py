"""The inductor backend gives the tokens that the graph's meaning gives; most tests trace its regions and leave C++ out."""

from typing import Any, ClassVar

import pytest
import torch
from jaxtyping import Float
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from penstock.backends.inductor import artefact
from penstock.backends.inductor.artefact import MOST, Artefacts
from penstock.backends.inductor.layout import bucket
from penstock.backends.inductor.lower import lower
from penstock.backends.inductor.toolchain import CACHE, compiler, keep_cache
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoded, Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.dsl.param import param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.standin import StandIn
from penstock.library import (
    ModelDrafter,
    ModelVerifier,
    NoRepeatNGram,
    OrElse,
    PromptLookup,
    Repetition,
    StochasticBeam,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
    TypicalAcceptor,
)
from penstock.passes.build import StepGraph, build
from penstock.passes.order import elaborate

VOCAB = 7
TARGET = ModelVerifier(model="t")
MODELS = {"t": TableModel(VOCAB, 1, 2), "draft:d": TableModel(VOCAB, 1, 1, sharpness=1.2)}
PROMPTS = [[1], [2, 0, 1], [3, 3], [4, 5, 6, 1], [0, 6]]
DRAFTS: dict[str, tuple[Any, ...]] = {
    "none": (),
    "chain": (ModelDrafter(model="d", length=3),),
    "paths": (ModelDrafter(model="d", length=1, paths=3),),
    "ranked": (TopKTree(model="d", branching=(3, 1, 2)),),
    "beam": (StochasticBeam(model="d", width=3, length=2),),
    "mixed": (OrElse(first=PromptLookup(length=2), second=ModelDrafter(model="d", length=2)),),
}
SHAPES: dict[str, tuple[Any, ...]] = {
    "plain": (),
    "greedy": (Temperature(value=0),),
    "penalty": (Repetition(alpha=1.4), Temperature(value=0.7)),
    "grammar": (ToyGrammar.over(VOCAB), Temperature(value=0.9)),
    "narrow": (Temperature(value=1.3), TopK(k=3), TopP(p=0.8)),
    "greedy grammar": (ToyGrammar.over(VOCAB), Repetition(alpha=1.2), Temperature(value=0)),
}


RULES: dict[str, tuple[Any, ...]] = {
    "chain of block": (ModelVerifier(model="t", rule="block"),),
    "chain of coupled": (ModelVerifier(model="t", rule="coupled"),),
    "paths of match": (ModelVerifier(model="t", rule="match"),),
    "paths of typical": (TARGET, TypicalAcceptor()),
}


class AskedOnHost(Stage):
    """Answers with numbers of the host."""

    kind: ClassVar[str] = "transform.on_host"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    def transform(self, logits: Any) -> Any:
        return answered(logits)


@op("host")
def answered(logits: Float[torch.Tensor, "*B V"]) -> Float[torch.Tensor, "*B V"]:
    """The logits, which a host has seen."""
    return logits


def graph_of(stages: tuple[Any, ...], eos: tuple[int, ...] = (2, 5)) -> StepGraph:
    models = {v: m for v, m in MODELS.items() if v == "t" or any(s.role == "drafter" for s in stages)}
    facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in models.items()}
    return build(elaborate(stages), facts, eos=eos)


def both(stages: tuple[Any, ...], batch: int, artefacts: Artefacts, lockstep: bool = False) -> tuple[list[Decoded], ...]:
    """``(inductor, meaning)``: the same requests decoded twice."""
    graph = graph_of(stages)
    models = {v: m for v, m in MODELS.items() if f"view:{v}" in graph.handles}
    requests = [Request(dict.fromkeys(models, PROMPTS[b]), (14, 3, 9)[b % 3], key=b) for b in range(batch)]
    steps = lower(graph, artefacts, lockstep=lockstep), interpreted(graph)
    return tuple(Decoder(graph, models, step).decode(requests) for step in steps)


@pytest.fixture
def traced(monkeypatch):
    """Regions are traced on tensors, which fails where something asks what a tensor holds, and run as traced."""
    graphs: list[torch.fx.GraphModule] = []

    def built(function: Any, inputs: list[torch.Tensor]) -> Any:
        graphs.append(make_fx(function)(*inputs))
        return graphs[-1]

    monkeypatch.setattr(artefact, "built", built)
    monkeypatch.setattr("penstock.backends.inductor.lower.compiler", lambda: "c++")
    return graphs


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("draft", DRAFTS)
def test_tokens_are_those_of_the_meaning(draft, shape, traced):
    """Rows alone and three that are padded to four, a shape and a draft each, each walk where it is fastest."""
    artefacts, stages = Artefacts(), (*DRAFTS[draft], TARGET, *SHAPES[shape])
    alone = (list(DRAFTS).index(draft) + list(SHAPES).index(shape)) % 2
    inductor, meaning = both(stages, 1 if alone else 3, artefacts)
    assert inductor == meaning and not artefacts.report.refused


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("draft", DRAFTS)
def test_walks_in_lockstep_give_the_tokens_of_the_meaning(draft, shape, traced):
    artefacts, stages = Artefacts(), (*DRAFTS[draft], TARGET, *SHAPES[shape])
    alone = (list(DRAFTS).index(draft) + list(SHAPES).index(shape)) % 2
    inductor, meaning = both(stages, 3 if alone else 1, artefacts, lockstep=True)
    assert inductor == meaning
    assert traced and not artefacts.report.refused
    assert artefacts.report.walks == {"accept": "in lockstep: it is asked for"}


@pytest.mark.parametrize("lockstep", [False, True])
@pytest.mark.parametrize("draft, verifier", RULES.items(), ids=list(RULES))
def test_every_rule_walks(draft, verifier, lockstep, traced):
    artefacts = Artefacts()
    stages = (*DRAFTS[draft.split()[0]], *verifier, Temperature(value=0.8))
    inductor, meaning = both(stages, 5, artefacts, lockstep)
    assert inductor == meaning
    assert traced and not artefacts.report.refused
    assert any(len(r.tokens) > r.steps for r in inductor)  # drafts are taken, else a walk of one site would do


WAYS: dict[str, tuple[tuple[Any, ...], str]] = {
    "no draft": ((TARGET, *SHAPES["penalty"]), "in lockstep: every row reads its one site"),
    "a draft": ((*DRAFTS["ranked"], TARGET), "on the host, its sites compiled: rows read few of a draft's sites, and end apart"),
    "greedy": (
        (*DRAFTS["chain"], TARGET, *SHAPES["greedy"]),
        "on the host: an argmax of the few sites that it reads takes less than a call",
    ),
    "top-k": (
        (TARGET, *SHAPES["narrow"]),
        "on the host: it draws among candidates, for which the host has kernels",
    ),
    "top-p": (
        (*DRAFTS["chain"], TARGET, TopP(p=0.8)),
        "on the host: it draws among candidates, for which the host has kernels",
    ),
    "coins": (
        (*DRAFTS["chain"], TARGET),
        "on the host: rule kseq mostly takes a child before anything is drawn, where compiled code does both",
    ),
    "asked": ((*DRAFTS["chain"], TARGET, AskedOnHost()), "on the host: transform.on_host.0 is asked on the host, site by site"),
    "the text": (
        (*DRAFTS["chain"], TARGET, NoRepeatNGram(size=2)),
        "on the host: transform.no_repeat_ngram.0 reads the whole text, which grows",
    ),
}


@pytest.mark.parametrize("stages, told", WAYS.values(), ids=list(WAYS))
def test_where_a_walk_runs_and_why(stages, told, traced):
    artefacts = Artefacts()
    lower(graph_of(stages), artefacts)
    assert artefacts.report.walks == {"accept": told}


def test_what_cannot_be_compiled_stays_on_the_host_in_lockstep_too(traced):
    artefacts = Artefacts()
    inductor, meaning = both((*DRAFTS["chain"], TARGET, NoRepeatNGram(size=2)), 3, artefacts, lockstep=True)
    assert inductor == meaning
    assert artefacts.report.walks == {"accept": WAYS["the text"][1]}


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


def test_a_region_asks_for_no_number_and_has_fixed_shapes(traced):
    """One read a region, of one block of integers, is all that the host sees of it."""
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
