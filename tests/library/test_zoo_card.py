"""The card: every model has its measures, figures go to the index, and the page is a function of it."""

import json
from dataclasses import replace

import pytest
import torch
from zoo_runs import TINY, begin

from penstock.library.zoo import card, export, figures, index
from penstock.library.zoo.data import arithmetic
from penstock.library.zoo.train.plans import PLANS


@pytest.fixture
def few(monkeypatch):
    """So little is measured that it takes no time."""
    monkeypatch.setattr(figures, "PROBLEMS", 2)
    monkeypatch.setattr(figures, "OTHERS", 1)
    monkeypatch.setattr(figures, "DENOISED", {"record": (8, (1, 2))})
    monkeypatch.setattr(figures, "BRIEFLY", (8, (1, 2)))
    monkeypatch.setattr("penstock.library.zoo.measure.replies.NEW_TOKENS", 3)
    texts, solutions = figures.held_out.texts, figures.verdicts.held_out
    monkeypatch.setattr(figures.held_out, "texts", lambda folder: texts(folder, 2, 1))
    monkeypatch.setattr(
        figures.held_out, "examples", lambda split, kind, count, all=figures.held_out.examples: all(split, kind, 1)
    )
    monkeypatch.setattr(figures.verdicts, "held_out", lambda count: solutions(20))


@pytest.fixture
def full_zoo(tmp_path, shelf):
    """One tiny model for every plan, with the plan's recipe and documents."""
    for name, plan in PLANS.items():
        begin(tmp_path / name, replace(plan, shape=TINY.shape, steps=1, start=None, recipe="language")).keep()
        told = tmp_path / name / "step-0000000" / "state.json"
        state = json.loads(told.read_text())
        told.write_text(json.dumps({**state, "plan": plan.record()}))
        export.export(tmp_path / name)
    return shelf


def test_every_model_is_measured_and_its_figures_are_kept(full_zoo, tmp_path, few):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "book.txt").write_text("\n".join(f"line {number:06d} of the book" for number in range(20_000)))
    page = tmp_path / "zoo.md"
    card.write(list(PLANS), tmp_path / "text", page)
    entries = index.read()
    assert all(entry.figures for entry in entries.values())
    titles = {name: " | ".join(entry.figures) for name, entry in entries.items()}
    assert "exact match, 2 word problems" in titles["target"] and "requests for JSON" in titles["target"]
    assert "greedy agreement" in titles["drafter-tiny"] and "sum of min(p, q)" in titles["drafter-tiny"]
    assert "prose" in entries["drafter-small"].figures["greedy agreement"]
    assert list(entries["diffusion"].figures)[0].startswith("exact match, 1 of record, 8 tokens")
    assert {"accuracy of verdicts", "area under the ROC curve"} <= set(entries["reward"].figures)
    assert "kind, given Velkin" in entries["biased"].figures["probability"]
    assert page.read_text() == card.page(entries)
    before = page.read_text()
    card.write(["biased"], tmp_path / "text", page)
    assert page.read_text() == before


def test_the_page_shows_figures_and_leaves_out_what_was_not_measured(full_zoo):
    entries = index.read()
    assert "## Figures" not in card.page(entries)
    told = {"bits per byte": {"arithmetic": 0.25, "record": 0.125}, "greedy agreement": {"prose": 0.5}}
    text = card.page({**entries, "target": replace(entries["target"], figures=told)})
    assert "| bits per byte | arithmetic | record |\n| --- | --- | --- |\n| `target` | 0.250 | 0.125 |" in text
    assert "| greedy agreement | prose |\n| --- | --- |\n| `target` | 50.0% |" in text
    assert "| `zoo:reward` | says after each step" in text and "judging, from drafter-small | judged |" in text


def test_models_share_a_table_where_the_same_was_measured(full_zoo):
    entries = index.read()
    rows = {"target": {"a": 1.0}, "drafter-small": {"a": 2.0}, "drafter-tiny": {"a": 3.0, "b": 4.0}}
    figures_ = {name: replace(entries[name], figures={"bits per byte": row}) for name, row in rows.items()}
    text = card.figure_tables(figures_)
    assert text.count("| bits per byte |") == 2
    assert "| `target` | 1.000 |\n| `drafter-small` | 2.000 |" in text


def test_whether_prose_was_read_is_taken_from_the_run_or_from_what_it_measured():
    assert card.with_prose({"text": ["a.txt"], "held_out": {}})
    assert not card.with_prose({"text": [], "held_out": {"prose": 1.0}})
    assert card.with_prose({"held_out": {"prose": 1.0}}) and not card.with_prose({"held_out": {}})


def test_problems_with_and_without_a_worked_solution_are_asked(monkeypatch):
    monkeypatch.setattr(
        figures.replies, "exact_match", lambda model, tokenizer, asked: float(len({each.system for each in asked}))
    )
    [row] = figures.word_problems(torch.nn.Module(), TINY, figures.Bench(None)).values()
    assert row == {"long": 1.0, "brief": 1.0, "at once": 1.0}
    assert figures.STYLES == {"long": arithmetic.STEP_BY_STEP, "brief": arithmetic.BRIEFLY, "at once": arithmetic.AT_ONCE}
