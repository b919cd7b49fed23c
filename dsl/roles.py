"""The roles a stage can play, what its effect promises, and which ports a role reads and writes."""

from typing import Literal

Role = Literal[
    "drafter",
    "scorer",
    "transform",
    "gate",
    "acceptor",
    "learner",
    "denoiser",
    "unmasker",
    "checker",
    "prompt",
    "encoder",
    "program",
    "tap",
    "recipe",
    "weights",
]
"""Says when a stage runs: each belongs to one phase of a step, or to what happens before, around or after steps."""

Effect = Literal["accelerates", "steers", "approximates"]
"""Against the reference: must not change it, changes it on purpose, or breaks it."""

READS: dict[Role, tuple[str, ...]] = {
    "transform": ("Scored",),
    "gate": ("Scored",),
    "learner": ("Scored",),
    "tap": ("Scored",),
    "unmasker": ("Denoised",),
    "checker": ("Proposals",),
}
"""What must come from an earlier stage; a drafter, a scorer and an acceptor find what they need by their phase."""

WRITES: dict[Role, tuple[str, ...]] = {
    "drafter": ("Draft",),
    "scorer": ("Scored",),
    "transform": ("Scored",),
    "denoiser": ("Denoised",),
    "unmasker": ("Proposals",),
    "checker": ("Proposals",),
    "prompt": ("Text",),
    "encoder": ("Embeds",),
}
"""What later stages see changed; a gate, a learner and a tap hand on what they read as it was."""
