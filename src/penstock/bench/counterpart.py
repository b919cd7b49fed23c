"""What transformers' ``generate`` has to be told to do what a pipeline does: the inverse of an imported generation config."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError

Options = dict[str, Any]
PLAIN: Options = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": None, "typical_p": 1.0, "repetition_penalty": 1.0}
"""Settings at which a draw is from the model's own distribution; generate's defaults are others."""
SHAPING: Mapping[str, Callable[[Any], Options]] = {
    "transform.repetition": lambda s: {"repetition_penalty": s.alpha},
    "transform.no_repeat_ngram": lambda s: {"no_repeat_ngram_size": s.size},
    "transform.temperature": lambda s: {"temperature": s.value},
    "transform.top_k": lambda s: {"top_k": s.k},
    "transform.top_p": lambda s: {"top_p": s.p},
    "transform.min_p": lambda s: {"min_p": s.p},
    "transform.typical_p": lambda s: {"typical_p": s.p},
    "transform.epsilon": lambda s: {"epsilon_cutoff": s.epsilon},
    "transform.eta": lambda s: {"eta_cutoff": s.epsilon},
}
"""By stage, the options that say the same, in the order in which generate applies them."""
GREEDY_READS = frozenset({"repetition_penalty", "no_repeat_ngram_size"})
"""Options that matter where nothing is drawn."""


@dataclass(frozen=True)
class Counterpart:
    """A call of generate."""

    options: Options
    assistant: str | None = None
    """The pipeline's name of the model that drafts."""
    drafted: int = 0
    """How many tokens that one drafts a step."""


def counterpart(pipeline: Pipeline, rows: int) -> Counterpart:
    """The call that decodes ``rows`` rows together as the pipeline does. Raises PenstockError where there is none."""
    if pipeline.views:
        raise absent("its views have prompts of their own")
    stages = list(pipeline.stages)
    drafter = stages.pop(0) if stages and stages[0].role == "drafter" else None
    if not stages or stages[0].kind != "verifier.model":
        raise absent(f"no option of generate stands for stage {stages[0].kind if stages else drafter.kind}")  # type: ignore[union-attr]
    if drafter is not None and rows > 1:
        raise absent(f"generate drafts for one row at a time, not for {rows}")
    options = shaping(stages[1:])
    if pipeline.generate.stop:
        options["stop_strings"] = list(pipeline.generate.stop)
    return drafting(drafter, options)


def shaping(stages: Sequence[Stage]) -> Options:
    """What shapes the logits, and whether anything is drawn from them."""
    order, last = list(SHAPING), -1
    options: Options = {}
    for stage in stages:
        if stage.kind not in SHAPING:
            raise absent(f"no option of generate stands for stage {stage.kind}")
        if order.index(stage.kind) <= last:
            raise absent(f"generate applies {stage.kind} before {order[last]}, and once")
        if getattr(stage, "prompt", True) is not True:
            raise absent(f"generate counts the prompt in {stage.kind}")
        last = order.index(stage.kind)
        options |= SHAPING[stage.kind](stage)
    if options.get("temperature") == 0:
        return {"do_sample": False, **{name: value for name, value in options.items() if name in GREEDY_READS}}
    return {"do_sample": True, **PLAIN, **options}


def drafting(drafter: Any, options: Options) -> Counterpart:
    """The same with drafts."""
    if drafter is None:
        return Counterpart(options)
    if not isinstance(getattr(drafter, "length", None), int):
        raise absent(f"generate does not draft as stage {drafter.kind} is told to")
    if drafter.kind == "drafter.prompt_lookup":
        lookup = {"prompt_lookup_num_tokens": drafter.length, "max_matching_ngram_size": drafter.longest}
        return Counterpart(options | lookup)
    if drafter.kind != "drafter.model" or drafter.paths > 1 or drafter.greedy and options["do_sample"]:
        raise absent(f"generate does not draft as stage {drafter.kind} is told to")
    return Counterpart(options, drafter.model, drafter.length)


def absent(reason: str) -> PenstockError:
    return PenstockError(f"transformers has no equal: {reason}", fix="compare with the reference")
