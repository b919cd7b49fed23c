"""A drawing as Mermaid, for pages that draw it themselves; labels hold nothing that Mermaid or HTML would read as its own."""

from penstock.ir.picture.drawing import COLOURS, OTHER, Drawing

# Mermaid reads #NN; as a character, after what Markdown and HTML have done to the text.
SPELT = {ord(each): f"#{ord(each)};" for each in "\"'`<>&#{}[]()|\\;"}


def mermaid(drawing: Drawing) -> str:
    """The diagram's text."""
    short = {box.name: f"n{number}" for number, box in enumerate(drawing.boxes)}
    lines = [f"flowchart {'LR' if drawing.across else 'TD'}"]
    for box in drawing.boxes:
        text = "<br>".join(spelt(each) for each in (box.title, *box.lines))
        lines.append(f'  {short[box.name]}["{text}"]:::{box.kind or "other"}')
    for arrow in drawing.arrows:
        line = "-.->" if arrow.aside else "-->"
        label = f'|"{spelt(arrow.label)}"|' if arrow.label else ""
        lines.append(f"  {short[arrow.start]} {line}{label} {short[arrow.end]}")
    kinds = dict.fromkeys(box.kind or "other" for box in drawing.boxes)
    return "\n".join([*lines, *(f"  classDef {kind} stroke:{COLOURS.get(kind, OTHER)}" for kind in kinds)]) + "\n"


def spelt(text: str) -> str:
    """Text that Mermaid takes as it is."""
    return " ".join(text.split()).translate(SPELT)
