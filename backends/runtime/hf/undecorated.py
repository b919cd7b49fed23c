"""Forwards without what transformers wraps around them for callers that we are not.

A model's forwards know old names of arguments, fill in what a configuration says, give tuples for records and let anybody capture
what layers leave. A call of ours asks for none of it, and with a small model it takes a tenth of the time. Only wrappers that are
known are left out; one that is not stays, with all within it.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from torch import nn

from penstock.backends.runtime.hf.attention import CURRENT

DEFAULTS = "merge_with_config_defaults.<locals>.wrapper"
NEEDLESS = {
    "deprecate_kwarg.<locals>.wrapper.<locals>.wrapped_func",
    "can_return_tuple.<locals>.wrapper",
    "capture_outputs.<locals>.wrapped_fn.<locals>.wrapper",
    DEFAULTS,
}
"""Wrappers by the names of their code."""
FILLED = "is_causal", "vision_feature_layer", "vision_feature_select_strategy", "vision_aspect_ratio"
"""What a configuration may fill in beside ``use_cache``; where it does, the wrapper stays."""


class Undecorated:
    """A module's forward; in a call of ours without its needless wrappers."""

    def __init__(self, module: nn.Module) -> None:
        own = type(module).forward
        bare, self.caches = stripped(own, getattr(module, "config", None))
        self.needless = bare is not own
        self.own, self.bare = own.__get__(module), bare.__get__(module)
        update_wrapper(self, self.own)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is None:
            return self.own(*args, **kwargs)
        kwargs.pop("return_dict", None)  # which wrappers take out, and hand on to no forward
        if self.caches and kwargs.get("use_cache") is None:
            kwargs["use_cache"] = True
        return self.bare(*args, **kwargs)


def undecorate(model: nn.Module) -> None:
    """Have every module's forward be so, but for those that somebody has given another."""
    for module in model.modules():
        if "forward" not in module.__dict__ and (forward := Undecorated(module)).needless:
            module.forward = forward  # type: ignore[method-assign]


def stripped(forward: Callable[..., Any], config: Any) -> tuple[Callable[..., Any], bool]:
    """A forward without its needless wrappers, the outermost first, and whether these would have filled in ``use_cache``."""
    caches = False
    while (name := code_of(forward)) in NEEDLESS:
        if name == DEFAULTS:
            if any(getattr(config, each, None) is not None for each in FILLED):
                break
            caches = True
        forward = forward.__wrapped__  # type: ignore[attr-defined]
    return forward, caches


def code_of(function: Any) -> str:
    """The name of a function's own code, whatever it is dressed up as."""
    return getattr(getattr(function, "__code__", None), "co_qualname", "")
