"""Assisted sampling with top-p over a wide vocabulary: tiny models, so that what stands around them is all that counts."""

from collections.abc import Iterator
from typing import Any

import torch
from bound import LOWERED, Continued, decoder, prompts
from cell import Cell
from scripted import agreeing, copying, scripted
from theirs import Generate

from penstock.backends.runtime import hf
from penstock.bench.contenders import as_told
from penstock.bench.rounds import Contender
from penstock.library import ModelDrafter, ModelVerifier, Temperature, TopP

VOCAB, CONTEXT, TOKENS, DRAFTED, AGREEMENT = 128256, 64, 32, 4, 0.75
STAGES = ModelDrafter(model="draft", length=DRAFTED), ModelVerifier(model="target"), Temperature(value=0.8), TopP(p=0.9)
OPTIONS: dict[str, Any] = {"do_sample": True, "temperature": 0.8, "top_k": 0, "top_p": 0.9}


def cells() -> Iterator[Cell]:
    settings = {"shape": "tiny", "vocab": VOCAB, "context": CONTEXT, "new_tokens": TOKENS, "batch": 1}
    yield Cell("wide, draft model and top-p, V = 128256", contenders, settings, 5, quick=True, same=True)


def contenders() -> dict[str, Contender]:
    (text,) = prompts(1, CONTEXT, VOCAB, 0)
    found: dict[str, Contender] = {}
    for backend in LOWERED:
        ours = {name: hf.wrapped(hf.lean(hf.packed(model)), name) for name, model in models(text).items()}
        found[backend] = Continued(decoder(STAGES, ours, backend), [text], TOKENS)
    theirs = models(text)
    assistant = {"assistant_model": as_told(theirs["draft"], DRAFTED)}
    return found | {"transformers": Generate(theirs["target"], [text], TOKENS, OPTIONS | assistant)}


def models(text: list[int]) -> dict[str, Any]:
    script: torch.Tensor = copying(text, CONTEXT + TOKENS + 64, VOCAB, 1)
    other = agreeing(script, AGREEMENT, VOCAB, 3)
    return {"target": scripted("tiny", VOCAB, script, 2), "draft": scripted("tinier", VOCAB, other, 4)}
