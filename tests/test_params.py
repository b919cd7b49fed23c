"""Request parameters: a row that asks for a value decodes as if that value were written in the spec, whatever its mates ask."""

from typing import ClassVar

import pytest
import torch

from penstock.dsl.function import stage
from penstock.dsl.param import Param, param
from penstock.dsl.stage import Stage
from penstock.library import (
    Ambedkar,
    Contrast,
    ContrastLayers,
    EntropyAdaptive,
    Epsilon,
    Eta,
    Force,
    Frequency,
    Guidance,
    LengthDecay,
    MaxLength,
    MinLength,
    MinP,
    ModelDrafter,
    ModelVerifier,
    Presence,
    Repetition,
    Temperature,
    TopK,
    TopP,
    TypicalP,
)
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
    "min_p": (lambda v: (*CHAIN, MinP(p=v)), (0.05, 0.4, 1.0)),
    "typical_p": (lambda v: (*CHAIN, TypicalP(p=v)), (0.1, 0.6, 1.0)),
    "epsilon": (lambda v: (*CHAIN, Epsilon(epsilon=v)), (0.0, 0.2, 0.9)),
    "eta": (lambda v: (*CHAIN, Eta(epsilon=v)), (0.0, 0.3, 0.9)),
    "presence": (lambda v: (*CHAIN, Presence(alpha=v)), (-3.0, 0.0, 4.0)),
    "frequency": (lambda v: (*CHAIN, Frequency(alpha=v)), (-2.0, 0.0, 3.0)),
    "min_length": (lambda v: (*CHAIN, MinLength(length=v, eos=(0, 2, 3))), (0, 5, 9)),
    "length_decay": (lambda v: (*CHAIN, LengthDecay(after=v, factor=2.0, eos=(0, 2, 3))), (0, 4, 9)),
    "force": (lambda v: (*CHAIN, Force(token=3, at=v)), (0, 2, 7)),
    "max_length": (lambda v: (*CHAIN, MaxLength(length=v)), (1, 6, 11)),
    "guidance": (lambda v: (*CHAIN, Guidance(model="t", view="x", scale=v)), (0.0, 1.0, 4.0)),
    "contrast": (lambda v: (*CHAIN, Contrast(model="a", alpha=v, strength=v, temperature=v)), (0.05, 0.4, 1.0)),
    "layers": (lambda v: (*CHAIN, ContrastLayers(model="t", layers=(1,), alpha=v)), (0.05, 0.4, 1.0)),
    "repetition": (lambda v: (*CHAIN, Repetition(alpha=v), Temperature(value=0.8)), (0.5, 1.0, 3.0)),
    "ead": (ead, (0.5, 1.2, 1.9)),
    "ambedkar": (steered, (0.0, 4.0, 40.0)),
    "plain": (lambda v: (*CHAIN, lifted(power=v)), (0.3, 1.0, 4.0)),
    "automaton": (lambda v: (*CHAIN, Warmer(by=v)), (0.1, 0.5, 1.0)),
}


KINDS = ("temperature", "top_p", "repetition", "ead", "ambedkar", "guidance", "plain", "automaton")
"""One case of every way that a value goes."""


@pytest.mark.parametrize(
    ("case", "lowered"),
    [pytest.param(case, True, id=case) for case in CASES]
    + [pytest.param(case, False, id=f"{case}-by_meaning", marks=() if case in KINDS else pytest.mark.full) for case in CASES],
)
def test_each_row_decodes_with_the_value_it_asks_for(case, lowered):
    stages, values = CASES[case]
    small = {"vocab": 5, "limit": 12, "lowered": lowered, "prompted": ("x",)}
    asked = decode_stages(stages(param("value")), KEYS, params=[{"value": v} for v in values], **small)
    written = [decode_stages(stages(v), KEYS, **small) for v in values]
    assert asked == [written[row][row] for row in range(3)]
    assert asked[0] != written[2][0] or asked[2] != written[0][2]  # the value matters here
