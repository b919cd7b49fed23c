"""Every pair of stages works exactly or is refused by name: drafters x scorers x shapes, and shapes after one another.

A cell is certified against its reference and the text oracle, says something that its scorer alone does not, and decodes the
same tokens lowered as by the meaning of its ops - or is in `REFUSED`, and the refusal names both stages.
"""

from itertools import permutations, product

import pytest
from catalogue import DRAFTERS, SCORERS, SHAPES, SMALL

from penstock.backends.enumerate.certify import law_of
from penstock.backends.enumerate.law import total_variation
from penstock.ir.errors import PenstockError
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world

KEYS = [5, 11]

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
