"""Where a run begins: in a folder of its own, from a seed, from another model, or from its own checkpoint."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from penstock.ir.errors import PenstockError
from penstock.library.zoo.train import checkpoint
from penstock.library.zoo.train.plans import Plan
from penstock.library.zoo.weights import load

# With other steps a schedule is lengthened, with another precision a run changes its device; the rest is what a run is.
MAY_CHANGE = frozenset({"steps", "precision", "purpose"})

MEASURES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")


def folder(out: Path) -> None:
    """Make the folder of a run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PenstockError(f"no run can be kept here: {error.strerror}", where=str(out), fix="name a folder as --out") from None


def model(plan: Plan) -> PreTrainedModel:
    """A new model, from the plan's seed or with the weights of the model it starts from."""
    if plan.start is not None:
        begun = load(plan.start)
        if any(getattr(begun.config, each) != getattr(plan.config(), each) for each in MEASURES):
            what = f"{plan.name} begins with the weights of {plan.start}, which has another shape"
            raise PenstockError(what, where=plan.start, fix=f"train it by today's plan: penstock zoo train {plan.start}")
        return begun
    torch.manual_seed(plan.seed)
    made: PreTrainedModel = AutoModelForCausalLM.from_config(plan.config())  # type: ignore[no-untyped-call]
    return made


def resumed(plan: Plan, about: dict[str, Any], found: Path) -> dict[str, Any]:
    """The state of a checkpoint, which must be of a run of ``plan`` on the same text. Raises PenstockError."""
    told = checkpoint.state(found)
    was = {**told["plan"], **{name: told[name] for name in ("text",) if name in told}}
    asked = {**plan.record(), **about}
    other = [name for name in was if name not in MAY_CHANGE and was[name] != asked.get(name)]
    if other:
        changed = ", ".join(f"{name} was {was[name]} and is {asked.get(name)}" for name in other)
        what = f"the run in this folder is another one: {changed}"
        raise PenstockError(what, where=str(found), fix="name another --out folder, or ask for the same again")
    return told
