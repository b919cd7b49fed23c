"""What tokens are in bytes, as tokenizers of two families spell them: bytes as letters, or text with a fallback to bytes."""

import json
import re
from collections.abc import Callable, Mapping

from penstock.ir.errors import PenstockError

BYTE = re.compile(r"<0x([0-9A-F]{2})>")
SPACE = "\u2581"
"""What stands for a space where a vocabulary is of text."""


def letters() -> dict[str, int]:
    """Byte by the letter that stands for it in a byte-level vocabulary: printable ones for themselves (GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


def pieces(vocabulary: Mapping[str, int], whole: Mapping[int, str], special: frozenset[int], decoder: object) -> list[bytes]:
    """By id the bytes of every token; of a special one, and of an id that nothing has, its name.

    ``whole``: tokens that stand for themselves (added ones); ``decoder``: as a tokenizer.json has it. Raises PenstockError for
    a family of vocabularies whose bytes are not known.
    """
    spell = speller(decoder)
    found = {i: spell(token) for token, i in vocabulary.items() if i not in whole and i not in special}
    found |= {i: token.encode() for i, token in whole.items()}
    return [found.get(i, b"<|%d|>" % i) for i in range(max(vocabulary.values()) + 1)]


def speller(decoder: object) -> Callable[[str], bytes]:
    """From a token as the vocabulary spells it to its bytes."""
    told = json.dumps(decoder, ensure_ascii=False)
    kinds = re.findall(r'"type": "(\w+)"', told)
    if "ByteLevel" in kinds:
        table = letters()
        return lambda token: bytes(table[letter] for letter in token)
    if "Metaspace" in kinds or SPACE in told:
        return lambda token: bytes([int(m[1], 16)]) if (m := BYTE.fullmatch(token)) else token.replace(SPACE, " ").encode()
    raise PenstockError(
        f"the bytes of its tokens are not known: its tokenizer decodes by {', '.join(kinds) or 'nothing'}",
        fix="use a model with a byte-level vocabulary, or one with a byte fallback",
    )
