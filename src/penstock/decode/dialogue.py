"""A prompt is a text, or the messages of a dialogue."""

from collections.abc import Mapping, Sequence
from typing import Any

Prompt = str | Sequence[Mapping[str, str]]
"""A text, or the messages of a dialogue, each with ``role`` and ``content``."""


def is_dialogue(prompt: Any) -> bool:
    """Whether a prompt is a list of messages."""
    return isinstance(prompt, Sequence) and bool(prompt) and all(map(is_message, prompt))


def is_message(value: Any) -> bool:
    """Whether this is one turn of a dialogue."""
    return isinstance(value, Mapping) and all(isinstance(value.get(name), str) for name in ("role", "content"))
