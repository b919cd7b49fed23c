"""Stages of every role on the smallest models, for tests of what holds of all that compose."""

from typing import Any

from penstock.dsl.stage import Stage
from penstock.library import (
    Ambedkar,
    Auto,
    Ban,
    Bias,
    Contrast,
    ContrastLayers,
    Del,
    EntropyAdaptive,
    Epsilon,
    Eta,
    Force,
    Frequency,
    Guidance,
    HiddenThought,
    JsonSchema,
    LayerSkip,
    LengthDecay,
    MaxLength,
    MinLength,
    MinP,
    ModelDrafter,
    ModelVerifier,
    NoRepeatNGram,
    OrElse,
    Pause,
    Presence,
    PromptLookup,
    PromptTokens,
    Repetition,
    StochasticBeam,
    SuppressAtBegin,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
    TypicalP,
)

SMALL: dict[str, Any] = dict(eos=(2,), limit=3, prompted=("swapped",))


def steered(model: str = "f", **fields: Any) -> Ambedkar:
    """By a verifier of its own, or by the target."""
    return Ambedkar(model=model, view="swapped", alpha=2.0, k=2, **fields)


DRAFTERS: dict[str, Stage | None] = {
    "none": None,
    "chain": ModelDrafter(model="d", length=2),
    "iid": ModelDrafter(model="d", length=2, paths=2),
    "top_k_tree": TopKTree(model="d", branching=(2, 1)),
    "beam": StochasticBeam(model="d", width=2, length=2),
    "ppd": PromptTokens(view="t").small(3),
    "auto": ModelDrafter(model="d", length=Auto(longest=2)),
    "layerskip": LayerSkip(model="t", exit=1, length=2),
    "del": Del(model="t", exits=(1, 2), longest=2),
    "lookup": PromptLookup(length=2),
    "or_else": OrElse(first=PromptLookup(length=2), second=StochasticBeam(model="d", width=2, length=2)),
}
SCORERS: dict[str, Stage] = {
    "model": ModelVerifier(model="t"),
    "hcot": HiddenThought(model="t", helper="h", marker=1),
    "ead": EntropyAdaptive(models=("t", "l"), tau=1.0, window=2, d_min=1),
}
SHAPES: dict[str, Stage | None] = {
    "none": None,
    "repetition": Repetition(alpha=1.4),
    "cold": Temperature(value=0.8),
    "greedy": Temperature(value=0),
    "top_k": TopK(k=2),
    "top_p": TopP(p=0.8),
    "min_p": MinP(p=0.5),
    "typical_p": TypicalP(p=0.6),
    "epsilon": Epsilon(epsilon=0.25),
    "eta": Eta(epsilon=0.35),
    "presence": Presence(alpha=1.5),
    "frequency": Frequency(alpha=1.0),
    "no_repeat": NoRepeatNGram(size=2),
    "bias": Bias(tokens=((0, 1.0),), sequences=(((0, 1), -2.0),)),
    "ban": Ban(sequences=((1, 1), (1, 0, 1))),
    "min_length": MinLength(length=2, eos=(2,)),
    "length_decay": LengthDecay(after=1, factor=2.0, eos=(2,)),
    "suppress": SuppressAtBegin(tokens=(0,)),
    "force": Force(token=0, at=1),
    "max_length": MaxLength(length=2),
    "guidance": Guidance(model="f", view="swapped", scale=2.0),
    "contrast": Contrast(model="a"),
    "layers": ContrastLayers(model="t", layers=(1,)),
    "grammar": ToyGrammar.over(3),
    "json": JsonSchema(schema_=True).small(3),
    "local": steered(),
    "local_sampled": steered(select="sample"),
    "after": steered(penalty="after"),
    "after_sampled": steered(penalty="after", select="sample"),
    "own": steered("t"),
    "own_sampled": steered("t", select="sample"),
    "own_after_sampled": steered("t", penalty="after", select="sample"),
    "pause": Pause(at=(0,)),
}
