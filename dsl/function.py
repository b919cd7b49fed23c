"""Stages from functions: ``@stage`` on a function of one site's logits."""

import inspect
from collections.abc import Callable
from types import new_class
from typing import Any, get_type_hints

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect
from penstock.dsl.stage import Stage


def stage(kind: str, *, effect: Effect = "steers") -> Callable[[Callable[..., Any]], type[Stage]]:
    """Make a transform of ``def f(logits, *, option: type = default)``; float options may be a request's."""
    if not isinstance(kind, str):
        raise TypeError(f'write @stage("family.method") above {getattr(kind, "__name__", kind)}')

    def make(function: Callable[..., Any]) -> type[Stage]:
        options = options_of(function)
        hints = get_type_hints(function, include_extras=True)
        names = [option.name for option in options]

        def transform(self: Stage, logits: Any) -> Any:
            return function(logits, **{name: getattr(self, name) for name in names})

        body = {"kind": kind, "role": "transform", "effect": effect, "transform": transform}
        body |= {"__doc__": function.__doc__, "__module__": function.__module__, "__qualname__": function.__qualname__}
        body["__annotations__"] = {name: float | Param if hints[name] is float else hints[name] for name in names}
        body |= {option.name: option.default for option in options if option.default is not option.empty}
        return new_class(function.__name__, (Stage,), exec_body=lambda namespace: namespace.update(body))

    return make


def options_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A function's arguments after the logits. Raises TypeError for one that cannot be a stage."""
    arguments = [*inspect.signature(function).parameters.values()]
    if not arguments or arguments[0].kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        raise TypeError(f"stage function {function.__name__}: its first argument must be the logits")
    _, *options = arguments
    for option in options:
        if option.kind in (option.VAR_POSITIONAL, option.VAR_KEYWORD, option.POSITIONAL_ONLY):
            raise TypeError(f"stage function {function.__name__}: {option} is no option; give each a name and a type")
        if option.annotation is option.empty:
            raise TypeError(f"stage function {function.__name__}: give option {option.name} a type, as in `{option.name}: float`")
    return options
