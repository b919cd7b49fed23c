"""Running some of a model's layers without touching its code: shallow copies that share every parameter.

Attention modules keep their absolute layer index, so a slice reads and writes the same cache as the whole.
"""

import copy
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from penstock.backends.runtime.hf.attention import CURRENT
from penstock.backends.runtime.hf.undecorated import Undecorated
from penstock.ir.errors import PenstockError


def layers_path(model: PreTrainedModel) -> str:
    """Dotted path of the list of decoder layers: the outermost one as long as the text's config says, in a module that has it."""
    config = model.config.get_text_config()
    lists = {path: module for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    for path, layers in lists.items():
        owner = model.get_submodule(path.rpartition(".")[0])
        if len(layers) == config.num_hidden_layers and getattr(owner, "config", None) is config:
            return path
    raise PenstockError("no list of decoder layers found", where=type(model).__name__, fix="use a decoder-only model")


def slice_layers(model: PreTrainedModel, path: str, low: int, high: int) -> PreTrainedModel:
    """The model with layers ``[low, high)`` alone, which start from `Call.start` and leave outputs in `Call.states`."""
    names = path.split(".")
    copies = [_bare_copy(model)]
    for name in names[:-1]:
        copies.append(_bare_copy(copies[-1].get_submodule(name)))
        copies[-2]._modules[name] = copies[-1]
    whole = copies[-1].config
    for twin in copies:
        if getattr(twin, "config", None) is whole:
            twin.config = _slice_config(whole, low, high)
    layers = model.get_submodule(path)
    copies[-1]._modules[names[-1]] = nn.ModuleList(_watched(layers[i], first=i == low) for i in range(low, high))
    return copies[0]


def head_alone(model: PreTrainedModel, path: str) -> PreTrainedModel:
    """The model without layers: its final norm and logits, of the states that `Call.start` holds."""
    alone = slice_layers(model, path, 0, 1)
    (layer,) = alone.get_submodule(path)
    run, in_a_tuple = layer.forward, list[bool]()

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not in_a_tuple:  # whether this architecture's layers hand their output on in one, seen once
            in_a_tuple.append(isinstance(run(*args, **kwargs), tuple))
        start = CURRENT.get().start
        return (start,) if in_a_tuple[0] else start

    layer.forward = forward
    return alone


def _bare_copy(module: nn.Module) -> Any:
    """A module with children of its own choice; its parameters are the original's."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    if isinstance(twin.__dict__.get("forward"), Undecorated):
        twin.forward = Undecorated(twin)  # of its own children, not of the original's
    return twin


def _slice_config(config: PreTrainedConfig, low: int, high: int) -> PreTrainedConfig:
    part = copy.copy(config)
    part.num_hidden_layers = high - low
    if getattr(config, "layer_types", None) is not None:
        part.layer_types = list(config.layer_types[low:high])
    return part


def _watched(layer: nn.Module, *, first: bool) -> nn.Module:
    """A copy of the layer that takes its input from the call (if it is the first) and hands its output to the call."""
    twin, run = copy.copy(layer), layer.forward

    def forward(states: Tensor, *args: Any, **kwargs: Any) -> Any:
        call = CURRENT.get()
        if call is None:
            return run(states, *args, **kwargs)
        if first and call.start is not None:
            states = call.start
        out = run(states, *args, **kwargs)
        if call.states is not None:
            call.states.append(out[0] if isinstance(out, tuple) else out)
        return out

    twin.forward = forward
    return twin
