"""The inductor backend gives the tokens of the graph's meaning, wherever a walk runs; regions are traced, C++ is left out."""

from typing import Any, ClassVar

import pytest
import torch
from jaxtyping import Float
from seven_tokens import DRAFTS, SHAPES, TARGET, both, graph_of

from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.lower import lower
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.op import op
from penstock.library import ModelVerifier, NoRepeatNGram, Temperature, TopP, TypicalAcceptor

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


@pytest.mark.parametrize("case", ["asked", "the text"])
def test_in_lockstep_what_cannot_be_compiled_is_made_for_all_sites_before_the_walk(case, traced):
    artefacts = Artefacts()
    inductor, meaning = both(WAYS[case][0], 3, artefacts, lockstep=True)
    assert inductor == meaning and traced and not artefacts.report.refused
    assert artefacts.report.walks == {"accept": "in lockstep: it is asked for"}
