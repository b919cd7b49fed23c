"""A drawing as SVG: one self-contained picture without scripts, in light and dark; all text is escaped."""

from collections.abc import Sequence
from html import escape

from penstock.ir.picture.drawing import COLOURS, OTHER, Box, Drawing
from penstock.ir.picture.layout import LINE, PADDING, Placed, laid_out

STYLE = """\
text { font: 11px ui-monospace, Menlo, Consolas, monospace; fill: #0f172a }
.title { font-weight: 700 } .label { font-size: 10px; fill: #64748b }
.box { fill: #ffffff; stroke: #cbd5e1 } .way { fill: none; stroke: #94a3b8; stroke-width: 1.4 }
.aside { stroke-dasharray: 4 3 } .head { fill: #94a3b8 }
@media (prefers-color-scheme: dark) {
text { fill: #e2e8f0 } .label { fill: #94a3b8 } .box { fill: #1e293b; stroke: #475569 } }"""


def svg(drawing: Drawing) -> str:
    """The picture's text. Raises ValueError where arrows form a cycle."""
    layout = laid_out(drawing)
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}" viewBox="0 0 {layout.width:.0f} {layout.height:.0f}"'
    head = (
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker>'
    )
    ways = [
        line(points, arrow.label, arrow.aside, drawing.across)
        for arrow, points in zip(drawing.arrows, layout.arrows, strict=True)
    ]
    boxes = [block(box, layout.boxes[box.name]) for box in drawing.boxes]
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{STYLE}</style>", f"<defs>{head}</defs>"]
    return "\n".join([*lines, *ways, *boxes, "</svg>\n"])


def line(points: Sequence[tuple[float, float]], label: str, aside: bool, across: bool) -> str:
    """An arrow: a curve through its points that leaves and enters boxes at right angles."""
    (x, y), *rest = points
    drawn = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in rest:
        bend_x, bend_y = (x + to_x) / 2, (y + to_y) / 2
        one, two = ((bend_x, y), (bend_x, to_y)) if across else ((x, bend_y), (to_x, bend_y))
        drawn += f"C{one[0]:.1f} {one[1]:.1f} {two[0]:.1f} {two[1]:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    found = f'<path class="way{" aside" * aside}" d="{drawn}" marker-end="url(#head)"/>'
    if label:
        (a, b), (c, d) = points[0], points[1]
        at = f'x="{(a + c) / 2:.1f}" y="{(b + d) / 2 - 4:.1f}"'
        found += f'<text class="label" {at} text-anchor="middle">{escape(label)}</text>'
    return found


def block(box: Box, place: Placed) -> str:
    """A box with its title, its lines and a stripe of its kind's colour."""
    x, y, colour = place.x, place.y, COLOURS.get(box.kind, OTHER)
    parts = [
        f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" rx="6"/>',
        f'<rect x="{x:.1f}" y="{y:.1f}" width="4" height="{place.height:.1f}" rx="2" fill="{colour}"/>',
    ]
    for number, text in enumerate((box.title, *box.lines)):
        style = ' class="title"' if number == 0 else ""
        at = f'x="{x + PADDING:.1f}" y="{y + PADDING + LINE * (number + 0.75):.1f}"'
        parts.append(f'<text{style} {at} xml:space="preserve">{escape(text)}</text>')
    return "".join(parts)
