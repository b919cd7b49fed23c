"""llguidance as a matcher: grammars of its own Lark dialect, regular expressions and JSON Schema over a tokenizer's bytes."""

import json
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.ir.errors import PenstockError
from penstock.library.constraints.engine.pieces import Pieces, Tokens

NAME = "llguidance"
ESCAPES = '"\\bfnrt'
"""Of a string, what has no other way to be written: given as ``\\u0061``, a property ``a`` would pass for one without a rule."""


BY_BYTES = '%llguidance {"no_forcing": true}'
"""Every token that keeps a text viable is allowed, not one way of writing what is forced."""


class Wrapped:
    """A vocabulary in the form that the engine takes one; bytes that a grammar forces it splits into the longest tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self.spelt = Pieces(tokens)
        self.tokens = [bytes(piece) for piece in tokens.pieces]
        self.special_token_ids = sorted(tokens.special | tokens.eos)
        self.eos_token_id, self.bos_token_id, self.is_tokenizer_wrapper = min(tokens.eos), None, True

    def __call__(self, text: bytes) -> list[int]:
        return self.spelt.split(text)


class Guidance:
    """A matcher of llguidance."""

    def __init__(self, matcher: Any, size: int, eos: int) -> None:
        self.matcher, self.size, self.eos = matcher, size, eos

    def copy(self) -> "Guidance":
        return Guidance(self.matcher.deep_copy(), self.size, self.eos)

    def advance(self, token: int) -> bool:
        return self.matcher.validate_tokens([token]) == 1 and bool(self.sound(self.matcher.consume_token(token)))

    def allowed(self) -> Tensor:
        words = np.frombuffer(self.sound(self.matcher.compute_bitmask()), np.uint8)
        return torch.from_numpy(np.unpackbits(words, count=self.size, bitorder="little").view(np.bool_))

    def may_end(self) -> bool:
        return bool(self.sound(self.matcher.is_accepting()))

    def takes(self, tokens: list[int]) -> bool:
        return bool(self.matcher.validate_tokens([*tokens, self.eos]) == len(tokens) + 1)

    def forced(self) -> bytes:
        return bytes(self.matcher.compute_ff_bytes())

    def sound(self, answer: Any) -> Any:
        """An answer. Raises PenstockError where the engine gave up: it has limits, and says nothing of them by itself."""
        if self.matcher.is_error():
            error = first_line(self.matcher.get_error())
            if error == "NoExtensionBias":
                raise PenstockError("no token spells what the grammar wants next", fix="allow other characters there")
            raise PenstockError(
                f"the grammar is more than {NAME} can follow: {error}",
                fix="a simpler grammar: fewer alternatives that begin alike, smaller counts",
            )
        return answer


def begin(grammar: str, tokens: Tokens) -> Guidance:
    """The matcher of a grammar before any text. Raises PenstockError for what does not compile."""
    matcher = engine().LLMatcher(tokenizer(tokens), grammar, log_level=0)
    if matcher.is_error():
        raise PenstockError(first_line(matcher.get_error()))
    return Guidance(matcher, len(tokens.pieces), min(tokens.eos))


def tokenizer(tokens: Tokens) -> Any:
    """The engine's own form of a vocabulary. Raises PenstockError where no token ends a text."""
    if not tokens.eos:
        raise PenstockError("no token of its models ends a text, as a grammar must", fix="use models with an end token")
    wrapper = engine().TokenizerWrapper(Wrapped(tokens))
    return engine().LLTokenizer(wrapper, n_vocab=len(tokens.pieces), eos_token=sorted(tokens.eos))


def engine() -> Any:
    """The package. Raises PenstockError where it is not installed."""
    try:
        return import_module(NAME)
    except ImportError:
        raise PenstockError(f"grammars need the package {NAME}", fix="pip install 'penstock[grammar]'") from None


def of_lark(rules: str) -> str:
    """A grammar in the engine's dialect of Lark, by bytes alone."""
    return str(engine().LLMatcher.grammar_from_lark(f"{rules}\n{BY_BYTES}\n"))


def of_regex(pattern: str) -> str:
    """The grammar of a regular expression."""
    (made,) = json.loads(engine().LLMatcher.grammar_from_regex(pattern))["grammars"]
    return of_lark(made["lark_grammar"])


def of_json_schema(schema: dict[str, Any], spacing: dict[str, Any]) -> str:
    """The grammar of a JSON Schema; a key can be written in one way only, so that none can pass for another."""
    options = {"json_allowed_escapes": ESCAPES, **spacing}
    return of_lark(f"start: %json {json.dumps(schema | {'x-guidance': options})}")


def first_line(error: str) -> str:
    """What of an engine's report is for its user."""
    lines = error.partition("<state>")[0].strip().splitlines()
    told = lines[0].rstrip(":").removeprefix("at 1(8): failed to compile JSON schema: ")
    reason = next((line.removeprefix("error") for line in lines if line.startswith("error: ")), "")
    return told + reason
