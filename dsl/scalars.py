"""What plain words of a spec mean: YAML 1.2's core schema, so ``on`` is a word and ``1e-3`` a number, as in JSON."""

import re

import yaml

NULL, BOOL, INT, FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
PATTERNS = (
    (NULL, re.compile(r"(?:null|~|)$")),
    (BOOL, re.compile(r"(?:true|false)$")),
    (INT, re.compile(r"[-+]?[0-9]+$")),
    (FLOAT, re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")),
)
"""In order of precedence. Infinities and nan are words: nothing in a spec may be either."""

Scalar = None | bool | int | float | str


def meaning(word: str) -> Scalar:
    """The value of a plain (unquoted) scalar; raises ValueError for an integer too long to read."""
    kind = next((tag for tag, pattern in PATTERNS if pattern.match(word)), None)
    if kind == NULL:
        return None
    if kind == BOOL:
        return word == "true"
    if kind == INT:
        return int(word)
    return float(word) if kind == FLOAT else word


class Writer(yaml.SafeDumper):
    """Quotes exactly the strings that `meaning` would read as something else, and never writes aliases."""

    yaml_implicit_resolvers = {None: list(PATTERNS)}

    def ignore_aliases(self, data: object) -> bool:
        return True
