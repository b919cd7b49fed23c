"""Whole decoding beside transformers, on Llama shapes with random weights whose tokens are scripted.

The larger shape is not decoded at batch 8 and context 1024, where reading the prompts alone takes minutes, nor compiled.
"""

from collections.abc import Iterator, Mapping
from functools import cache, partial
from itertools import product
from typing import Any

from bound import LOWERED, Continued, decoder, prompts
from cell import Cell
from scripted import agreeing, copying, scripted
from theirs import Generate

from penstock.backends.runtime import hf
from penstock.bench.contenders import as_told
from penstock.bench.rounds import Contender
from penstock.decode.means import Backend
from penstock.library import MinP, ModelDrafter, ModelVerifier, PromptLookup, Repetition, Temperature, TopK, TopP

VOCAB, DRAFTED, LOOKED_UP, AGREEMENT = 32000, 4, 10, 0.75
TOKENS = {"15M": 48, "110M": 16}
"""New tokens a row; one in the first step, which nobody's time counts."""
DRAFTER = {"15M": "3M", "110M": "15M"}
GREEDY: dict[str, Any] = {"do_sample": False}
CHAIN = {"repetition_penalty": 1.2, "temperature": 0.8, "top_k": 50, "top_p": 0.95, "min_p": 0.02}
VERIFIER = ModelVerifier(model="target")
COLD = Temperature(value=0)
MODES: Mapping[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "greedy": ((VERIFIER, COLD), GREEDY),
    "sampling chain": (
        (VERIFIER, Repetition(alpha=1.2), Temperature(value=0.8), TopK(k=50), TopP(p=0.95), MinP(p=0.02)),
        {"do_sample": True, **CHAIN},
    ),
    "prompt lookup": (
        (PromptLookup(length=LOOKED_UP, longest=2), VERIFIER, COLD),
        {**GREEDY, "prompt_lookup_num_tokens": LOOKED_UP, "max_matching_ngram_size": 2},
    ),
    "draft model": ((ModelDrafter(model="draft", length=DRAFTED), VERIFIER, COLD), GREEDY),
}
"""Stages, and what generate is told to do the same."""
COMPARED: Mapping[str, tuple[Backend, ...]] = {"15M": LOWERED, "110M": ("eager",)}
DRAFTING = ("prompt lookup", "draft model")


def cells() -> Iterator[Cell]:
    """Every mode, shape, batch and context; drafts for one row alone, since generate drafts for no more."""
    for shape, mode, rows, context in product(TOKENS, MODES, (1, 8), (64, 1024)):
        if rows > 1 and (mode in DRAFTING or (shape, context) == ("110M", 1024)):
            continue
        settings = {"shape": shape, "mode": mode, "batch": rows, "context": context, "new_tokens": TOKENS[shape]}
        name = f"{shape}, {mode}, batch {rows}, context {context}"
        quick = shape == "15M" and context == 64 and rows == 1
        yield Cell(name, partial(contenders, **settings), settings, 5 if rows == 1 else 3, quick, same=True)


def contenders(shape: str, mode: str, batch: int, context: int, new_tokens: int) -> dict[str, Contender]:
    """Ours by every backend, and generate, each on models of its own with the same weights and the same script."""
    stages, options = MODES[mode]
    (text,) = prompts(1, context, VOCAB, 0)
    rows = [text] * batch
    ours, theirs = models(shape, context, wrapped=True), models(shape, context, wrapped=False)
    drafts = mode == "draft model"
    named = ours if drafts else {"target": ours["target"]}
    found: dict[str, Contender] = {b: Continued(decoder(stages, named, b), rows, new_tokens) for b in COMPARED[shape]}
    assistant = {"assistant_model": as_told(theirs["draft"], DRAFTED)} if drafts else {}
    found["transformers"] = Generate(theirs["target"], rows, new_tokens, options | assistant)
    return found


@cache
def models(shape: str, context: int, wrapped: bool) -> dict[str, Any]:
    """The target, and a drafter that agrees with it at a share of positions; each side has its own, since ours are taken over."""
    (text,) = prompts(1, context, VOCAB, 0)
    script = copying(text, context + TOKENS[shape] + 64, VOCAB, 1)
    target = scripted(shape, VOCAB, script, seed=2)
    drafter = scripted(DRAFTER[shape], VOCAB, agreeing(script, AGREEMENT, VOCAB, 3), seed=4)
    if not wrapped:
        return {"target": target, "draft": drafter}
    return {name: hf.wrapped(hf.lean(hf.packed(model)), name) for name, model in (("target", target), ("draft", drafter))}
