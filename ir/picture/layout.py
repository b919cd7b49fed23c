"""Layered layout: every box in a layer after all that lead to it, layers ordered so that few arrows cross."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from penstock.ir.picture.drawing import Arrow, Box, Drawing

CHARACTER, LINE, PADDING = 6.7, 16.0, 10.0
"""Pixels of a character of the font at its size, of a line, and inside a box."""
APART, BETWEEN = 22.0, 64.0
"""Pixels between boxes of a layer, and between layers."""
SWEEPS = 6


@dataclass(frozen=True)
class Placed:
    """Where a box lies: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Where everything lies; an arrow passes through points, its first and last on the edges of boxes."""

    boxes: Mapping[str, Placed]
    arrows: Sequence[Sequence[tuple[float, float]]]
    width: float
    height: float


def laid_out(drawing: Drawing) -> Layout:
    """Positions for all boxes and arrows. Raises ValueError where arrows form a cycle."""
    layer = layers_of(drawing)
    chains = [chain(arrow, layer) for arrow in drawing.arrows]
    rows = ordered([*layer], layer, chains)
    sizes = {box.name: size_of(box) for box in drawing.boxes}
    places = placed(rows, sizes, drawing.across)
    ways = [way(each, places, sizes, drawing.across) for each in chains]
    found = {name: places[name] for name in sizes}
    right, bottom = (max((getattr(p, at) + getattr(p, size) for p in places.values()), default=0.0) for at, size in EDGES)
    return Layout(found, ways, right + PADDING, bottom + PADDING)


EDGES = (("x", "width"), ("y", "height"))


def size_of(box: Box) -> tuple[float, float]:
    """Width and height that hold a box's text."""
    widest = max(len(line) for line in (box.title, *box.lines))
    return widest * CHARACTER + 2 * PADDING, (1 + len(box.lines)) * LINE + 2 * PADDING


def layers_of(drawing: Drawing) -> dict[str, int]:
    """The layer of each box: after all that leads to it; what nothing leads to stands right before what it leads to."""
    before: dict[str, list[str]] = {box.name: [] for box in drawing.boxes}
    after: dict[str, list[str]] = {box.name: [] for box in drawing.boxes}
    for arrow in drawing.arrows:
        before[arrow.end].append(arrow.start)
        after[arrow.start].append(arrow.end)
    layer: dict[str, int] = {}
    waiting = {name: len(others) for name, others in before.items()}
    ready = [name for name, count in waiting.items() if not count]
    while ready:
        name = ready.pop(0)
        layer[name] = max((layer[other] + 1 for other in before[name]), default=0)
        for other in after[name]:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    if len(layer) < len(before):
        raise ValueError(f"arrows form a cycle among {', '.join(name for name in before if name not in layer)}")
    for name in (name for name, others in before.items() if not others and after[name]):
        layer[name] = min(layer[other] for other in after[name]) - 1
    lowest = min(layer.values(), default=0)
    return {name: place - lowest for name, place in layer.items()}


Chain = list[str]


def chain(arrow: Arrow, layer: dict[str, int]) -> Chain:
    """The boxes of an arrow's ends, with a knot in every layer that it crosses; knots join ``layer``."""
    first, last = layer[arrow.start], layer[arrow.end]
    knots = [f"{arrow.start}\n{arrow.end}\n{arrow.label}\n{between}" for between in range(first + 1, last)]
    layer.update(zip(knots, range(first + 1, last), strict=True))
    return [arrow.start, *knots, arrow.end]


def ordered(names: Sequence[str], layer: Mapping[str, int], chains: Sequence[Chain]) -> list[list[str]]:
    """The names of every layer in an order in which few arrows cross: by the mean place of neighbours, to and fro."""
    rows: list[list[str]] = [[] for _ in range(1 + max(layer.values(), default=-1))]
    for name in layer:
        rows[layer[name]].append(name)
    neighbours: dict[str, list[str]] = {name: [] for name in layer}
    for each in chains:
        for one, other in zip(each, each[1:], strict=False):
            neighbours[one].append(other)
            neighbours[other].append(one)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else rows[::-1]:
            place = {name: i - len(line) / 2 for line in rows for i, name in enumerate(line)}
            row.sort(key=lambda name: mean([place[other] for other in neighbours[name]], place[name]))
    return rows


def mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def placed(rows: Sequence[Sequence[str]], sizes: Mapping[str, tuple[float, float]], across: bool) -> dict[str, Placed]:
    """Layer after layer, each centred. Computed as if it read downwards and turned where it reads across."""
    upright = {name: (h, w) if across else (w, h) for name, (w, h) in sizes.items()}
    widths = [sum(upright.get(name, (4.0, 0.0))[0] for name in row) + APART * (len(row) - 1) for row in rows]
    found, y = {}, PADDING
    for row, width in zip(rows, widths, strict=True):
        tallest = max((upright.get(name, (4.0, 0.0))[1] for name in row), default=0.0)
        x = PADDING + (max(widths) - width) / 2
        for name in row:
            w, h = upright.get(name, (4.0, 0.0))
            found[name] = Placed(x, y + (tallest - h) / 2, w, h)
            x += w + APART
        y += tallest + BETWEEN
    return {name: replace(p, x=p.y, y=p.x, width=p.height, height=p.width) for name, p in found.items()} if across else found


def way(
    names: Chain, places: Mapping[str, Placed], sizes: Mapping[str, tuple[float, float]], across: bool
) -> list[tuple[float, float]]:
    """The points of an arrow: out of its first box, through its knots, into its last."""
    middle = [(p.x + p.width / 2, p.y + p.height / 2) for p in (places[name] for name in names)]
    first, last = places[names[0]], places[names[-1]]
    if across:
        return [(first.x + first.width, middle[0][1]), *middle[1:-1], (last.x, middle[-1][1])]
    return [(middle[0][0], first.y + first.height), *middle[1:-1], (middle[-1][0], last.y)]
