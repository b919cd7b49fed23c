"""What the compiler did to a step: as it was traced, what each optimisation did and why, as it will run."""

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from penstock.backends.inductor.lockstep import Lockstep
from penstock.backends.inductor.lower import marked
from penstock.backends.inductor.resident import reads
from penstock.decode.means import Backend
from penstock.ir.region import Region
from penstock.ir.show import show
from penstock.passes.build import StepGraph
from penstock.passes.optimise.optimisation import Finding, Ran
from penstock.passes.order import OPTIMISATION, optimised


def rewritten(step: StepGraph, without: Collection[str] = (), backend: Backend = "auto") -> list[str]:
    """The step, the passes in their order, and the step after them; of a step by bucket, the first bucket's.

    Of backend inductor, or lockstep, also how each walk is run and why, what the host reads of a device, and the step with the
    region of every node that is compiled.
    """
    graph, ran = optimised(step.graph, without, telling=True)
    by_name = {each.name: each for each in ran}
    lines = ["step as traced", show(step.graph)]
    for each in OPTIMISATION:
        lines += told(by_name[each.name]) if each.name in by_name else [f"{each.name}: switched off"]
    after = show(graph) if any(each.modified for each in ran) else "  the same"
    compiled = in_regions(step, without, backend) if backend in ("inductor", "lockstep") else ()
    return [*lines, "step as optimised", after, *compiled]


def in_regions(step: StepGraph, without: Collection[str], backend: Backend) -> Iterator[str]:
    """What the inductor backend compiles of a step, and what the host waits for."""
    graph = marked(step.graph, without, backend == "lockstep")
    yield backend
    walks = [node for node in graph.nodes if "way" in node.meta and isinstance(node.target, Region | Lockstep)]
    yield from (f"  walk of {node.meta['stage']}, {node.meta['way']}" for node in walks)
    yield from (f"  read: {each}" for each in reads(graph))
    count = len({node.meta["region"] for node in graph.nodes if "region" in node.meta})
    yield f"step in {count} {'region' if count == 1 else 'regions'}"
    yield show(graph)


def told(ran: Ran) -> Iterator[str]:
    """Whether a pass changed anything, what fired and what did not and why, and the lines that changed."""
    yield f"{ran.name}: {'changed' if ran.modified else 'nothing to do'}"
    yield from findings(ran.findings)
    yield from changes(ran.before, ran.after)


def findings(found: Sequence[Finding]) -> Iterator[str]:
    """What fired first; equal lines once, with how many there are of them."""
    ordered = sorted(found, key=lambda each: not each.fired)
    for line, times in Counter(map(finding, ordered)).items():
        yield f"{line} ({times} times)" if times > 1 else line


def finding(found: Finding) -> str:
    """Rule, stage, place, reason."""
    place = f", {found.source.rsplit('/', 1)[-1]}" if found.source else ""
    head = f"  {'fired' if found.fired else 'not'}: {found.rule} at {found.stage}{place}"
    return f"{head}: {found.why}" if found.why else head


def changes(before: str, after: str) -> Iterator[str]:
    """The lines that went and the lines that came."""
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if line.startswith(("- ", "+ ")):
            yield f"  {line[0]} {line[2:].strip()}"
