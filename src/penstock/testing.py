"""Laws for stages, ours and anyone's: certify a handful of stages in a small world of table models, in one call."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.certify import Certificate, Small, certify, step_of
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoded, Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.backends.runtime.table_denoiser import TableDenoiser
from penstock.passes.canvas import is_canvas
from penstock.passes.order import elaborate

PROMPTS = ([1], [2, 0, 1], [0, 2])
"""Row 0 is enumerated; the others are its mates, in other situations: another length, another key."""


def views_of(stages: Sequence[Any]) -> dict[str, str]:
    """Every view that these stages use, with the name of its model."""
    parts = [part for stage in stages for part in stage.parts()]
    return {view: model for part in parts for view, model in part.views().items()}


def depths_of(stages: Sequence[Any]) -> dict[str, int]:
    """The layers that stages need models to have, by model, where one is not enough."""
    parts = [part for stage in stages for part in stage.parts()]
    needed = [each for part in parts for each in part.layers_needed.items()]
    return {model: max(layers for other, layers in needed if other == model) for model, _ in needed}


def small_world(
    stages: Sequence[Any],
    *,
    vocab: int = 3,
    layers: Mapping[str, int] | None = None,
    eos: tuple[int, ...] = (),
    limit: int = 3,
    batch: int = 1,
    prompts: Mapping[str, Sequence[Sequence[int]]] | None = None,
    prompted: Sequence[str] = (),
) -> Small:
    """Table models for the stages' views, one a model name, and prompts for ``batch`` rows; ``prompted`` views have others."""
    views = views_of(stages)
    names = sorted(set(views.values()))
    deep = depths_of(stages) | dict(layers or {})
    if is_canvas(stages):
        return canvas_world(views, vocab, limit, prompts or {})
    models = {name: TableModel(vocab, seed + 1, deep.get(name, 1)) for seed, name in enumerate(names)}
    rows = {view: [[t % vocab for t in PROMPTS[b]] for b in range(batch)] for view in views}
    rows |= {view: [[0, *((t + 1) % vocab for t in prompt)] for prompt in rows[view]] for view in prompted if view in rows}
    return Small({view: models[name] for view, name in views.items()}, rows | dict(prompts or {}), eos, limit)


def canvas_world(views: Mapping[str, str], vocab: int, limit: int, prompts: Mapping[str, Sequence[Sequence[int]]]) -> Small:
    """Table denoisers for the views, and many rows: prompts of unequal length, none among them."""
    span = limit + 1 + max(map(len, PROMPTS))
    models = {view: TableDenoiser(vocab, seed + 1, span) for seed, view in enumerate(views)}
    rows = [[t % vocab for t in ([], *PROMPTS)[row % 4]] for row in range(16)]
    return Small(models, dict.fromkeys(views, rows) | dict(prompts), (), limit)


def certify_stages(stages: Sequence[Any], reference: Sequence[Any] | None = None, **small: Any) -> Certificate:
    """Prove these stages exact relative to their reference, by default themselves without what only accelerates."""
    truth = [r for s in stages if (r := s.reference()) is not None] if reference is None else reference
    return certify(elaborate(stages), elaborate(truth), small_world(stages, **small))


def decode_stages(
    stages: Sequence[Any],
    keys: Sequence[int],
    *,
    lowered: bool = True,
    params: Sequence[Mapping[str, float]] | None = None,
    without: Collection[str] = (),
    **small: Any,
) -> list[Decoded]:
    """What these stages decode in a small world, a row a key on its prompts in turn: lowered, or by the meaning of every op.

    ``params``: each row's request parameters; ``without``: optimisations to leave out.
    """
    world = small_world(stages, batch=len(PROMPTS), **small)
    step = step_of(elaborate(stages), world)
    run = lower(step, without=without) if lowered else interpreted(step)
    rows = [{view: prompts[i % len(prompts)] for view, prompts in world.prompts.items()} for i in range(len(keys))]
    asked = params or [{}] * len(keys)
    requests = [Request(row, world.limit, key, given) for row, key, given in zip(rows, keys, asked, strict=True)]
    return Decoder(step, world.models, run).decode(requests)
