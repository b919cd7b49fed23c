"""What a pipeline will cost, from configurations and file headers alone: nothing is loaded."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import fx

from penstock import resolve
from penstock.backends.runtime import configuration as configured
from penstock.backends.runtime.memory import free_memory
from penstock.dsl.models import HubModel, ModelReference, TableModel
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.ir.region import Region
from penstock.passes.build import StepGraph
from penstock.testing import views_of

NUMBER = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number."""
LARGEST_HEADER = 100_000_000
"""Bytes that the header of a file of weights may have (the format's own limit)."""


@dataclass(frozen=True)
class Weight:
    """A model's parameters, and the numbers that a token leaves in its cache; None where that cannot be told."""

    parameters: int | None
    cached: int | None


@dataclass(frozen=True)
class Forwards:
    """What one step asks of a view: how many forwards, of how many tokens together, all of a row."""

    view: str
    model: str
    times: int
    tokens: int


def weight(reference: ModelReference) -> Weight:
    """What a model weighs; of one that is not here nothing is known."""
    if isinstance(reference, TableModel):
        return Weight(reference.layers * (reference.vocab + 1) ** 2 * reference.vocab, reference.layers * reference.vocab)
    if isinstance(reference, HubModel):
        return Weight(None, None)
    files = sorted(resolve.place(reference).glob("*.safetensors"))
    config = configured.of_text(resolve.configuration(reference))
    return Weight(sum(map(numbers_in, files)) if files else None, cached_numbers(config))


def numbers_in(file: Path) -> int:
    """How many numbers a file of weights holds, by its header. Raises PenstockError."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(min(length, LARGEST_HEADER)))
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        fix = "get the file again"
        raise PenstockError("not a whole file of safetensors", where=str(file), fix=fix) from None


def cached_numbers(config: Mapping[str, Any]) -> int | None:
    """Keys and values of one token in all layers; None where layers keep something else."""
    layers, heads = configured.sizes(config)["num_hidden_layers"], config.get("num_attention_heads") or config.get("n_head")
    width = configured.sizes(config)["hidden_size"]
    if configured.is_recurrent(config) or "kv_lora_rank" in config or not (layers and heads and width):
        return None
    keys = config.get("num_key_value_heads") or heads
    return int(2 * layers * keys * (config.get("head_dim") or width // heads))


def forwards(pipeline: Pipeline, step: StepGraph) -> list[Forwards]:
    """What one step asks of every view at most, by the graph; a part of the layers is counted as a forward."""
    begun = (node for node in step.graph.nodes if node.op == "placeholder")
    # Handles are changed in place, so every version of a view is the one example that the step began with.
    named = {id(node.meta["example"]): handle for node, handle in zip(begun, step.handles, strict=True)}
    found: dict[str, tuple[int, int]] = {}
    for view, logits in fed(step.graph):
        name = named[id(view)].removeprefix("view:")
        times, tokens = found.get(name, (0, 0))
        canvas = pipeline.generate.max_new_tokens if logits.dim() == 4 else 1
        found[name] = times + 1, tokens + logits.shape[1] * canvas
    models = views_of(pipeline.stages)
    return [Forwards(view, models[view], *counts) for view, counts in found.items()]


def fed(graph: fx.Graph) -> Iterator[tuple[Any, Any]]:
    """``(view, logits)``, as examples, of every forward in a graph and in its regions."""
    for node in graph.nodes:
        if getattr(node.target, "category", None) == "forward" and len(node.meta["example"]) > 1:
            yield node.meta["example"][:2]
        elif isinstance(node.target, Region):
            yield from fed(node.target.graph)


def costs(pipeline: Pipeline, step: StepGraph, dtype: str = "float32") -> Iterator[str]:
    """A step's forwards, the weights and the cache, in lines."""
    asked = forwards(pipeline, step)
    weights = {name: weight(reference) for name, reference in pipeline.all_models().items()}
    told = [f"{each.view} {counted(each.times, 'forward')} of {counted(each.tokens, 'token')}" for each in asked]
    yield f"a step: {', '.join(told)} a row"
    known = [2 * parameters * each.tokens for each in asked if (parameters := weights[each.model].parameters) is not None]
    if len(known) == len(asked):
        yield f"work: {amount(sum(known), 'FLOP')} a row and step"
    sizes = {name: each.parameters for name, each in weights.items()}
    yield "weights: " + ", ".join(f"{name} {size(value and value * NUMBER[dtype])}" for name, value in sizes.items())
    if step.plan.kind != "canvas":  # where nothing is kept between steps
        rows = [weights[model].cached for model in views_of(pipeline.stages).values()]
        total = None if None in rows else sum(each or 0 for each in rows) * NUMBER[dtype]
        yield f"cache: {size(total)} a token and row"


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def size(number: int | None) -> str:
    """Bytes for people."""
    return "unknown" if number is None else amount(number, "B")


def amount(number: float, unit: str) -> str:
    """A number with a prefix, to three digits."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5 or prefix == "T":
            return f"{number:.3g} {prefix}{unit}"
        number /= 1000
    raise AssertionError


def check_memory(models: Mapping[str, ModelReference], dtype: str) -> None:
    """Raises PenstockError where the models' weights alone are more than the memory that is free."""
    free = free_memory()
    needed = {name: (weight(each).parameters or 0) * NUMBER[dtype] for name, each in models.items()}
    if free is not None and sum(needed.values()) > free:
        largest = max(needed, key=needed.__getitem__)
        raise PenstockError(
            f"the models need {size(sum(needed.values()))} in {dtype}, {largest} {size(needed[largest])} of it, "
            f"and {size(free)} are free",
            fix="take a smaller model" + ("" if NUMBER[dtype] <= 2 else ", or dtype bfloat16"),
        )
