"""Forwards of one model in several views at once: what a host can do in one call, because none of them waits for another."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from penstock.ir.op import Op
from penstock.ir.ops.forward import forward

MOST = 4
"""Views that one call serves; of more, the others are served by further calls."""

RESULTS = 3
"""What a forward returns: view, logits, hidden states."""

Asked = tuple[Any, Any, bool, bool]
"""Of one view: tokens ``[b,m]`` or None, parents, whether the root is fed, whether hidden states are wanted; see `forward`."""


def forward_stacked(*handles: Any, asked: tuple[Asked, ...], live: Tensor) -> tuple[Any, ...]:
    """`forward` of each view, one after another: ``(views', then logits and hidden states of each view)``.

    ``handles``: the views, all of one model, and the sequence.
    """
    *views, seq = handles
    each = [
        forward.meaning(view, seq, tokens, parents, live=live, **options(*more))
        for view, (tokens, parents, *more) in zip(views, asked, strict=True)
    ]
    return (*(view for view, _, _ in each), *(part for _, *answer in each for part in answer))


def options(root: bool, want_hidden: bool) -> dict[str, bool]:
    """What `forward` takes by name."""
    return dict(root=root, want_hidden=want_hidden)


def place_of(part: int, result: int, views: int) -> int:
    """Where a stack of ``views`` forwards returns result ``result`` (view, logits, hidden states) of its ``part``-th."""
    return part if result == 0 else views + 2 * part + result - 1


def unstacked(args: tuple[Any, ...], kwargs: dict[str, Any], value: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Arguments, options and value of each `forward` that a stack stands for."""
    *views, seq = args
    places = [[place_of(part, result, len(views)) for result in range(RESULTS)] for part in range(len(views))]
    return [
        ((view, seq, tokens, parents), options(*more) | dict(live=kwargs["live"]), tuple(value[place] for place in at))
        for view, (tokens, parents, *more), at in zip(views, kwargs["asked"], places, strict=True)
    ]


STACKED: Mapping[int, Op] = {
    views: Op("forward_stacked", "forward", forward_stacked, consumes=views, borrows=1, takes_live=True)
    for views in range(2, MOST + 1)
}
"""The op by how many views it serves."""
