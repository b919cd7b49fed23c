"""Every pair of stages works exactly or is refused by name: drafters x scorers x shapes, and shapes after one another.

A cell is certified against its reference and the text oracle, says something that its scorer alone does not, and decodes the
same tokens lowered as by the meaning of its ops - or is in `REFUSED`, and the refusal names both stages.
"""

from itertools import permutations, product
from typing import Any

import pytest

from penstock.backends.enumerate.certify import law_of
from penstock.backends.enumerate.law import total_variation
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.library import (
    Ambedkar,
    Auto,
    Ban,
    Bias,
    Contrast,
    ContrastLayers,
    Del,
    EntropyAdaptive,
    Epsilon,
    Eta,
    Force,
    Frequency,
    Guidance,
    HiddenThought,
    JsonSchema,
    LayerSkip,
    LengthDecay,
    MaxLength,
    MinLength,
    MinP,
    ModelDrafter,
    ModelVerifier,
    NoRepeatNGram,
    OrElse,
    Pause,
    Presence,
    PromptLookup,
    PromptTokens,
    Repetition,
    StochasticBeam,
    SuppressAtBegin,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
    TypicalP,
)
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world

SMALL: dict[str, Any] = dict(eos=(2,), limit=3, prompted=("swapped",))
KEYS = [5, 11]


def steered(model: str = "f", **fields: Any) -> Ambedkar:
    """By a verifier of its own, or by the target."""
    return Ambedkar(model=model, view="swapped", alpha=2.0, k=2, **fields)


DRAFTERS: dict[str, Stage | None] = {
    "none": None,
    "chain": ModelDrafter(model="d", length=2),
    "iid": ModelDrafter(model="d", length=2, paths=2),
    "top_k_tree": TopKTree(model="d", branching=(2, 1)),
    "beam": StochasticBeam(model="d", width=2, length=2),
    "ppd": PromptTokens(view="t").small(3),
    "auto": ModelDrafter(model="d", length=Auto(longest=2)),
    "layerskip": LayerSkip(model="t", exit=1, length=2),
    "del": Del(model="t", exits=(1, 2), longest=2),
    "lookup": PromptLookup(length=2),
    "or_else": OrElse(first=PromptLookup(length=2), second=StochasticBeam(model="d", width=2, length=2)),
}
SCORERS: dict[str, Stage] = {
    "model": ModelVerifier(model="t"),
    "hcot": HiddenThought(model="t", helper="h", marker=1),
    "ead": EntropyAdaptive(models=("t", "l"), tau=1.0, window=2, d_min=1),
}
SHAPES: dict[str, Stage | None] = {
    "none": None,
    "repetition": Repetition(alpha=1.4),
    "cold": Temperature(value=0.8),
    "greedy": Temperature(value=0),
    "top_k": TopK(k=2),
    "top_p": TopP(p=0.8),
    "min_p": MinP(p=0.5),
    "typical_p": TypicalP(p=0.6),
    "epsilon": Epsilon(epsilon=0.25),
    "eta": Eta(epsilon=0.35),
    "presence": Presence(alpha=1.5),
    "frequency": Frequency(alpha=1.0),
    "no_repeat": NoRepeatNGram(size=2),
    "bias": Bias(tokens=((0, 1.0),), sequences=(((0, 1), -2.0),)),
    "ban": Ban(sequences=((1, 1), (1, 0, 1))),
    "min_length": MinLength(length=2, eos=(2,)),
    "length_decay": LengthDecay(after=1, factor=2.0, eos=(2,)),
    "suppress": SuppressAtBegin(tokens=(0,)),
    "force": Force(token=0, at=1),
    "max_length": MaxLength(length=2),
    "guidance": Guidance(model="f", view="swapped", scale=2.0),
    "contrast": Contrast(model="a"),
    "layers": ContrastLayers(model="t", layers=(1,)),
    "grammar": ToyGrammar.over(3),
    "json": JsonSchema(schema_=True).small(3),
    "local": steered(),
    "local_sampled": steered(select="sample"),
    "after": steered(penalty="after"),
    "after_sampled": steered(penalty="after", select="sample"),
    "own": steered("t"),
    "own_sampled": steered("t", select="sample"),
    "own_after_sampled": steered("t", penalty="after", select="sample"),
    "pause": Pause(at=(0,)),
}
OWN = tuple(name for name in SHAPES if name.startswith("own"))
REFUSED: list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = [
    (("ppd",), ("ead",), tuple(SHAPES), ("drafter.ppd.0", "verifier.switched.0")),
    (("layerskip",), ("ead",), tuple(SHAPES), ("drafter.layerskip.0", "verifier.switched.0")),
    (("del",), ("ead",), tuple(SHAPES), ("drafter.del.0", "verifier.switched.0")),
    (tuple(DRAFTERS), ("ead",), OWN, ("verifier.switched.0", "steer.ambedkar.0")),
    (tuple(DRAFTERS), ("hcot",), OWN, ("verifier.hcot.0", "steer.ambedkar.0")),
    (tuple(DRAFTERS), ("ead",), ("layers",), ("verifier.switched.0", "steer.contrast_layers.0")),
    (tuple(DRAFTERS), ("hcot",), ("layers",), ("verifier.hcot.0", "steer.contrast_layers.0")),
]
"""Drafters, scorers and shapes no two of which may meet, and what the refusal names: the first line that fits counts."""

CELLS = [(drafter, scorer, (shape,)) for drafter, scorer, shape in product(DRAFTERS, SCORERS, SHAPES)]
CELLS += [("chain", "model", both) for both in permutations([name for name, stage in SHAPES.items() if stage], 2)]
NAMES = [list(table) for table in (DRAFTERS, SCORERS, SHAPES)]
SOME = {(NAMES[0][i % 11], NAMES[1][i % 3], (NAMES[2][i],)) for i in range(33)} | set(CELLS[1059::119])
"""Every drafter with every scorer once, every shape at least once, and some pairs of shapes."""


def refusal(drafter: str, scorer: str, shapes: tuple[str, ...]) -> tuple[str, ...] | None:
    """What the refusal of a cell names; None where it is not refused."""
    fitting = (said for d, s, t, said in REFUSED if drafter in d and scorer in s and set(t) & set(shapes))
    return next(fitting, None)


@pytest.mark.parametrize(
    ("drafter", "scorer", "shapes"),
    [pytest.param(*cell, id="-".join((*cell[:2], *cell[2])), marks=[] if cell in SOME else pytest.mark.full) for cell in CELLS],
)
def test_a_pair_is_exact_or_refused_by_name(drafter, scorer, shapes):
    shaping = [stage for name in shapes if (stage := SHAPES[name])]
    stages = [stage for stage in (DRAFTERS[drafter], SCORERS[scorer], *shaping) if stage]
    if said := refusal(drafter, scorer, shapes):
        with pytest.raises(PenstockError) as refused:
            certify_stages(stages, batch=2, **SMALL)
        assert all(name in refused.value.what for name in said)
        return
    certificate = certify_stages(stages, batch=2, **SMALL)
    assert certificate.holds, certificate.report()
    bare = law_of(elaborate([SCORERS[scorer]]), small_world(stages, batch=2, **SMALL)).law
    assert (total_variation(certificate.found.law, bare) > 1e-6) == bool(shaping)
    lowered, meant = (decode_stages(stages, KEYS, lowered=eager, **SMALL) for eager in (True, False))
    assert lowered == meant


def test_the_table_has_every_cell():
    assert (len(CELLS), len(SOME), sum(refusal(*cell) is not None for cell in CELLS)) == (2081, 42, 175)
