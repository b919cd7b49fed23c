"""What a step makes anew: nothing that grows with a cache."""

from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from penstock.backends.eager import lower as eager
from penstock.backends.inductor import artefact
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.lower import lower
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.standin import StandIn
from penstock.library import ModelDrafter, ModelVerifier, Temperature
from penstock.passes.build import build
from penstock.passes.order import elaborate

VOCAB = 37
PROMPTS = [[1], [2, 0, 1]]


class Made(TorchDispatchMode):
    """What torch made, views aside, and models' own: type and bytes of each."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[torch.dtype, int]] = []

    def reals(self) -> list[int]:
        """Numbers in each tensor of reals."""
        return [size // kind.itemsize for kind, size in self.found if kind.is_floating_point]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {x.untyped_storage().data_ptr() for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        found = [x for x in pytree.tree_leaves(out) if isinstance(x, torch.Tensor)]
        new = [x for x in found if x.untyped_storage().data_ptr() not in given]
        self.found += [(x.dtype, x.untyped_storage().nbytes()) for x in new]
        return out


class Unseen(TableModel):
    """A model, what whose forwards make is its own business; what they are fed is known, whoever made it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fed: list[tuple[torch.dtype, int]] = []

    def forward(self, cache: Any, feed: Any) -> Any:
        with _disable_current_modes():
            self.fed += [(x.dtype, x.numel()) for x in (feed.ids, feed.slots, feed.positions, feed.visible)]
            return super().forward(cache, feed)


def decoder(temperature: float, made: Any) -> Decoder:
    """A chain of three drafted tokens, lowered by ``made``."""
    models = {"t": Unseen(VOCAB, 1, 2), "draft:d": Unseen(VOCAB, 1, 1, sharpness=1.2)}
    facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in models.items()}
    stages = ModelDrafter(model="d", length=3), ModelVerifier(model="t"), Temperature(value=temperature)
    graph = build(elaborate(stages), facts)
    return Decoder(graph, models, made(graph))


def stepping(made: Decoder, room: int) -> Any:
    """One step after the other, of two rows with so much room."""
    state = made.start([Request(dict.fromkeys(made.models, prompt), room, key=b) for b, prompt in enumerate(PROMPTS)])
    handles = [state[name] for name in made.graph.handles]
    while True:
        handles = made.step(*handles)
        yield


@pytest.fixture
def uncompiled(monkeypatch):
    """Regions run as they are written; what they make inside is theirs."""

    def built(function: Any, inputs: Any) -> Any:
        def run(*args: Any) -> Any:
            with _disable_current_modes():
                return function(*args)

        return run

    monkeypatch.setattr(artefact, "built", built)
    monkeypatch.setattr("penstock.backends.inductor.lower.compiler", lambda: "c++")


LOWERED = {
    "eager": eager.lower,
    "inductor": lambda graph: lower(graph, Artefacts()),
    "lockstep": lambda graph: lower(graph, Artefacts(), lockstep=True),
}


@pytest.mark.parametrize("backend", LOWERED)
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_what_a_step_makes_does_not_grow_with_its_caches(temperature, backend, uncompiled):
    """Texts and slots of 300 tokens or 3000: caches, tokens and masks are written where they are."""
    found = []
    for room in (300, 3000):
        runs, made = decoder(temperature, LOWERED[backend]), Made()
        steps = stepping(runs, room)
        for _ in range(20):  # tables of every shape that a step can have are made once
            next(steps)
        for _ in range(3):
            with made:
                next(steps)
        fed = [size for model in runs.models.values() for size in model.fed]  # type: ignore[attr-defined]
        found.append((made.found, fed))
    assert found[0][1] and found[0] == found[1]


def test_a_greedy_step_makes_nothing_of_the_size_of_a_vocabulary():
    steps, made = stepping(decoder(0, eager.lower), 64), Made()
    next(steps)
    with made:
        next(steps)
    assert made.found and max(made.reals(), default=0) < VOCAB
    with made:
        torch.zeros(VOCAB)
    assert max(made.reals()) == VOCAB  # it would have been seen
