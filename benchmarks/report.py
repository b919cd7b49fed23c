"""From results to docs/benchmarks.md: what was measured, against what was aimed at. ``python benchmarks/report.py`` writes it."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from penstock.bench.machine import described
from penstock.bench.spread import Spread, ratios

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
TITLES = {
    "step": "Framework time a step",
    "chain": "The sampling chain alone",
    "wide": "Assisted sampling over a wide vocabulary",
    "zoo": "The zoo pair",
    "decoding": "Llama shapes with scripted tokens",
}
UNITS = {
    "step": ("ms a step", "forwards", "tokens a step"),
    "chain": ("ms a draw of the batch", "forwards", "tokens a draw"),
}
A_TOKEN = "ms a token", "tokens", "tokens a row and forward"
"""What a time is of, the number of a lap that it is divided by, and what that lap has more of."""
Cells = Mapping[str, Any]


def page() -> str:
    """The whole document."""
    found = {name: json.loads(file.read_text()) for name in TITLES if (file := HERE / "results" / f"{name}.json").exists()}
    head = (HERE / "benchmarks.head.md").read_text().rstrip()
    return "\n".join(["<!-- Written by benchmarks/report.py from benchmarks/results. -->\n", head, "", *body(found)])


def body(found: Mapping[str, Cells]) -> Iterator[str]:
    yield from ("## What it was measured on", "", *machines(found), "", "## What was aimed at", "", *targets(found), "")
    for name, cells in found.items():
        yield from (f"## {TITLES[name]}", "", about(name), "", *table(name, cells), "")


def machines(found: Mapping[str, Cells]) -> Iterator[str]:
    """Every machine and day, with how many cells, how loaded, and whether in a hurry."""
    groups: dict[str, list[Any]] = {}
    for cell in (cell for cells in found.values() for cell in cells.values()):
        alone = described({**cell["machine"], "load": None})
        groups.setdefault(f"{alone}, commit {cell['commit']}", []).append(cell)
    for machine, cells in groups.items():
        loads = [cell["machine"]["load"][0] for cell in cells if cell["machine"]["load"]]
        load = f"; load while measuring {min(loads):.1f} to {max(loads):.1f} (1 is this process alone)" if loads else ""
        hurried = sum(cell["quick"] for cell in cells)
        quick = f"; {hurried} of them in a quick run, which is no final figure" if hurried else ""
        yield f"- {machine}: {len(cells)} cells{load}{quick}"


def targets(found: Mapping[str, Cells]) -> Iterator[str]:
    """The table of targets, and what holds back those that are missed."""
    yield from ("| what | wanted | measured | |", "|---|---|---|---|")
    missed: dict[str, str] = {}
    for target in yaml.safe_load((HERE / "targets.yaml").read_text()):
        for name in target["cells"]:
            cell = found.get(target["benchmark"], {}).get(name)
            shown, met = judged(target, cell)
            bound = f">= {target['least']:g}x" if "least" in target else f"<= {target['most']:g} ms"
            yield f"| {target['what']}: {name} | {bound} | {shown} | {met} |"
            if met.startswith("missed"):
                missed[target["what"]] = target["holds_back"].strip()
    if missed:
        yield from ("", "What holds back those that are missed:", "")
        yield from (f"- {what}: {why}" for what, why in missed.items())


def judged(target: Mapping[str, Any], cell: Any) -> tuple[str, str]:
    """What was measured of a target's cell, and whether that is what was wanted."""
    if cell is None:
        return "", "not measured"
    if "absent" in cell or target["by"] not in cell["laps"]:
        return "", f"not there: {cell.get('absent', 'no backend ' + target['by'])}"
    found = MEASURES[target["measure"]](target, cell["laps"])
    short = target["least"] / found.median if "least" in target else found.median / target["most"]
    digits = 1 if "least" in target else 3
    shown = f"{found.median:.{digits}f} ({found.low:.{digits}f}..{found.high:.{digits}f})"
    return shown, "met" if short <= 1 else f"missed by {short:.2f}x"


def per_token(laps: Any) -> list[float]:
    return [lap["seconds"] / lap["tokens"] for lap in laps]


MEASURES = {
    "faster": lambda target, laps: ratios(per_token(laps[target["over"]]), per_token(laps[target["by"]])),
    "step": lambda target, laps: Spread.of([1e3 * lap["seconds"] / lap["forwards"] for lap in laps[target["by"]]]),
    "site": lambda target, laps: Spread.of([1e3 * each for each in per_token(laps[target["by"]])]),
}
"""How many times faster than another contender; ms a step; ms by row and site that is read, which gives a token."""


def table(benchmark: str, cells: Cells) -> Iterator[str]:
    """A row a cell, a column a contender, and how many times longer than the first the others take."""
    names = list(dict.fromkeys(name for cell in cells.values() for name in cell.get("laps", ())))
    unit, _, rate = UNITS.get(benchmark, A_TOKEN)
    heads = [f"{names[0]}", *(f"{name} | times" for name in names[1:])] if names else []
    compiling = any(cell.get("compiled") for cell in cells.values())
    yield f"| {unit} | {' | '.join(heads)} | {rate} |" + " compiling |" * compiling
    yield "|---" * (2 * len(names) + 1 + compiling) + "|"
    for name, cell in cells.items():
        if "absent" in cell:
            yield f"| {name} | {cell['absent']} |" + " |" * (2 * len(names) - 1 + compiling)
        else:
            yield f"| {name} | {' | '.join(columns(benchmark, cell['laps'], names))} |" + f" {compiling_of(cell)} |" * compiling


def compiling_of(cell: Any) -> str:
    """What compiling took, in the round that is not kept; of what an earlier run had compiled, to load it."""
    return "; ".join(map(loaded_or_compiled, cell.get("compiled", {}).values()))


def loaded_or_compiled(report: Any) -> str:
    """One contender's part of that."""
    cached = f", {report['cached']} cached" if report["cached"] else ""
    parts = [f"{report[part]} {part}" for part in ("regions", "forwards") if report.get(part)]
    return f"{report['seconds']:.1f} s, {', '.join(parts)}{cached}" if parts else "nothing compiled"


def columns(benchmark: str, laps: Any, names: list[str]) -> Iterator[str]:
    first = next(iter(laps))
    for name in names:
        if name not in laps:
            yield from ("",) if name == names[0] else ("", "")
            continue
        yield "{0.median:.3f} ({0.low:.3f}..{0.high:.3f})".format(Spread.of(times(benchmark, laps[name])))
        if name != names[0]:
            yield f"{ratios(times(benchmark, laps[name]), times(benchmark, laps[first])).median:.2f}"
    yield ", ".join(f"{rate:.2f}" for rate in dict.fromkeys(round(tokens_a_forward(each), 2) for each in laps.values()))


def times(benchmark: str, laps: Any) -> list[float]:
    """Milliseconds of every lap, of the benchmark's unit."""
    _, divisor, _ = UNITS.get(benchmark, A_TOKEN)
    return [1e3 * lap["seconds"] / lap[divisor] for lap in laps]


def tokens_a_forward(laps: Any) -> float:
    return sum(lap["tokens"] for lap in laps) / max(sum(lap["forwards"] for lap in laps), 1)


def line(benchmark: str, name: str, cell: Any) -> str:
    """A cell as it is told while measuring."""
    if "absent" in cell:
        return f"{name}: {cell['absent']}"
    unit, _, rate = UNITS.get(benchmark, A_TOKEN)
    names = list(cell["laps"])
    return f"{name}: {unit}, times the first's, {rate}: {', '.join(columns(benchmark, cell['laps'], names))}"


def about(benchmark: str) -> str:
    """What the benchmark's own file says of it."""
    told = ast.get_docstring(ast.parse((HERE / f"{benchmark}.py").read_text())) or ""
    return "\n\n".join(" ".join(part.split()) for part in told.split("\n\n"))


def write() -> None:
    PAGE.write_text(page().rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
