"""A pipeline given as a graph: nodes and who reads whom. Whatever it means, a chain means the same.

Stages that the graph does not order may stand in any order in the chain unless they share a port: two that write the
same port are ambiguous, and one that reads a port stands before the next that writes it.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TypeAlias

import networkx as nx

from penstock.dsl.registry import nearest
from penstock.dsl.roles import READS, WRITES
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError

Graph: TypeAlias = "nx.DiGraph[str]"


def chain(nodes: Mapping[str, Stage], edges: Iterable[tuple[str, str]]) -> tuple[Stage, ...]:
    """The stages in the one order, up to indifference, that the graph allows; errors name both stages."""
    graph: Graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    for edge in edges:
        for end in edge:
            if end not in nodes:
                what = f"edge {edge[0]} -> {edge[1]}: there is no node {end}"
                raise PenstockError(what, fix=nearest(end, nodes) or f"the nodes are {', '.join(nodes)}")
        graph.add_edge(*edge)
    check_acyclic(graph, nodes)
    check_connected(graph, nodes)
    before = {name: nx.ancestors(graph, name) for name in nodes}
    for port in sorted({port for stage in nodes.values() for port in reads(stage) | writes(stage)}):
        graph.add_edges_from(orders(before, nodes, port))
    check_acyclic(graph, nodes)
    position = {name: index for index, name in enumerate(nodes)}
    return tuple(nodes[name] for name in nx.lexicographical_topological_sort(graph, key=position.__getitem__))


def reads(stage: Stage) -> set[str]:
    """The ports it needs from an earlier stage, its parts taken together."""
    return {port for part in stage.parts() for port in READS.get(part.role, ())} - writes_first(stage)


def writes(stage: Stage) -> set[str]:
    """The ports it gives."""
    return {port for part in stage.parts() for port in WRITES.get(part.role, ())}


def writes_first(stage: Stage) -> set[str]:
    """The ports that one of its own parts gives from nothing: a composite that scores needs no scorer before it."""
    return {port for part in stage.parts() for port in set(WRITES.get(part.role, ())) - set(READS.get(part.role, ()))}


def called(nodes: Mapping[str, Stage], name: str) -> str:
    return f"{name} ({nodes[name].kind})"


def check_acyclic(graph: Graph, nodes: Mapping[str, Stage]) -> None:
    if nx.is_directed_acyclic_graph(graph):
        return
    ring = [edge[0] for edge in nx.find_cycle(graph)]
    through = " -> ".join(called(nodes, name) for name in (*ring, ring[0]))
    raise PenstockError(f"the stages form a cycle: {through}", where=nodes[ring[0]].source, fix="take one edge out")


def check_connected(graph: Graph, nodes: Mapping[str, Stage]) -> None:
    first, *_ = nodes
    reached = nx.node_connected_component(graph.to_undirected(as_view=True), first)
    lone = next((name for name in nodes if name not in reached), None)
    if lone is not None:
        raise PenstockError(
            f"stage {called(nodes, lone)} cannot be reached from {called(nodes, first)}",
            where=nodes[lone].source,
            fix=f"add an edge to or from {lone}, or leave it out",
        )


def orders(before: Mapping[str, set[str]], nodes: Mapping[str, Stage], port: str) -> Iterator[tuple[str, str]]:
    """Edges that put each reader of a port before the next writer; writers must be ordered already."""
    writers = sorted((name for name in nodes if port in writes(nodes[name])), key=lambda name: len(before[name]))
    for one, other in pairwise(writers):
        if one not in before[other]:
            raise PenstockError(
                f"stages {called(nodes, one)} and {called(nodes, other)} both write {port}, and neither comes first",
                where=nodes[other].source,
                fix=f"add an edge {one} -> {other}, or the reverse",
            )
    for name in (name for name in nodes if port in reads(nodes[name])):
        given = [index for index, writer in enumerate(writers) if writer in before[name]]
        if not given:
            raise nothing_gives(nodes, name, port, writers)
        later = [writer for writer in writers[given[-1] + 1 :] if writer != name]
        yield from ((name, writer) for writer in later[:1])


def nothing_gives(nodes: Mapping[str, Stage], name: str, port: str, writers: list[str]) -> PenstockError:
    giver = next((writer for writer in writers if writer != name), None)
    rest = f"; {called(nodes, giver)} does" if giver else ""
    return PenstockError(
        f"stage {called(nodes, name)} reads {port}, which nothing before it gives{rest}",
        where=nodes[name].source,
        fix=f"add an edge {giver} -> {name}" if giver else f"add a stage that gives {port}",
    )
