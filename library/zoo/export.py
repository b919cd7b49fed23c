"""Put a trained checkpoint into the zoo: ``python -m penstock.library.zoo.export RUN_FOLDER [NAME]``."""

import argparse
import json
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel

from penstock.ir.errors import PenstockError
from penstock.library.zoo import tokenizer_path
from penstock.library.zoo.train import checkpoint

MODELS = tokenizer_path().parent / "models"


def export(run: Path, folder: Path) -> PreTrainedModel:
    """Write the newest checkpoint of ``run`` to ``folder`` in bfloat16; ``training.json`` says where it comes from."""
    found = checkpoint.latest(run)
    if found is None:
        raise PenstockError("no checkpoint here", where=str(run), fix="name the --out folder of a training run")
    model = checkpoint.load_model(found).to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id, do_sample=False
    )
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # written for its owner alone; a package must be readable by all
    state = json.loads((found / "state.json").read_text())
    (folder / "training.json").write_text(json.dumps(state, indent=1) + "\n")
    return model


def main() -> None:
    """Read the arguments, export under the name of the plan or the one given."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("name", nargs="?")
    given = arguments.parse_args()
    found = checkpoint.latest(given.run)
    name = given.name or (json.loads((found / "state.json").read_text())["plan"]["name"] if found else given.run.name)
    export(given.run, MODELS / name)


if __name__ == "__main__":
    main()
