"""What can be wrong with a spec as a whole and with its stages, and the one message, place and remedy of each mistake."""

import pytest
from spec_mistakes import HEAD, refused

MISTAKES = {
    "empty": ("\n", "2:1", "the spec is empty", "penstock: 1"),
    "no mapping": ("- 1\n- 2\n", "1:1", "a spec is a mapping", "penstock: 1"),
    "a word": ("hello\nworld\n", "1:1", "a spec is a mapping", "penstock: 1"),
    "no version": ("models: {a: zoo:a}\npipeline: []\n", "1:1", "the format version is missing", "penstock: 1"),
    "other version": ("penstock: 2\npipeline: []\n", "1:11", "format version 2 is not supported", "penstock: 1"),
    "true is no version": ("penstock: true\n", "1:11", "format version True is not supported", "penstock: 1"),
    "no pipeline": (HEAD, "1:1", "field pipeline: is missing", "for example `pipeline: ["),
    "no stages": (HEAD + "pipeline: []", "3:11", "field pipeline: has too few items", "for example"),
    "no list": (HEAD + "pipeline: 3", "3:11", "field pipeline: should be a list, not 3", "for example"),
    "unknown entry": (HEAD + "pipelin: [trivial.tap]", "3:1", "field pipelin: there is no such field", "pipeline?"),
    "unknown stage": (
        HEAD + "pipeline:\n  - trivial.drafer: {}",
        "4:5",
        "field pipeline.0: there is no stage trivial.drafer",
        "did you mean trivial.drafter",
    ),
    "unknown word": (
        HEAD + "pipeline: [trivial.tapp]",
        "3:12",
        "field pipeline.0: there is no stage trivial.tapp",
        "trivial.tap",
    ),
    "unlike any": (HEAD + "pipeline: [zzz.qqq]", "3:12", "field pipeline.0: there is no stage zzz.qqq", "penstock stages"),
    "two stages in one": (
        HEAD + "pipeline:\n- {trivial.tap: {}, trivial.gate: {}}",
        "4:3",
        "field pipeline.0: should be a stage",
        "write `family.method",
    ),
    "no stage": (HEAD + "pipeline: [trivial.tap, 3]", "3:25", "field pipeline.1: should be a stage, not 3", "family"),
    "fields no mapping": (HEAD + "pipeline: [trivial.tap: 3]", "3:12", "stage trivial.tap: should be a mapping, not 3", ""),
    "unknown field": (
        HEAD + "pipeline:\n- trivial.drafter: {model: a, lenght: 4}",
        "4:31",
        "stage trivial.drafter, field lenght: there is no such field",
        "did you mean length?",
    ),
    "python name of a field": (
        HEAD + "pipeline: [trivial.transform: {shema: x}]",
        "3:32",
        "stage trivial.transform, field shema: there is no such field",
        "did you mean schema?",
    ),
    "missing field": (
        HEAD + "pipeline:\n- trivial.drafter: {length: 4}",
        "4:3",
        "stage trivial.drafter, field model: is missing",
        "add `model: ...`",
    ),
    "wrong type": (
        HEAD + "pipeline:\n- trivial.drafter:\n    model: a\n    length: four",
        "6:13",
        'stage trivial.drafter, field length: should be a valid integer, not "four"',
        "for example `length: 4`",
    ),
    "text for a number": (
        HEAD + "pipeline: [trivial.drafter: {model: a, length: '4'}]",
        "3:48",
        'stage trivial.drafter, field length: should be a valid integer, not "4"',
        "",
    ),
    "number for text": (
        HEAD + "pipeline: [trivial.drafter: {model: 4}]",
        "3:37",
        "stage trivial.drafter, field model: should be a valid string, not 4",
        "",
    ),
    "out of range": (
        HEAD + "pipeline: [trivial.drafter: {model: a, length: 0}]",
        "3:48",
        "stage trivial.drafter, field length: should be greater than or equal to 1, not 0",
        "",
    ),
    "infinite": (
        HEAD + "pipeline: [trivial.transform: {value: .inf}]",
        "3:39",
        'stage trivial.transform, field value: should be a valid number or {param: name}, not ".inf"',
        "for example `value: 1.0`",
    ),
    "huge": (
        HEAD + "pipeline: [trivial.transform: {value: 1e999}]",
        "3:39",
        "stage trivial.transform, field value: should be a finite number",
        "",
    ),
    "parameter's field": (
        HEAD + "pipeline: [trivial.transform: {value: {param: t, defalt: 1}}]",
        "3:50",
        "stage trivial.transform, field value.defalt: there is no such field",
        "did you mean default?",
    ),
    "parameter's name": (
        HEAD + "pipeline: [trivial.transform: {value: {param: T}}]",
        "3:47",
        'stage trivial.transform, field value.param: is not spelt like a name, not "T"',
        "small letters",
    ),
    "beyond 64 bits": (
        HEAD + "pipeline: [trivial.drafter: {model: a, length: 9223372036854775808}]",
        "3:48",
        "field length: should be less than or equal to 9223372036854775807",
        "",
    ),
    "parameter's default": (
        HEAD + "pipeline: [trivial.transform: {value: {param: t, default: -1}}]",
        "3:39",
        "stage trivial.transform, field value: should be greater than or equal to 0, not -1",
        "",
    ),
    "parameters disagree": (
        HEAD + "pipeline:\n"
        "- trivial.transform: {value: {param: t, default: 1}}\n"
        "- trivial.transform: {value: {param: t, default: 2}}",
        "5:30",
        "stage trivial.transform, field value: parameter t defaults to 2 here and to 1 in stage trivial.transform",
        "one default",
    ),
    "stage in a field": (
        HEAD + "pipeline: [trivial.transform: {inner: {trivial.transform: {value: hot}}}]",
        "3:67",
        "stage trivial.transform, field value: should be a valid number or {param: name}",
        "",
    ),
    "unknown stage in a field": (
        HEAD + "pipeline: [trivial.transform: {others: [trivial.tap, trivial.tup]}]",
        "3:54",
        "stage trivial.transform, field others.1: there is no stage trivial.tup",
        "trivial.tap",
    ),
    "generate": (
        HEAD + "generate: {max_new_tokens: 0}\npipeline: [trivial.tap]",
        "3:28",
        "field generate.max_new_tokens: should be greater than or equal to 1, not 0",
        "`max_new_tokens: 64`",
    ),
    "too long a text": (
        HEAD + "generate: {max_new_tokens: 99999999999}\npipeline: [trivial.tap]",
        "3:28",
        "field generate.max_new_tokens: should be less than or equal to 1000000, not 99999999999",
        "",
    ),
    "prompts": (HEAD + "prompts: [a, 3]\npipeline: [trivial.tap]", "3:14", "field prompts.1: should be a valid string", ""),
    "prompt": (HEAD + "prompt: 3\npipeline: [trivial.tap]", "3:9", "field prompts.0: should be a valid string", ""),
    "prompt and prompts": (
        HEAD + "prompts: [a]\nprompt: b\npipeline: [trivial.tap]",
        "4:1",
        "prompt and prompts are both given",
        "",
    ),
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_error_with_a_place(text, place, what, fix):
    refused(text, place, what, fix)
