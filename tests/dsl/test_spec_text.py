"""What can be wrong with a spec as text: YAML that is none, or that specs do not have."""

import pytest
from spec_mistakes import HEAD, refused

from penstock.dsl.read import MAX_BYTES, MAX_VALUES


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels + "\n"


MISTAKES = {
    "repeated key": (HEAD + "models: {}\n", "3:1", "models is given twice, first at <text>:2:1", "keep one"),
    "python object": (
        "penstock: 1\nx: !!python/object/apply:os.system ['false']\n",
        "2:4",
        "tag !!python/object/apply:os.system: specs have no tags",
        "plain",
    ),
    "tagged scalar": ("penstock: !!int '1'\n", "1:11", "tag !!int: specs have no tags", "plain"),
    "tagged key": ("!!str penstock: 1\n", "1:1", "tag !!str: specs have no tags", "plain"),
    "alias": ("a: &a [x]\nb: [*a, *a]\n", "2:5", "alias *a: specs have no aliases", "write the value out"),
    "merge": ("a: &a {x: 1}\nb:\n  <<: *a\n", "3:7", "alias *a: specs have no aliases", "write the value out"),
    "deep lists": (nested(50_000), "1:41", "nested deeper than 40", ""),
    "deep mappings": ("{a: " * 5000 + "\n", "1:161", "nested deeper than 40", ""),
    "deep blocks": ("- " * 5000 + "\n", "1:81", "nested deeper than 40", ""),
    "very many": ("[" + "1," * MAX_VALUES + "1]\n", f"1:{2 * MAX_VALUES}", f"more than {MAX_VALUES} values", "files"),
    "very long": ("a: " + "x" * MAX_BYTES + "\n", None, f"larger than {MAX_BYTES} bytes", "files"),
    "very long number": ("a: " + "9" * 9999 + "\n", "1:4", "a number too long to read", ""),
    "two documents": ("a: 1\n---\nb: 2\n", "2:1", "a second document begins here", "one spec"),
    "no character": ('a: 1\nb: "\\U00110000"\n', "2:7", "there is no such character", "U0010FFFF"),
    "no character at all": ('a: 1\nb: "\\UFFFFFFFF"\n', "2:7", "there is no such character", "U0010FFFF"),
    "control character": ("a: 1\nb: \x00\n", "2:4", "not a text: a control character", "UTF-8"),
    "unclosed": ("a: [1, 2\nb: 3\n", "2:2", "not readable as YAML: expected ',' or ']'", ""),
    "unclosed JSON": ('{"penstock": 1, "models": {', "1:28", "not readable as YAML", ""),
    "tab": ("penstock: 1\n\tmodels: {}\n", "2:1", "not readable as YAML", ""),
    "key is a list": ("? [a]\n: 3\n", "1:3", "a key must be a word", "key: value"),
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_error_with_a_place(text, place, what, fix):
    refused(text, place, what, fix)
