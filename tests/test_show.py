"""Pictures: nothing overlaps, arrows go forward, and no name in a spec becomes markup."""

import re
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import penstock
from penstock.cli.commands import app
from penstock.dsl.drawn import pipeline_drawing
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.ir.picture.drawing import Arrow, Box, Drawing
from penstock.ir.picture.layout import laid_out
from penstock.ir.picture.mermaid import mermaid
from penstock.ir.picture.step import step_drawing
from penstock.ir.picture.svg import svg
from penstock.library import ModelDrafter, ModelVerifier, Temperature

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.yaml"))
HOSTILE = '<script>alert("1")</script>]]>&amp;#34;|{x}'


def drawings(path):
    pipeline = penstock.load(path)
    return pipeline_drawing(pipeline), step_drawing(penstock.check(pipeline).graph)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_drawn_without_overlaps_and_arrows_go_forward(path):
    for drawing in drawings(path):
        layout = laid_out(drawing)
        for a, b in combinations(layout.boxes.values(), 2):
            assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
        for points in layout.arrows:
            assert all(one[not drawing.across] < other[not drawing.across] for one, other in pairwise(points))
        assert all(p.x >= 0 and p.x + p.width <= layout.width and p.y + p.height <= layout.height for p in layout.boxes.values())
        ElementTree.fromstring(svg(drawing))


def test_a_pipeline_is_drawn_as_it_reads():
    stages = (ModelDrafter(model="d", length=2), ModelVerifier(model="t"), Temperature(value=0.5))
    drawing = pipeline_drawing(Pipeline(models={"t": "table:3:1", "d": "table:3:2", "unused": "table:3:3"}, stages=stages))
    assert [box.title for box in drawing.boxes] == ["t", "d", "drafter.model", "verifier.model", "transform.temperature", "text"]
    assert drawing.boxes[2].lines == ("model: d", "length: 2") and drawing.boxes[4].lines == ("value: 0.5",)
    assert {(a.start, a.end, a.label, a.aside) for a in drawing.arrows} == {
        ("stage 0", "stage 1", "Draft", False),
        ("stage 1", "stage 2", "Scored", False),
        ("stage 2", "text", "Commit", False),
        ("model d", "stage 0", "", True),
        ("model t", "stage 1", "", True),
    }


def test_every_op_of_a_step_is_in_some_box():
    pipeline = penstock.load(EXAMPLES[-1])
    drawing = step_drawing(penstock.check(pipeline).graph)
    told = penstock.show(pipeline, stage="ir").splitlines()
    ops = [line for line in told if " = " in line]
    listed = [line for box in drawing.boxes for line in box.lines]
    more = sum(int(found[1]) for line in listed if (found := re.fullmatch("\u2026 ([0-9]+) more", line)))
    assert len(listed) - sum("more" in line and line[0] == "\u2026" for line in listed) + more == len(ops)


def test_arrows_are_kept_apart_from_boxes_that_they_pass():
    boxes = tuple(Box(name, name) for name in "abc")
    layout = laid_out(Drawing(boxes, (Arrow("a", "b"), Arrow("b", "c"), Arrow("a", "c"))))
    knot = layout.arrows[2][1]
    middle = layout.boxes["b"]
    assert len(layout.arrows[2]) == 3 and not middle.y <= knot[1] <= middle.y + middle.height


def test_a_cycle_is_no_picture():
    with pytest.raises(ValueError, match="cycle among a, b"):
        laid_out(Drawing((Box("a", "a"), Box("b", "b")), (Arrow("a", "b"), Arrow("b", "a"))))


def test_nothing_in_a_name_becomes_markup():
    drawing = Drawing((Box("a", HOSTILE, (HOSTILE,)), Box("b", "b\nc")), (Arrow("a", "b", HOSTILE),))
    tree = ElementTree.fromstring(svg(drawing))
    assert not [each for each in tree.iter() if each.tag.endswith("script")]
    assert [each.text for each in tree.iter() if each.text and "alert" in each.text] == [HOSTILE] * 3
    lines = mermaid(drawing).splitlines()
    assert len(lines) == 5 and not re.search(r"[<>{}()'\\]|\"1", "".join(lines).replace("<br>", "").replace("-->", ""))


def test_show_takes_a_stage_and_a_form(tmp_path):
    show = lambda *options: CliRunner().invoke(app, ["show", str(EXAMPLES[0]), *options])  # noqa: E731
    assert penstock.load(write(tmp_path, show().stdout)) == penstock.load(EXAMPLES[0])
    assert show("--format", "mermaid").stdout.startswith("flowchart LR")
    assert show("--format", "svg", "--stage", "ir").stdout.startswith("<svg ")
    refused = show("--format", "png")
    assert refused.exit_code == 2 and "there is no form 'png' to show\n  fix: name one of text, mermaid, svg" in refused.stderr


def write(folder, text):
    (folder / "again.yaml").write_text(text)
    return folder / "again.yaml"


def test_a_notebook_shows_a_pipeline_as_a_picture():
    assert penstock.load(EXAMPLES[0])._repr_svg_() == penstock.show(penstock.load(EXAMPLES[0]), form="svg")
    with pytest.raises(PenstockError, match="no stage 'graph' to show"):
        penstock.show(penstock.load(EXAMPLES[0]), stage="graph")
