"""Put a trained checkpoint into the zoo: ``python -m penstock.library.zoo.export RUN_FOLDER [NAME]``."""

import argparse
import json
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel

from penstock.ir.errors import PenstockError
from penstock.library.zoo import index, whole
from penstock.library.zoo.index import Entry
from penstock.library.zoo.train import checkpoint
from penstock.library.zoo.train.plans import PLANS


def export(run: Path, name: str | None = None, machine: str | None = None) -> Path:
    """Write the newest checkpoint of ``run`` to the zoo in bfloat16, and its line in the index, as yet without figures."""
    found = checkpoint.latest(run)
    if found is None:
        raise PenstockError("no checkpoint here", where=str(run), fix="name the --out folder of a training run")
    state = {**({"machine": machine} if machine else {}), **checkpoint.state(found)}
    name = name or str(state["plan"]["name"])
    model = checkpoint.load_model(found).to(torch.bfloat16)  # type: ignore[arg-type]
    with whole.folder(index.folder(name)) as place:
        write(model, place)
        (place / "training.json").write_text(json.dumps(state, indent=1) + "\n")
    enter(name, model)
    return index.folder(name)


def write(model: PreTrainedModel, place: Path) -> None:
    """The model as a folder that all may read."""
    ends = {"eos_token_id": model.config.eos_token_id, "pad_token_id": model.config.pad_token_id}
    model.generation_config = GenerationConfig(**ends, do_sample=False)  # type: ignore[no-untyped-call]
    model.save_pretrained(place)
    (place / "model.safetensors").chmod(0o644)  # written for its owner alone; a package must be readable by all


def enter(name: str, model: PreTrainedModel) -> None:
    """Write the index anew with a line for this model."""
    purpose = PLANS[name].purpose if name in PLANS else ""
    parameters = sum(each.numel() for each in model.parameters())
    index.write({**index.read(), name: Entry(purpose, parameters, index.sealed(index.folder(name)))})


def main() -> None:
    """Read the arguments, export under the name of the plan or the one given."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("name", nargs="?")
    arguments.add_argument("--machine", help="what the run ran on, where it did not record that")
    given = arguments.parse_args()
    print(export(given.run, given.name, given.machine))


if __name__ == "__main__":
    main()
