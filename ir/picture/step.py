"""A step graph as a drawing: one box a stage with its ops, arrows for the tensors and handles that go from one to the next."""

from collections.abc import Iterator

from torch import fx

from penstock.ir.picture.drawing import Arrow, Box, Drawing
from penstock.ir.show import is_result, line, result_names

MOST = 14
"""Ops that a box lists."""
LONGEST = 72
BEGIN, END = "begin", "end"


def step_drawing(graph: fx.Graph) -> Drawing:
    """The graph, stage by stage in its order; what a drafter mirrors is drawn with it."""
    names = result_names(graph)
    home: dict[fx.Node, str] = {}
    listed: dict[str, list[str]] = {}
    for node, stage in homes(graph):
        home[node] = stage
        listed.setdefault(stage, [])
        if not is_result(node) and node.op not in ("placeholder", "output"):
            listed[stage] += line(node, names, "", unfold=False)
    boxes = tuple(Box(stage, stage, shortened(lines), family(stage)) for stage, lines in listed.items())
    order = {stage: number for number, stage in enumerate(listed)}
    flows: dict[tuple[str, str], None] = {}
    for node, stage in home.items():
        for source in node.all_input_nodes:
            # Everything reads the state as it begins: told once, not drawn to every box.
            if order[home[source]] < order[stage] and (home[source] != BEGIN or order[stage] == 1):
                flows[home[source], stage] = None
    return Drawing(boxes, tuple(Arrow(*pair) for pair in flows), across=False)


def homes(graph: fx.Graph) -> Iterator[tuple[fx.Node, str]]:
    """Every node with the stage that it is drawn in, which comes again only after others if it has been before."""
    before, seen = BEGIN, {BEGIN}
    for node in graph.nodes:
        stage = node.meta.get("stage") or before
        if node.op == "placeholder":
            stage = BEGIN
        elif node.op == "output":
            stage = END
        elif node.meta.get("origin") == "mirror" or is_result(node):
            stage = before
        if stage != before and stage in seen:
            stage = before  # a stage that acts again inside another's phase
        seen.add(stage)
        before = stage
        yield node, stage


def family(stage: str) -> str:
    """The kind of box for a stage's name."""
    known = {"verifier": "scorer", "accept": "acceptor", "steer": "transform", "constraint": "transform"}
    first = stage.partition(".")[0]
    return known.get(first, first)


def shortened(lines: list[str]) -> tuple[str, ...]:
    """The first lines, none too long."""
    shown = [each if len(each) <= LONGEST else each[: LONGEST - 1] + "\u2026" for each in lines[:MOST]]
    return (*shown, f"\u2026 {len(lines) - MOST} more") if len(lines) > MOST else tuple(shown)
