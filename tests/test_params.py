"""Request parameters: a row that asks for a value decodes as if that value were written in the spec, whatever its mates ask."""

from typing import ClassVar

import pytest
import torch

from penstock.dsl.function import stage
from penstock.dsl.param import Param, param
from penstock.dsl.stage import Stage
from penstock.library import Ambedkar, EntropyAdaptive, ModelDrafter, ModelVerifier, Repetition, Temperature, TopK, TopP
from penstock.testing import decode_stages

CHAIN = (ModelDrafter(model="d", length=2, paths=2), ModelVerifier(model="t"))
KEYS = (11, 12, 13)


@stage("tests.lifted")
def lifted(logits, *, power: float = 1.0):
    """Plain torch that reads a field."""
    return logits * power + logits.cumsum(-1) / 9


class Warmer(Stage):
    """An automaton in plain torch that reads a request's value where it starts, steps, reads and ends."""

    kind: ClassVar[str] = "tests.warmer"
    role: ClassVar[str] = "transform"
    effect: ClassVar[str] = "steers"
    status: ClassVar[int] = 3

    by: float | Param = 0.5

    def start(self, prompt, vocab):
        return torch.as_tensor(self.by, dtype=torch.float64) + len(prompt)

    def step(self, state, token, raw):
        return state * 1.25 + self.by * token

    def read(self, state, logits):
        return logits * state + self.by * torch.arange(logits.shape[-1])

    def end(self, state):
        return state > 90 * self.by


def ead(value):
    return (ModelDrafter(model="d", length=2), EntropyAdaptive(models=("s", "l"), tau=value, window=2, d_min=1))


def steered(value):
    return (*CHAIN, Ambedkar(model="f", view="x", alpha=value, select="sample", k=3))


CASES = {
    "temperature": (lambda v: (*CHAIN, Temperature(value=v)), (0.0, 0.7, 2.0)),
    "top_p": (lambda v: (*CHAIN, TopP(p=v)), (0.2, 0.6, 1.0)),
    "top_k": (lambda v: (*CHAIN, TopK(k=v)), (1, 2, 4)),
    "repetition": (lambda v: (*CHAIN, Repetition(alpha=v), Temperature(value=0.8)), (0.5, 1.0, 3.0)),
    "ead": (ead, (0.5, 1.2, 1.9)),
    "ambedkar": (steered, (0.0, 4.0, 40.0)),
    "plain": (lambda v: (*CHAIN, lifted(power=v)), (0.3, 1.0, 4.0)),
    "automaton": (lambda v: (*CHAIN, Warmer(by=v)), (0.1, 0.5, 1.0)),
}


@pytest.mark.parametrize("lowered", [True, False], ids=["lowered", "by meaning"])
@pytest.mark.parametrize("case", CASES)
def test_each_row_decodes_with_the_value_it_asks_for(case, lowered):
    stages, values = CASES[case]
    small = {"vocab": 5, "limit": 12, "lowered": lowered, "prompted": ("x",)}
    asked = decode_stages(stages(param("value")), KEYS, params=[{"value": v} for v in values], **small)
    written = [decode_stages(stages(v), KEYS, **small)[row] for row, v in enumerate(values)]
    assert asked == written
    others = [decode_stages(stages(values[-1 - row]), KEYS, **small)[row] for row in (0, 2)]
    assert asked[0] != others[0] or asked[2] != others[1]  # the value matters here
