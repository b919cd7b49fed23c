"""What a run keeps, and what the document says of it: met, missed and by how much, or not there."""

import functools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import cell as cells
import report
import run
import scripted
from kept import Kept

from penstock.backends.inductor.artefact import Report
from penstock.bench.rounds import Lap
from penstock.ir.errors import PenstockError

ROOT = Path(__file__).resolve().parents[1]


def told(number, texts=((1,),), seconds=1.0):
    return Lap(seconds * (number + 1), 10, 5, texts=texts)


def made(**contenders):
    return cells.Cell("a cell", lambda: contenders, {"batch": 1}, rounds=5, same=True)


def test_a_cell_keeps_every_round_and_a_quick_one_fewer():
    cell = made(ours=told, theirs=lambda number: told(number, seconds=3.0))
    full, quick = cell.measure(False), cell.measure(True)
    assert [lap["seconds"] for lap in full["laps"]["ours"]] == [1, 2, 3, 4, 5]
    assert [lap["seconds"] for lap in quick["laps"]["theirs"]] == [3, 6, 9] and quick["quick"] and not full["quick"]


def test_a_cell_tells_what_compiling_took():
    ours, theirs = SimpleNamespace(compiled=Report(regions=2, forwards=3, cached=1, seconds=3.4)), SimpleNamespace(compiled=None)
    contenders = {name: functools.partial(told) for name in ("ours", "eager", "theirs")}
    contenders["ours"].decoder, contenders["eager"].decoder = ours, theirs
    cell = made(**contenders).measure(True)
    assert list(cell["compiled"]) == ["ours"] and cell["compiled"]["ours"]["seconds"] == 3.4
    head, _, row = report.table("step", {"a cell": cell})
    assert head.endswith("| tokens a step | compiling |") and row.endswith("| 3.4 s, 2 regions, 3 forwards, 1 cached |")
    assert report.compiling_of({"compiled": {"ours": {"regions": 0, "cached": 0}}}) == "nothing compiled"


def test_contenders_that_say_different_tokens_stop_the_run():
    with pytest.raises(AssertionError, match="a cell: ours and theirs say different tokens"):
        made(ours=told, theirs=lambda number: told(number, texts=((2,),))).measure(True)
    with pytest.raises(AssertionError, match="ours decoded nothing"):
        made(ours=lambda number: told(number, texts=()), theirs=told).measure(True)


def test_a_cell_that_cannot_be_measured_says_why():
    def absent():
        raise PenstockError("not yet", fix="wait")

    assert cells.Cell("c", absent).measure(True)["absent"] == "not yet"


def test_a_run_goes_on_where_it_was(tmp_path):
    kept = Kept("step", tmp_path)
    kept.add("a", {"quick": True}, "abc")
    again = Kept("step", tmp_path)
    assert again.cells == {"a": {"commit": "abc", "quick": True}} and not list(tmp_path.glob("*.new"))
    again.forget(but=["b"])
    assert not again.cells and not again.has("a", True, "abc")
    again.cells = dict(kept.cells)
    asked = [("a", True, "abc"), ("a", False, "abc"), ("a", True, "abd"), ("b", True, "abc")]
    assert [again.has(*each) for each in asked] == [True, False, False, False]


TARGET = {"by": "ours", "over": "theirs", "measure": "faster"}
LAPS = {
    "ours": [{"seconds": s, "tokens": 10, "forwards": 5} for s in (1.0, 2.0, 1.0)],
    "theirs": [{"seconds": s, "tokens": 20, "forwards": 20} for s in (6.0, 12.0, 6.0)],
}


@pytest.mark.parametrize(
    "target, shown",
    [
        ({**TARGET, "least": 2.9}, ("3.0 (3.0..3.0)", "met")),
        ({**TARGET, "least": 6}, ("3.0 (3.0..3.0)", "missed by 2.00x")),
        ({**TARGET, "measure": "step", "most": 200}, ("200.000 (200.000..300.000)", "met")),
        ({**TARGET, "measure": "step", "most": 100}, ("200.000 (200.000..300.000)", "missed by 2.00x")),
        ({**TARGET, "measure": "site", "most": 50}, ("100.000 (100.000..150.000)", "missed by 2.00x")),
        ({**TARGET, "by": "inductor", "least": 1}, ("", "not there: no backend inductor")),
    ],
)
def test_a_target_is_met_or_missed_by_so_much(target, shown):
    assert report.judged(target, {"laps": LAPS}) == shown


def test_what_was_not_measured_is_not_missed():
    assert report.judged(TARGET, None) == ("", "not measured")
    assert report.judged(TARGET, {"absent": "not yet"}) == ("", "not there: not yet")


def test_every_target_names_a_cell_that_there_is(tmp_path):
    known = {name: {cell.name for cell in module.cells()} for name, module in run.BENCHMARKS.items()}
    targets = report.yaml.safe_load((ROOT / "benchmarks" / "targets.yaml").read_text())
    assert len(targets) > 15 and set(known) == set(report.TITLES)
    assert [(each["what"], name) for each in targets for name in each["cells"] if name not in known[each["benchmark"]]] == []
    assert all(("least" in each) != ("most" in each) and each["measure"] in report.MEASURES for each in targets)


def test_the_page_tells_reasons_for_what_is_missed_alone(tmp_path, monkeypatch):
    for file in ("benchmarks.head.md", "step.py", "targets.yaml"):
        (tmp_path / file).write_text((ROOT / "benchmarks" / file).read_text())
    about = {"quick": True, "commit": "abc", "machine": cells.machine()}
    slow = {"eager": [{"seconds": 0.001, "tokens": 2, "forwards": 2}] * 3}
    greedy, drawn = (f"32000, no draft, B = 1, {selection}" for selection in ("greedy", "T = 0.8"))
    named = {greedy: {**about, "laps": slow}, drawn: {**about, "absent": "why"}}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "step.json").write_text(json.dumps(named))
    monkeypatch.setattr(report, "HERE", tmp_path)
    page = report.page()
    assert "| a step, eager: 32000, no draft, B = 1, greedy | <= 0.15 ms | 0.500 (0.500..0.500) | missed by 3.33x |" in page
    assert "- a step, eager: " in page and "sampled, a row and site read, eager: one" not in page
    assert "2 of them in a quick run, which is no final figure" in page
    assert "| 32000, no draft, B = 1, greedy | 0.500 (0.500..0.500) | 1.00 |" in page and "| why |" in page


def test_a_scripted_model_says_its_script_and_its_drafter_a_share_of_it():
    script = scripted.copying([5, 6, 7, 8, 9, 10], 400, 50, seed=1)
    other = scripted.agreeing(script, 0.75, 50, seed=2)
    assert script[:6].tolist() == [5, 6, 7, 8, 9, 10] and 0.68 < float((script == other).float().mean()) < 0.82
    model = scripted.scripted("tinier", 50, script, seed=3)
    with torch.no_grad():
        said = model(script[None, :60]).logits.argmax(-1)
        alone = model.generate(script[None, :6], max_new_tokens=20, do_sample=False)
    assert torch.equal(said[0], script[1:61]) and torch.equal(alone[0], script[:26])
