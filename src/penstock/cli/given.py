"""What is given on the command line, read: a prompt, request parameters."""

import math
import re

from penstock.ir.errors import PenstockError


def parameter(text: str) -> tuple[str, float]:
    """``name=value`` as a pair."""
    name, sign, value = text.partition("=")
    said = f"--param {text if len(text) <= 60 else text[:60] + '...'}"
    fix = "write it as in --param temperature=0.8"
    if not sign:
        raise PenstockError(f"{said}: there is no = between a name and a value", fix=fix)
    try:
        number = float(value)  # inf where it is too large, also for an integer
        if math.isfinite(number):
            return name, int(value) if re.fullmatch(r"\s*-?[0-9]+\s*", value) else number
    except ValueError:
        raise PenstockError(f"{said}: the value is no number", fix=fix) from None
    raise PenstockError(f"{said}: the value is no finite number", fix=fix)


def typed(prompt: str) -> str:
    """A prompt as it was typed; Python keeps bytes that are no text as halves of characters."""
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise PenstockError(f"--prompt {prompt!r}: not UTF-8 text", fix="give a file of UTF-8 text with --prompts") from None
    return prompt
