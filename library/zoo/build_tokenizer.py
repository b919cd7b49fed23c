"""Train the zoo's tokenizer: ``python -m penstock.library.zoo.build_tokenizer --out FOLDER [--text FOLDER]``."""

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from penstock.library.zoo import markers
from penstock.library.zoo.data import prose
from penstock.library.zoo.data.stream import stream


def sample(seed: int, examples: int, folder: Path | None, passages: int) -> Iterator[str]:
    """The text the merges are counted on: generated examples and, if there is a folder, passages of prose."""
    for example in islice(stream(seed, "train"), examples):
        yield from (example.prompt, example.thought, example.answer)
    if folder is not None:
        yield from (prose.passage(folder, seed, "train", index) for index in range(passages))


def train(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE; digits stand alone, so that a number's tokens are its digits."""
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=markers.VOCABULARY,
        special_tokens=list(markers.SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=markers.END,
        pad_token=markers.PAD,
        mask_token=markers.MASK,
        additional_special_tokens=[each for each in markers.SPECIAL if each not in (markers.END, markers.PAD, markers.MASK)],
        chat_template=markers.CHAT_TEMPLATE,
        model_max_length=markers.CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def main() -> None:
    """Read the arguments, train, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--text", type=Path, help="a folder of plain text to count merges on, beside generated text")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    train(sample(given.seed, 20_000, given.text, 3_000)).save_pretrained(given.out)
    _name_for_every_version(given.out / "tokenizer_config.json")


def _name_for_every_version(config: Path) -> None:
    """Transformers 5 writes a class name that version 4 does not know; both know the older one."""
    told = json.loads(config.read_text())
    config.write_text(json.dumps({**told, "tokenizer_class": "PreTrainedTokenizerFast"}, indent=2) + "\n")


if __name__ == "__main__":
    main()
