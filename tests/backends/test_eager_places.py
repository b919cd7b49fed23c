"""Values are converted where kernels that disagree on their place meet, once, and nowhere else."""

import torch
from host_kernels import V, floats
from torch import Tensor, fx

from penstock.backends.eager.generate import compiled
from penstock.backends.eager.places import Columns, Numbers, kernel
from penstock.ir.op import Op, op


@op()
def doubled(x: Tensor) -> Tensor:
    """Twice."""
    return x * 2


@op()
def picked(x: Tensor) -> Tensor:
    """The last column."""
    return x[:, -1]


def on_lists(x: Numbers) -> Numbers:
    return [[2 * v for v in row] for row in x]


def of_columns(x: Columns) -> Tensor:
    last: Tensor = x[-1]
    return last


def graph_of(*steps: tuple[Op, Tensor], given: Tensor) -> fx.Graph:
    graph = fx.Graph()
    node = graph.placeholder("given")
    node.meta["example"] = given
    for step, example in steps:
        node = graph.call_function(step, (node,))
        node.meta["example"] = example
    graph.output((node,))
    return graph


def test_values_are_converted_where_kernels_disagree_and_nowhere_else():
    given = torch.tensor([[1, 2], [3, 4]])
    made = compiled(graph_of((doubled, given), (doubled, given), given=given), {doubled: (kernel(on_lists),)})
    assert torch.equal(made(given)[0], given * 4)
    assert (made.__doc__ or "").count("tolist") == 1 and (made.__doc__ or "").count("from_numbers") == 1


def test_a_kernel_that_does_not_fit_the_types_leaves_the_call_to_the_meaning():
    given = floats(2, 3)
    made = compiled(graph_of((doubled, given), given=given), {doubled: (kernel(on_lists),)})
    assert "tolist" not in (made.__doc__ or "")
    assert torch.equal(made(given)[0], given * 2)


def test_columns_are_views_until_a_tensor_is_wanted():
    given = floats(2, 3, V)
    made = compiled(graph_of((picked, given[:, -1]), given=given), {picked: (kernel(of_columns),)})
    assert made(given)[0].data_ptr() == given[:, -1].data_ptr()
