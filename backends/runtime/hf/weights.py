"""Whether a checkpoint's weights are those that its configuration wants: transformers draws at random, or drops, what is not."""

from collections.abc import Iterable, Mapping
from typing import Any

from transformers import PreTrainedModel

from penstock.backends.runtime.hf.layers import layers_path
from penstock.ir.errors import PenstockError


def fitting(model: PreTrainedModel, reference: str, found: Mapping[str, Any], fix: str) -> None:
    """Raises PenstockError where weights are missing, of another shape, or of layers that config.json does not have.

    ``found``: what transformers says of the loading.
    """
    resized = {name: f"{name} is {list(given)}, not {list(wanted)}" for name, given, wanted in found["mismatched_keys"]}
    lacking = [f"{name} is missing" for name in sorted(found["missing_keys"]) if name not in resized]
    said = [*resized.values(), *lacking, *layers_beyond(model, found["unexpected_keys"])]
    if said:
        more = f" and {len(said) - 3} more" if len(said) > 3 else ""
        raise PenstockError(f"the weights do not fit config.json: {'; '.join(said[:3])}{more}", where=reference, fix=fix)


def layers_beyond(model: PreTrainedModel, unexpected: Iterable[str]) -> list[str]:
    """What is to be said of layers that weights are there for and that the model does not have.

    Layers that predict further tokens, which some checkpoints carry behind the others, are no part of the model.
    """
    path = layers_path(model)
    count = len(model.get_submodule(path))
    ends = count + (getattr(model.config.get_text_config(), "num_nextn_predict_layers", None) or 0)
    names = (name.removeprefix(f"{path}.").split(".")[0] for name in unexpected if name.startswith(f"{path}."))
    beyond = sorted({int(name) for name in names if name.isdigit() and int(name) >= ends})
    return [f"{path}.{index} is beyond its {count} layers" for index in beyond]
