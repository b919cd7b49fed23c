"""What each model of the zoo is and how it is trained."""

from dataclasses import asdict, dataclass
from typing import Any

from transformers import LlamaConfig

from penstock.ir.errors import PenstockError
from penstock.library.zoo.build_tokenizer import CONTEXT, VOCABULARY


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
    peak: float = 3e-3
    warmup: int = 200
    decay: float = 0.1
    prose: float = 0.03
    seed: int = 0
    precision: str = "float32"
    teacher: str | None = None
    frozen: tuple[str, ...] = ()

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

        A share ``short`` of the steps first takes four times as many rows of a quarter of the length: copying names
        from the request is learnt where few other requests distract, and the last positions are learnt after it.
        """
        return (self.rows * 4, self.length // 4) if step < self.short * steps else (self.rows, self.length)

    def record(self) -> dict[str, Any]:
        """The plan as plain data, kept beside every checkpoint."""
        return asdict(self)


PLANS = {
    plan.name: plan
    for plan in (
        Plan("target", Shape(256, 4, 8, 8, 688), "language", steps=6000, peak=4e-3),
        Plan("drafter-small", Shape(80, 2, 5, 5, 208), "distillation", steps=2400, peak=5e-3, teacher="target"),
        Plan("diffusion-small", Shape(128, 4, 4, 4, 344), "masked-diffusion", steps=2400, peak=5e-3),
    )
}


def plan(name: str) -> Plan:
    """The plan of a model by its name."""
    if name not in PLANS:
        raise PenstockError(f"no plan trains {name!r}", where="zoo train", fix=f"name one of {', '.join(PLANS)}")
    return PLANS[name]
