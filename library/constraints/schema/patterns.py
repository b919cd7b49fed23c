"""Regular expressions of JSON Schema (ECMA-262) in the syntax of engines: what means the same there, and nothing else.

``.``, ``\\s`` and ``\\S`` differ in which characters end a line or are space, and are written out; what else differs is refused.
"""

import re

SPACE = r"\t\n\x0b\x0c\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}"
"""ECMA-262 WhiteSpace and LineTerminator."""
WRITTEN = {".": r"[^\n\r\x{2028}\x{2029}]", r"\s": f"[{SPACE}]", r"\S": f"[^{SPACE}]", r"\v": r"\x0b", r"\/": "/", r"\-": "-"}
WRITTEN_IN_CLASS = {r"\s": SPACE, r"\v": r"\x0b", r"\/": "/"}
SAME = frozenset((*(rf"\{c}" for c in r"dDwWtnrf^$\.*+?()[]{}|"), "(?:", *"^$|()*+?"))
SAME_IN_CLASS = frozenset((*(rf"\{c}" for c in r"dwtnrf^$\.*+?()[]{}|-"), *"^-.$|()*+?"))
TOKEN = re.compile(r"\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\.|\[(?:\\.|[^\]\\])*\]|\(\?:|\(\?|\{\d+(?:,\d*)?\}|.", re.DOTALL)
COUNT = re.compile(r"\{\d+(,\d*)?\}")


def portable(pattern: str) -> str:
    """The pattern as engines read it. Raises ValueError naming what they would read otherwise."""
    return "".join(outside(token) for token in TOKEN.findall(pattern))


def outside(token: str) -> str:
    """One token, a class as a whole."""
    if token in WRITTEN:
        return WRITTEN[token]
    if token[0] == "[" and len(token) > 1:
        return f"[{in_class(token[1:-1])}]"
    return token if token in SAME or COUNT.fullmatch(token) else literal(token)


def in_class(body: str) -> str:
    """What stands between the brackets of a class."""
    wrong = "nothing" if body in ("", "^") else next((each for each in ("&&", "--", "~~") if each in body), None)
    if wrong:
        raise ValueError(f"{wrong} in a class")
    tokens = re.findall(r"\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\.|.", body, re.DOTALL)
    return "".join(WRITTEN_IN_CLASS.get(each) or (each if each in SAME_IN_CLASS else literal(each)) for each in tokens)


def literal(token: str) -> str:
    """A character that stands for itself, or for the one that an escape names."""
    if token[:2] in (r"\x", r"\u") and len(token) > 2:
        code = int(token[2:], 16)
        if 0xD800 <= code < 0xE000:
            raise ValueError(f"half a character, {token},")
        return rf"\x{{{code:x}}}"
    if len(token) > 1 or token in "[\\":
        raise ValueError(token)
    return re.escape(token) if token in "{}#&~" else token
