"""JSON Schema: what a schema forbids is never accepted, and what cannot be enforced is refused by name, at its place."""

import json
import random
from base64 import b64decode
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

from penstock.ir.errors import PenstockError
from penstock.library.constraints.engine import guidance
from penstock.library.constraints.engine.pieces import Bytes
from penstock.library.constraints.json_schema import JsonSchema
from penstock.library.constraints.schema.keywords import enforceable
from penstock.library.constraints.schema.patterns import portable

OFFICIAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "grammar"


def matcher(schema, **fields):
    """The beginning of a schema's text, over bytes."""
    return guidance.begin(JsonSchema(schema_=schema, **fields).said(), Bytes())


def accepts(schema, text, **fields):
    return matcher(schema, **fields).takes(list(text.encode()))


REFUSED = [
    ({"not": {}}, "/not: the keyword not cannot be enforced"),
    ({"properties": {"a/b": {"items": [{}, {"if": {}}]}}}, "/properties/a~1b/items/1/if: the keyword if cannot be enforced"),
    ({"uniqueItems": True}, "/uniqueItems: the keyword uniqueItems cannot be enforced"),
    ({"requird": ["a"]}, "/requird: the keyword requird cannot be enforced"),
    ({"anyOf": [{"contentEncoding": "base64"}]}, "/anyOf/0/contentEncoding: the keyword contentEncoding cannot be enforced"),
    ({"format": "regex"}, "/format: the format regex cannot be enforced"),
    ({"format": "date", "pattern": "^2"}, "/pattern: a pattern beside this format cannot be enforced"),
    ({"pattern": "(?=a)b"}, r"/pattern: \(\? in a pattern"),
    ({"patternProperties": {r"\p{L}": {}}}, r"/patternProperties/\\p{L}: \\p in a pattern"),
    ({"$ref": "#/definitions/a"}, "/[$]ref: '#/definitions/a' is no schema of this file"),
    ({"$ref": "http://a/b.json"}, "/[$]ref: 'http://a/b.json' is no schema of this file"),
    ({"definitions": {"a": {"$id": "b"}}}, "/definitions/a/[$]id: the keyword [$]id cannot be enforced"),
    ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, "/[$]schema: this is no schema of draft 7"),
    ({"minProperties": 2}, "/minProperties: the keyword minProperties cannot be enforced for more than"),
    ({"enum": ["a\0"]}, "/enum: a control character in enum cannot be enforced"),
    ({"properties": {"a\x1f": {}}}, "a control character in a property's name"),
    ({"allOf": [7]}, "/allOf/0: int is no schema"),
    (False, "/: false allows nothing"),
]


@pytest.mark.parametrize(("schema", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_enforced_is_refused_by_name_and_place(schema, message):
    with pytest.raises(PenstockError, match=message) as refused:
        enforceable(schema)
    assert refused.value.fix


def test_names_of_properties_are_no_keywords_and_remarks_say_nothing():
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "t", "properties": {"not": {"x-of": 1}, "$ref": {}}}
    assert enforceable(schema) == {"properties": {"not": {}, "$ref": {}}}
    assert enforceable({"const": {"not": 1, "if": ["\n", "\\u0000"]}}) == {"const": {"not": 1, "if": ["\n", "\\u0000"]}}
    assert enforceable(True) == {}


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"properties": {"a": {"type": "integer"}}}, '{"a": 1}', r'{"\u0061": "x"}'),
        ({"format": "date"}, '"2024-02-29"', '"2023-02-29"'),
        ({"format": "date"}, '"2000-02-29"', '"1900-02-29"'),
        ({"format": "date"}, '"2023-11-30"', '"2023-11-31"'),
        ({"format": "time"}, '"23:59:59.5+01:00"', '"24:00:00Z"'),
        ({"format": "hostname"}, '"a-b.example"', '"a--b"'),
        ({"format": "hostname"}, f'"{"a" * 30}"', f'"{"a" * 64}"'),
        ({"pattern": r"^\s$"}, '"\ufeff"', '"\x85"'),
        ({"pattern": r"^\S$"}, '"\x85"', '"\ufeff"'),
        ({"pattern": "^.$"}, '"\x85"', '"\u2028"'),
        ({"pattern": r"^[\s]$"}, '"\u2029"', '"a"'),
        ({"type": "integer", "uniqueItems": False}, "-3", "1.5"),
        ({"minProperties": 2, "required": ["a"]}, '{"a": 1, "b": 1}', '{"a": 1, "a": 1}'),
    ],
    ids=lambda x: str(x)[:30],
)
def test_what_engines_take_too_loosely_is_said_exactly(schema, valid, invalid):
    assert (accepts(schema, valid), accepts(schema, invalid)) == (True, False)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"^[^\/\-a]{2,}?$", r"^[^/\-a]{2,}?$"),
        (r"a{,2}", r"a\{,2\}"),
        (r"A\x2d~\u00e9", r"A\x{2d}\~\x{e9}"),
        (r"(?:a|\(b\))*", r"(?:a|\(b\))*"),
    ],
)
def test_patterns_in_the_words_of_engines(pattern, said):
    assert portable(pattern) == said


@pytest.mark.parametrize("pattern", [r"\A", r"\bfoo", "[]a]", "[^]", "[[a]", "[a&&b]", r"\ud83d", "[a", r"[\S]", "a\\", r"\cA"])
def test_a_pattern_that_engines_read_otherwise_is_refused(pattern):
    with pytest.raises(ValueError, match=r"."):
        portable(pattern)


def test_spacing_is_as_declared():
    schema = {"type": "array", "items": {"type": "integer"}}
    assert accepts(schema, "[1, 2]") and not accepts(schema, "[1,2]")
    assert accepts(schema, "[1,2]", separators=(",", ":")) and not accepts(schema, "[1, 2]", separators=(",", ":"))
    assert all(accepts(schema, text, whitespace=True) for text in ("[1,2]", "[1, 2]", "[ 1\n,2 ]"))


def wandering(start, rng, most=200):
    """A text of the grammar met by chance, ending soon; None where it had not ended by then."""
    here, text = start.copy(), b""
    for _ in range(most):
        options = here.allowed()[:256].nonzero().flatten().tolist()
        if here.may_end() and (not options or rng.random() < 0.3):
            return text
        likely = [byte for byte in options if byte in b'"}],:0123456789abcdef']
        byte = rng.choice(likely if likely and rng.random() < 0.8 else options)
        assert here.advance(byte)
        text += bytes([byte])
    return None


def official(name):
    file = OFFICIAL / name
    if not file.exists():
        pytest.skip("the official groups are not here")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def begun(schema):
    """The matcher of a schema, or who refuses it."""
    try:
        enforceable(schema)
    except PenstockError:
        return "refused by name"
    try:
        return matcher(schema)
    except PenstockError:
        return "refused by the engine"


def verdict(start, tests):
    """Whether a group's examples are told apart as they should be; what holds non-characters cannot be written at all."""
    written = [{json.dumps(test["data"]), json.dumps(test["data"], ensure_ascii=False)} for test in tests]
    taken = [any(start.takes(list(text.encode("utf-8", "replace"))) for text in texts) for texts in written]
    if any(took and not test["valid"] for took, test in zip(taken, tests, strict=True)):
        return "accepts what is forbidden"
    return "exact" if taken == [test["valid"] for test in tests] else "a subset"


def test_the_official_groups_accept_nothing_forbidden():
    """The counts that docs/grammars.md names."""
    found: Counter[str] = Counter()
    for group in official("json_schema_test_suite_draft7.jsonl"):
        start = begun(group["schema"])
        found[start if isinstance(start, str) else verdict(start, group["tests"])] += 1
    assert found == {"exact": 157, "a subset": 21, "refused by name": 116, "refused by the engine": 27}


def test_texts_met_by_chance_under_the_official_schemas_are_valid():
    rng, met = random.Random(0), 0
    for group in official("json_schema_test_suite_draft7.jsonl"):
        start, schema = begun(group["schema"]), json.dumps(group["schema"])
        if isinstance(start, str) or "pattern" in schema or "format" in schema:  # which the validator reads its own way
            continue
        for text in filter(None, (wandering(start, rng) for _ in range(3))):
            jsonschema.Draft7Validator(group["schema"]).validate(json.loads(text))
            met += 1
    assert met > 300


def test_no_text_that_is_no_json_is_accepted():
    start, met = matcher(True, whitespace=True), Counter()
    for each in official("json_test_suite_parsing.jsonl"):
        if each["b64"] is not None:  # else 100,000 brackets
            met[each["expect"], start.takes(list(b64decode(each["b64"])))] += 1
    assert met["n", True] == 0 and met["n", False] > 150 and met["y", True] > 60
