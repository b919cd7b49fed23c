"""Penstock: declare LLM decoding pipelines, have them checked, proven, compiled and drawn."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.decode.generation import Generation as Generation, Stats as Stats
    from penstock.decode.runner import Runner as Runner
    from penstock.dsl.function import stage as stage
    from penstock.dsl.param import Param as Param, param as param
    from penstock.dsl.pipeline import Pipeline as Pipeline
    from penstock.dsl.schema import schema as schema
    from penstock.dsl.spec import dump as dump
    from penstock.dsl.stage import Stage as Stage
    from penstock.face import (
        certify as certify,
        check as check,
        compile as compile,
        explain as explain,
        load as load,
        promise as promise,
        run as run,
        show as show,
    )
    from penstock.imported import from_generation_config as from_generation_config
    from penstock.ir.errors import PenstockError as PenstockError

__version__ = "0.1.0"

_HOMES = {
    "Generation": "penstock.decode.generation",
    "Stats": "penstock.decode.generation",
    "Runner": "penstock.decode.runner",
    "stage": "penstock.dsl.function",
    "Param": "penstock.dsl.param",
    "param": "penstock.dsl.param",
    "Pipeline": "penstock.dsl.pipeline",
    "schema": "penstock.dsl.schema",
    "dump": "penstock.dsl.spec",
    "Stage": "penstock.dsl.stage",
    "certify": "penstock.face",
    "check": "penstock.face",
    "compile": "penstock.face",
    "explain": "penstock.face",
    "load": "penstock.face",
    "promise": "penstock.face",
    "run": "penstock.face",
    "show": "penstock.face",
    "from_generation_config": "penstock.imported",
    "PenstockError": "penstock.ir.errors",
}
"""Where the public names live; imported when first used, so that `import penstock` and `penstock --help` stay light."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
