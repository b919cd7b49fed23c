"""Dropping what nobody reads."""

from chains import chain_graph, count

from penstock.ir.show import show
from penstock.library import Temperature
from penstock.passes.dead_code import dead_code
from penstock.passes.lint import linear


def test_dead_code_drops_what_nobody_reads_and_keeps_every_state_op():
    graph = chain_graph(Temperature(value=0.8), dead=True)
    before = {name: count(graph, name) for name in ("forward", "keep", "append", "look", "race")}
    assert dead_code(graph) > 0
    assert dead_code(graph) == 0
    assert {name: count(graph, name) for name in before} == before
    linear(graph)


def test_a_dropped_path_state_takes_its_reads_with_it():
    text = show(chain_graph(Temperature(value=0.8), dead=True))
    assert "at(" in text  # the last token, which only automata read
    assert "at(" not in show(chain_graph(Temperature(value=0.8))).replace("repeated(", "")
