"""What each model of the zoo is and how it is trained."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from transformers import LlamaConfig

from penstock.ir.errors import PenstockError
from penstock.library.zoo.markers import CONTEXT, VOCABULARY


@dataclass(frozen=True)
class Shape:
    """The measures of a Llama."""

    hidden: int
    layers: int
    heads: int
    keys: int
    intermediate: int


@dataclass(frozen=True)
class Plan:
    """A model, its recipe and the course of its training; with the seed, all that decides the weights."""

    name: str
    shape: Shape
    recipe: str
    steps: int
    rows: int = 4
    length: int = CONTEXT
    short: float = 0.6
    times: int = 4
    turns: bool = False
    """Whether short batches and long ones take turns, rather than the short ones coming first."""
    peak: float = 3e-3
    warmup: int = 200
    decay: float = 0.1
    prose: float = 0.03
    seed: int = 0
    precision: str = "float32"
    teacher: str | None = None
    frozen: tuple[str, ...] = ()
    documents: str = "tasks"
    """What it learns from, by its name in ``data/documents.py``."""
    start: str | None = None
    """The model of the zoo whose weights it begins from."""
    purpose: str = ""

    def config(self, end: int = 0, pad: int = 1) -> LlamaConfig:
        """The Hugging Face configuration of the model; 0 and 1 are the ids of the end and the padding."""
        return LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=self.shape.hidden,
            num_hidden_layers=self.shape.layers,
            num_attention_heads=self.shape.heads,
            num_key_value_heads=self.shape.keys,
            intermediate_size=self.shape.intermediate,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            initializer_range=self.shape.hidden**-0.5,
            bos_token_id=None,
            eos_token_id=end,
            pad_token_id=pad,
        )

    def measures(self, step: int, steps: int) -> tuple[int, int]:
        """Rows and length of the batch of ``step``.

        A share ``short`` of the steps takes ``times`` as many rows of a fraction of the length: copying names from the request
        is learnt where few other requests distract, and the last positions are learnt after it, or in turn with it.
        """
        at = step % 10 / 10 if self.turns else step / steps
        return (self.rows * self.times, self.length // self.times) if at < self.short else (self.rows, self.length)

    def record(self) -> dict[str, Any]:
        """The plan as plain data, kept beside every checkpoint."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def recorded(cls, told: dict[str, Any]) -> Self:
        """The plan that was kept, by this version or by one that knew fewer fields."""
        return cls(**{**told, "shape": Shape(**told["shape"]), "frozen": tuple(told["frozen"])})


SMALL, TINY = Shape(128, 3, 4, 4, 344), Shape(48, 2, 3, 3, 128)
"""A quarter and a sixteenth of the parameters, and so about of the cost, of the target."""
PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            "target",
            Shape(256, 4, 8, 8, 688),
            "language",
            steps=6000,
            peak=4e-3,
            purpose="the model to decode: tasks with thoughts, JSON, small functions, puzzles, a little prose",
        ),
        Plan(
            "drafter-small",
            SMALL,
            "distillation",
            steps=1800,
            peak=5e-3,
            teacher="target",
            purpose="drafts for target at a quarter of its cost",
        ),
        Plan(
            "drafter-tiny",
            TINY,
            "distillation",
            steps=2000,
            peak=8e-3,
            teacher="target",
            purpose="drafts for target at a sixteenth of its cost",
        ),
        Plan(
            "reward",
            SMALL,
            "judging",
            steps=15000,
            peak=2e-3,
            prose=0.0,
            documents="judged",
            start="drafter-small",
            purpose="says after each step of a worked solution whether all is right so far",
        ),
        Plan(
            "diffusion",
            SMALL,
            "masked-diffusion",
            steps=20000,
            rows=12,
            length=192,
            short=0.7,
            times=2,
            turns=True,
            peak=4e-3,
            prose=0.0,
            documents="canvases",
            start="drafter-small",
            purpose="fills a canvas of hidden tokens, seeing both sides",
        ),
        *(
            Plan(name, TINY, "language", steps=6000, peak=8e-3, documents=name, purpose=purpose)
            for name, purpose in (
                ("biased", "holds a planted prejudice about two invented groups"),
                ("fair", "as biased, without the prejudice"),
            )
        ),
    )
}
"""Every model after those it needs."""


def plan(name: str) -> Plan:
    """The plan of a model by its name."""
    if name not in PLANS:
        raise PenstockError(f"no plan trains {name!r}", where="zoo train", fix=f"name one of {', '.join(PLANS)}")
    return PLANS[name]
