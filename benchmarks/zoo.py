"""Whole decoding on the zoo pair, texts to texts: beside transformers; a batch beside a row; drafts that are never right."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from cell import Cell
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

import penstock
from penstock.bench.contenders import Pipelined, Work
from penstock.bench.contest import Contest
from penstock.bench.rounds import Contender
from penstock.decode.means import Means
from penstock.decode.runner import Runner
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.library import MinP, ModelDrafter, ModelVerifier, PromptLookup, Repetition, Temperature, TopK, TopKTree, TopP

MODELS = {"target": "zoo:target", "draft": "zoo:drafter-small"}
TOKENS = 64
PROMPT = (
    "<|user|>Write this person as JSON with the keys name, age, city, job: Gina Lopez, aged 48, is a sailor in Lisbon."
    '<|assistant|>{"name": "Gina Lopez", "age": 48, "city": "Lisbon", "job": "sailor"}\\n'
)
"""Something that is quoted, so that texts go on past the answer in both."""
VERIFIER, COLD = ModelVerifier(model="target"), Temperature(value=0)
CHAIN = (Repetition(alpha=1.2), Temperature(value=0.8), TopK(k=50), TopP(p=0.95), MinP(p=0.02))
MODES: Mapping[str, tuple[Stage, ...]] = {
    "greedy": (VERIFIER, COLD),
    "sampling chain": (VERIFIER, *CHAIN),
    "prompt lookup": (PromptLookup(length=10, longest=2), VERIFIER, COLD),
    "draft model": (ModelDrafter(model="draft", length=4), VERIFIER, COLD),
}
BATCHED: Mapping[str, tuple[Stage, ...]] = {
    "1 node": (VERIFIER, COLD),
    "chain of 4": (ModelDrafter(model="draft", length=4), VERIFIER, COLD),
    "tree of 16": (TopKTree(model="draft", branching=(4, 1, 1, 1)), VERIFIER, COLD),
    "prompt lookup of 10": MODES["prompt lookup"],
}


def pipeline(stages: tuple[Stage, ...]) -> Pipeline:
    """Nothing ends a text, so that all decode as many tokens."""
    return Pipeline(models=MODELS, stages=stages, generate={"max_new_tokens": TOKENS, "eos": ()})  # type: ignore[arg-type]


def cells() -> Iterator[Cell]:
    terms = {"models": "zoo:target, zoo:drafter-small", "new_tokens": TOKENS, "prefill": "included"}
    for mode, stages in MODES.items():
        for rows in (1, 8):
            settings = {**terms, "mode": mode, "batch": rows}
            make = partial(beside_transformers, stages, rows)
            yield Cell(f"zoo, {mode}, batch {rows}", make, settings, 9, rows == 1, same=mode != "sampling chain")
    for draft, stages in BATCHED.items():
        settings = {**terms, "mode": draft, "batch": "8 and 1"}
        make = partial(batch_and_row, stages)
        yield Cell(f"zoo, batch 8 against 1, {draft}", make, settings, 9, draft == "tree of 16", same=True)
    for rows in (1, 8):
        settings = {**terms, "mode": "draft model of random weights", "batch": rows}
        yield Cell(f"zoo, drafts that are never right, batch {rows}", partial(never_right, rows), settings, 15, True, same=True)


def beside_transformers(stages: tuple[Stage, ...], rows: int) -> dict[str, Contender]:
    """What `penstock bench` compares, and the pipeline compiled."""
    contest = Contest.of(pipeline(stages), [PROMPT], rows, TOKENS, Means())
    compiled = Pipelined(Runner(pipeline(stages), Means("inductor")), contest.work)
    return contest.contenders | {"inductor": compiled}


def batch_and_row(stages: tuple[Stage, ...]) -> dict[str, Contender]:
    """Eight prompts at once, and one after the other."""
    runner = Runner(pipeline(stages), Means())
    return {f"batch {batch}": Pipelined(runner, Work(prompts(8), batch, TOKENS)) for batch in (8, 1)}


def prompts(rows: int) -> list[str]:
    """As many that differ in a number."""
    return [PROMPT.replace("48", str(40 + i)) for i in range(rows)]


def never_right(rows: int) -> dict[str, Contender]:
    """A drafter with random weights, as long as its cost model lets it draft, beside no drafter at all."""
    whole = pipeline((ModelDrafter(model="draft", length="auto"), VERIFIER, COLD))
    drafted = penstock.compile(whole, models={"draft": random_model()})
    work = Work(prompts(rows), rows, TOKENS)
    return {"auto": Pipelined(drafted, work), "plain": Pipelined(drafted.under(pipeline((VERIFIER, COLD))), work)}


def random_model() -> Any:
    """A drafter of the zoo drafter's shape that knows nothing."""
    torch.manual_seed(0)
    shape = dict(hidden_size=128, intermediate_size=344, num_hidden_layers=3, num_attention_heads=4)
    model = LlamaForCausalLM(LlamaConfig(**shape, vocab_size=4096, max_position_embeddings=512, eos_token_id=None)).eval()
    model.generation_config = GenerationConfig()
    return model
