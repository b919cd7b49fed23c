"""Sites are composed when they are read, and only what acts on each site by itself waits that long."""

from typing import Any, ClassVar

import pytest
import torch

from penstock.backends.eager.lazy import Sites, at_row, at_site, says_any_lead
from penstock.backends.eager.lower import lower
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.dsl.stage import Stage
from penstock.ir.ops import accept, logits, probes, rows, tree
from penstock.ir.standin import StandIn
from penstock.library import ModelVerifier, Repetition, Temperature, TopKTree, TopP
from penstock.passes.build import build
from penstock.passes.order import elaborate

V = 7
READS: list[tuple[int, ...]] = []


class Watched(Stage):
    """Plain torch that says what it was given."""

    kind: ClassVar[str] = "transform.watched"
    role: ClassVar[Any] = "transform"
    effect: ClassVar[Any] = "steers"

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(x, torch.Tensor):  # not while it is traced
            READS.append(tuple(x.shape))
        return x / 0.9

    def small(self, v: int) -> "Watched":
        return self


def decoded(*stages: Stage) -> tuple[Any, str]:
    models = {"t": TableModel(V, 1, 2), "draft:d": TableModel(V, 2)}
    facts = {v: StandIn(v, V, capabilities=m.capabilities) for v, m in models.items()}
    drafter = TopKTree(model="d", branching=(3, 2), mirror=False)
    graph = build(elaborate([drafter, ModelVerifier(model="t"), *stages]), facts)
    step = lower(graph)
    READS.clear()
    (result,) = Decoder(graph, models, step).decode([Request(dict.fromkeys(models, [1, 2]), 20, key=3)])
    return result, step.__doc__ or ""


def test_a_walk_composes_the_sites_it_reads():
    result, text = decoded(Watched(), Temperature(value=0.8))
    assert [(V,)] * len(result.tokens) == READS  # one site a token, of the 10 that were scored; as written, not vectorised
    assert "scale" not in text and "atomic" not in text


@pytest.mark.parametrize("stages", [(), (Repetition(alpha=1.3), TopP(p=0.9)), (Temperature(value=0),)])
def test_path_states_are_made_before(stages):
    _, text = decoded(*stages)
    assert "sites" in text
    assert not any(f"{name}__" in text for name in ("repetition_penalty", "top_p"))
    assert ("along_paths__" in text) == bool(len(stages) > 1)


def test_an_op_says_by_its_type_that_it_acts_on_each_site_by_itself():
    assert all(map(says_any_lead, (logits.scale, logits.top_k, logits.softmax, logits.repetition_penalty)))
    assert not any(map(says_any_lead, (rows.at_each, tree.sites, probes.apart, accept.owed_after)))


def test_nothing_to_wait_for_is_a_read():
    x = torch.randn(2, 3, V)
    found, ids = Sites(None, ())(x)(1, 2)
    assert torch.equal(found, x[1, 2]) and ids is None


def test_the_roots_of_all_rows_are_composed_in_one_run():
    runs, x, share = [], torch.randn(4, 3, V), torch.rand(4)

    def run(x: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        runs.append(tuple(x.shape))
        return x[..., :2] * share[..., None], torch.arange(2).expand(*x.shape[:-1], 2)

    site = Sites(run, (at_site, at_row), together=True)(x, share)
    for b, s in ((0, 0), (1, 0), (3, 0), (3, 2)):
        values, ids = site(b, s)
        assert torch.equal(values, x[b, s, :2] * share[b]) and ids.tolist() == [0, 1]
    assert runs == [(4, V), (V,)]
