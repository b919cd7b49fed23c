"""What is shipped is small, whole, and does what its card says."""

import json

import pytest

from penstock.library import zoo
from penstock.library.zoo import card, figures, index, weights
from penstock.library.zoo.figures import Bench
from penstock.library.zoo.train.plans import PLANS, Plan

SHIPPED = zoo.names()
LARGEST = 40_000_000


def test_something_is_shipped_and_all_of_it_is_small():
    assert "target" in SHIPPED
    files = [each for each in (index.ROOT / "models").rglob("*") if each.is_file()]
    assert sum(each.stat().st_size for each in files) < LARGEST
    told = {f"{name}/{file}" for name in SHIPPED for file in index.read()[name].files}
    assert {str(each.relative_to(index.ROOT / "models")) for each in files} == told


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_whole_and_has_a_plan(name):
    told = json.loads((zoo.path(name) / "training.json").read_text())
    plan = Plan.recorded(told["plan"])
    assert plan.name == name and name in PLANS
    model = weights.load(name)
    assert sum(each.numel() for each in model.parameters()) == index.read()[name].parameters
    assert model.config.hidden_size == plan.shape.hidden


@pytest.mark.parametrize("name", SHIPPED)
def test_two_lines_of_the_card_can_be_had_again(name):
    told = index.read()[name].figures
    if not told:
        pytest.skip("its card is not written yet")
    plan = Plan.recorded(json.loads((zoo.path(name) / "training.json").read_text())["plan"])
    found = figures.measures(plan)[-1](weights.load(name), plan, Bench.of())
    again = [(title, column) for title, row in found.items() for column in row if column in told.get(title, {})]
    assert len(again) >= 2
    for title, column in again:
        assert found[title][column] == pytest.approx(told[title][column], rel=0.01, abs=0.005), (title, column)


def test_the_page_is_what_the_index_says():
    if not card.PAGE.parent.exists():
        pytest.skip("an installed package has no docs")
    assert card.PAGE.read_text() == card.page(index.read())
