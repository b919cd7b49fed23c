"""How passes are run: in order, switched off by name, held to what they say of themselves."""

import pytest
from chains import chain_graph

from penstock.ir.errors import PenstockError
from penstock.ir.ops.logits import scale, top_k
from penstock.ir.show import show
from penstock.library import Temperature, TopK
from penstock.passes.lint import LintError
from penstock.passes.optimise.optimisation import VERIFY, Finding, optimise
from penstock.passes.optimise.rule import Equation, Logits, RulePass, rule
from penstock.passes.order import OPTIMISATION, optimised


@pytest.fixture(autouse=True)
def verifying(monkeypatch):
    monkeypatch.setenv(VERIFY, "1")


def scaled(graph):
    return next(n for n in graph.nodes if n.target is scale)


class Fake(RulePass):
    """A pass that does and says what a test wants."""

    def __init__(self, run):
        super().__init__("fake", ())
        self.run = run


def test_a_graph_is_copied_before_it_is_rewritten():
    graph = chain_graph(Temperature(value=0), TopK(k=3))
    before = show(graph, unfold=True)
    new, ran = optimised(graph)
    assert any(each.modified for each in ran) and show(graph, unfold=True) == before != show(new, unfold=True)


def test_every_pass_can_be_switched_off_by_its_name():
    graph = chain_graph(Temperature(value=0))
    for each in OPTIMISATION:
        assert each.name not in [ran.name for ran in optimised(graph, [each.name])[1]]
    new, ran = optimised(graph, [each.name for each in OPTIMISATION])
    assert ran == [] and show(new) == show(graph)
    with pytest.raises(PenstockError, match="no optimisation 'narow'.*\n.*fix: name one of simplify"):
        optimised(graph, ["narow"])


def test_nothing_is_left_for_a_second_run():
    once, _ = optimised(chain_graph(Temperature(value=0), TopK(k=9)))
    assert not any(each.modified for each in optimised(once)[1])


def test_a_pass_that_hides_a_change_is_caught():
    def sly(graph):
        scaled(graph).update_arg(1, 0.5)
        return []

    with pytest.raises(LintError, match="fake says that it changed nothing"):
        optimise(chain_graph(Temperature(value=0.8)), [Fake(sly)])


def test_a_pass_that_boasts_is_caught():
    with pytest.raises(LintError, match="fake says that it changed something"):
        optimise(chain_graph(Temperature(value=0.8)), [Fake(lambda graph: [Finding("r", scaled(graph), True)])])


def test_a_pass_that_breaks_a_type_is_caught():
    def narrowing(graph):
        node = scaled(graph)
        with graph.inserting_after(node):
            new = graph.call_function(top_k, (node, 3))
        new.meta.update(node.meta, example=node.meta["example"][..., :2])
        node.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
        return [Finding("r", node, True)]

    with pytest.raises(LintError, match="was said to be"):
        optimise(chain_graph(Temperature(value=0.8)), [Fake(narrowing)])


def test_a_pass_that_uses_a_handle_twice_is_caught():
    def twice(graph):
        feeds = [n for n in graph.nodes if getattr(n.target, "name", "") == "forward"]
        feeds[1].update_arg(0, feeds[0].args[0])
        return [Finding("r", feeds[1], True)]

    with pytest.raises(LintError, match="has consumed"):
        optimise(chain_graph(Temperature(value=0.8)), [Fake(twice)])


def test_rules_that_undo_each_other_are_caught(monkeypatch):
    monkeypatch.setattr("penstock.passes.optimise.rule.LONGEST", 50)

    @rule(literals={"t": (0.8,)})
    def there(x: Logits, t: float) -> Equation:
        """Its right side has its left side in it."""
        return scale(x, t), scale(top_k(x, 9), t)

    with pytest.raises(LintError, match="without end"):
        optimise(chain_graph(Temperature(value=0.8)), [RulePass("there", [there])])
