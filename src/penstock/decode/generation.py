"""What a pipeline made of a prompt, and what it took."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Stats:
    """What one continuation took; equal to another whatever the clock said."""

    new_tokens: int
    steps: int
    target_forwards: float
    """Forwards that this row's steps made of whatever does not only draft; of some layers only, their share of all."""
    draft_forwards: float
    """The same of what only drafts."""
    seconds: float = field(compare=False)
    """From the beginning of its batch to its last token; the rows of a batch share their time."""
    stages: dict[str, float] = field(default_factory=dict, compare=False)
    """Seconds of its batch until then by stage, prefill apart; empty unless the runner keeps time."""

    @property
    def accepted_per_forward(self) -> float:
        """Tokens for each forward of the target."""
        return self.new_tokens / max(self.target_forwards, 1)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "accepted_per_forward": self.accepted_per_forward}


@dataclass(frozen=True)
class Generation:
    """One continuation."""

    prompt: Any
    """As it was given: a text, or the messages of a dialogue."""
    text: str
    tokens: list[int]
    status: str
    """Why it ended: eos, stop, length, or paused."""
    stats: Stats
    logprobs: list[float] | None = None
    """Natural logarithms of each token's probability, where they were asked for."""
    taps: dict[str, list[float]] = field(default_factory=dict)
    """What taps read, by name."""

    def record(self) -> dict[str, Any]:
        """As plain data."""
        told = {"prompt": self.prompt, "text": self.text, "tokens": self.tokens, "status": self.status}
        seen = {"logprobs": self.logprobs, "taps": self.taps}
        return {**told, **{name: value for name, value in seen.items() if value}, "stats": self.stats.record()}
