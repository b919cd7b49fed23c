"""Measure every model of the zoo and write CARD.md: ``python -m penstock.library.zoo.card --date YYYY-MM-DD``."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo import measure, names, path, tokenizer_path
from penstock.library.zoo.data import prose
from penstock.library.zoo.data.stream import KINDS
from penstock.library.zoo.train.evaluate import bits_per_byte

CARD = tokenizer_path().parent / "CARD.md"
# Word problems are what the zoo is for; of the other kinds, and of held-out templates, fewer tell enough.
ASKED = {"pairs": (200, 40), "templates": (20, 20)}
Sets = dict[str, list[tuple[str, str]]]

HEAD = """# The models of the zoo

Small Llama-shaped models trained from scratch by `python -m penstock.library.zoo.train NAME`, on one thread of a
{machine}, in float32; the weights here are bfloat16. They exist so that every decoding method can be tried on something
real without a download: they know four kinds of small task and little English, and nothing about the world.

- **Data.** `library/zoo/data`: word problems with short and long thoughts, records as sentences and JSON, small Python
  functions with tests, list and grid puzzles, all generated from a seed; beside them, for the weights shipped here,
  {prose:.0%} of documents are passages of public-domain books (Grimm's fairy tales, Charlotte Bronte, Darwin).
- **Held out.** A tenth of all templates and a tenth of all operand pairs, by construction; no instance is shared.
  `pairs` is held-out pairs in trained templates, `templates` is held-out templates.
- **Tokenizer.** One byte-level BPE of 4096 entries for all models; digits stand alone.

Written by `python -m penstock.library.zoo.card` on {date}.
"""


def load(name: str) -> PreTrainedModel:
    """A model of the zoo in float32."""
    return AutoModelForCausalLM.from_pretrained(path(name), dtype=torch.float32).eval()


def training(name: str) -> dict[str, Any]:
    """What its run left beside the weights."""
    return json.loads((path(name) / "training.json").read_text())


def held_out_sets(folder: Path | None) -> Sets:
    """Held-out ``(prompt, reply)`` texts by name."""
    sets: Sets = {}
    for kind in KINDS:
        sets[kind] = [(each.prompt_text(), each.reply_text()) for each in measure.held_out("pairs", kind, 50)]
    if folder is not None:
        sets["prose"] = [("", prose.passage(folder, 2, "pairs", index)) for index in range(20)]
    return sets


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]) + "\n"


def training_table() -> str:
    """Size and course of every run."""
    rows = []
    for name in names():
        told, shape = training(name), training(name)["plan"]["shape"]
        tokens = told["step"] * told["plan"]["rows"] * told["plan"]["length"]
        parameters = sum(each.numel() for each in load(name).parameters())
        measures = f"{shape['layers']} x {shape['hidden']}, {shape['heads']} heads"
        course = [
            told["plan"]["recipe"],
            f"{told['step']:,}",
            f"{tokens / 1e6:.1f} M",
            f"{told['seconds'] / 60:.0f} min",
        ]
        rows.append([f"`zoo:{name}`", measures, f"{parameters:,}", *course])
    return table(["model", "layers x width", "parameters", "recipe", "steps", "tokens", "time"], rows)


def causal() -> list[str]:
    """The models that predict the next token."""
    return [name for name in names() if training(name)["plan"]["recipe"] != "masked-diffusion"]


def loss_table(tokenizer: PreTrainedTokenizerBase, sets: Sets) -> str:
    """Held-out bits per byte, request and reply together."""
    rows = []
    for name in causal():
        model = load(name)
        with torch.no_grad():
            bits = [bits_per_byte(model, tokenizer, [prompt + reply for prompt, reply in each]) for each in sets.values()]
        rows.append([f"`{name}`", *(f"{each:.3f}" for each in bits)])
    return table(["bits per byte", *sets], rows)


def answer_table(tokenizer: PreTrainedTokenizerBase) -> str:
    """Exact match of greedy answers on every kind of task."""
    rows = []
    for name in causal():
        model = load(name)
        for split, (problems, others) in ASKED.items():
            asked = {kind: problems if kind == "arithmetic" else others for kind in KINDS}
            scores = [
                measure.exact_match(model, tokenizer, measure.held_out(split, kind, count)) for kind, count in asked.items()
            ]
            rows.append([f"`{name}`", split, f"{problems}, {others} of each other", *(f"{score:.1%}" for score in scores)])
    return table(["exact match", "split", "word problems asked", *KINDS], rows)


def agreement_table(tokenizer: PreTrainedTokenizerBase, sets: Sets) -> str:
    """Every drafter against its teacher on held-out replies and on the teacher's own greedy replies."""
    rows = []
    for name in causal():
        teacher = training(name)["plan"]["teacher"]
        if teacher is None:
            continue
        target, drafter = load(teacher), load(name)
        asked = measure.held_out("pairs", "arithmetic", 50)
        own = list(zip((each.prompt_text() for each in asked), measure.replies(target, tokenizer, asked), strict=True))
        for kind, texts in {**sets, "arithmetic, greedy reply of the target": own}.items():
            found = measure.agreement(target, drafter, tokenizer, texts)
            figures = [f"{found.greedy:.1%}", f"{found.overlap:.3f}", f"{found.tokens_per_call:.2f}"]
            rows.append([f"`{name}` for `{teacher}`", kind, *figures])
    return table(["drafter", "text", "greedy agreement", "sum of min(p, q)", "tokens per target call, K = 4"], rows)


def restored_table(tokenizer: PreTrainedTokenizerBase, sets: Sets) -> str:
    """What masked-diffusion models restore in one call."""
    rows = []
    for name in sorted(set(names()) - set(causal())):
        model, replies = load(name), {kind: texts for kind, texts in sets.items() if kind in KINDS}
        for rate in (0.25, 0.5, 1.0):
            shares = [measure.restored(model, tokenizer, texts, rate) for texts in replies.values()]
            rows.append([f"`{name}`", f"{rate:.0%}", *(f"{share:.1%}" for share in shares)])
    return table(["restored in one call", "hidden", *KINDS], rows) if rows else ""


def write(date: str, machine: str, folder: Path | None, note: str) -> None:
    """Measure and write the card."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path())
    sets = held_out_sets(folder)
    parts = [
        HEAD.format(date=date, machine=machine, prose=training("target")["plan"]["prose"]),
        "## Training\n\n" + training_table() + (f"\n{note}\n" if note else ""),
        "## Held-out loss (`pairs`)\n\n" + loss_table(tokenizer, sets),
        "## Greedy answers to held-out requests\n\n" + answer_table(tokenizer),
        "## Drafters, on held-out replies (`pairs`)\n\n" + agreement_table(tokenizer, sets),
    ]
    diffusion = restored_table(tokenizer, sets)
    parts += ["## Masked diffusion, on held-out replies (`pairs`)\n\n" + diffusion] if diffusion else []
    CARD.write_text("\n".join(parts))


def main() -> None:
    """Read the arguments, measure, write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--date", required=True)
    arguments.add_argument("--machine", default="2-core x86 CPU")
    arguments.add_argument("--text", type=Path, help="the folder of plain text the models were trained beside")
    arguments.add_argument("--note", default="", help="what else there is to say about the runs")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    write(given.date, given.machine, given.text, given.note)


if __name__ == "__main__":
    main()
