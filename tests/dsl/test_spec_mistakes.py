"""What can be wrong with a spec, and the one message, place and remedy that each mistake gets."""


import pytest

from penstock.dsl.read import MAX_BYTES, MAX_VALUES
from penstock.dsl.spec import load
from penstock.ir.errors import PenstockError

HEAD = "penstock: 1\nmodels: {a: zoo:a}\n"


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels + "\n"


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
    "unknown scheme": (
        "penstock: 1\nmodels: {a: zap:a}\npipeline: [trivial.tap]",
        "2:13",
        "field models.a: model reference 'zap:a': there is no scheme 'zap'",
        "hf:organisation/name",
    ),
    "bad table": (
        "penstock: 1\nmodels:\n  a: table:1\npipeline: [trivial.tap]",
        "3:6",
        "field models.a: model reference 'table:1': not of the form",
        "hf:",
    ),
    "bad reference in place": (
        HEAD + "pipeline: [trivial.drafter: {model: 'zap:a'}]",
        "3:37",
        "stage trivial.drafter, field model: model reference 'zap:a': there is no scheme 'zap'",
        "hf:",
    ),
    "no such folder": (
        "penstock: 1\nmodels: {a: ./nowhere}\npipeline: [trivial.tap]",
        "2:13",
        "field models.a: there is no folder ",
        "hf:",
    ),
    "no such home": (
        "penstock: 1\nmodels: {a: ~nouser/x}\npipeline: [trivial.tap]",
        "2:13",
        "field models.a: model reference '~nouser/x': Could not determine home directory",
        "hf:",
    ),
    "no path": (
        'penstock: 1\nmodels: {a: "./x\\0"}\npipeline: [trivial.tap]',
        "2:13",
        r"field models.a: model reference './x\x00': embedded null byte",
        "hf:",
    ),
    "no path of this length": (
        f"penstock: 1\nmodels: {{a: ./{'x' * 300}}}\npipeline: [trivial.tap]",
        "2:13",
        "field models.a: there is no folder ",
        "hf:",
    ),
    "a model without a name": (
        "penstock: 1\nmodels: {1x: zoo:a}\npipeline: [trivial.tap]",
        "2:10",
        'field models.1x: is not spelt like a name, not "1x"',
        "no digit first",
    ),
    "unknown model": (
        HEAD + "pipeline: [trivial.drafter: {model: b}]",
        "3:37",
        "stage trivial.drafter, field model: no model is called 'b'",
        "`models:`, which has a",
    ),
    "unknown view": (
        HEAD + "pipeline: [trivial.transform: {view: swaped}]",
        "3:38",
        "stage trivial.transform, field view: no view is called 'swaped'",
        "`views:`, which has a",
    ),
    "unknown model in a field's stage": (
        HEAD + "pipeline: [trivial.transform: {inner: {trivial.drafter: {model: b}}}]",
        "3:65",
        "stage trivial.drafter, field model: no model is called 'b'",
        "",
    ),
    "unknown model of a view": (
        HEAD + "views: {v: {model: b}}\npipeline: [trivial.tap]",
        "3:20",
        "view v, field model: no model is called 'b'",
        "",
    ),
    "a misspelt field of a view": (
        HEAD + "views: {model: {modl: a}}\npipeline: [trivial.tap]",
        "3:17",
        "field views.model.modl: there is no such field",
        "did you mean model?",
    ),
    "a view called like a model": (
        HEAD + "views: {a: {model: a}}\npipeline: [trivial.tap]",
        "3:8",
        "a is a model and a view",
        "rename one",
    ),
    "a view's prompt is none": (
        HEAD + "views: {v: {model: a, prompt: trivial.tap}}\npipeline: [trivial.tap]",
        "3:31",
        "view v, field prompt: trivial.tap is a tap, not a prompt stage",
        "",
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
    "wires: missing field": (
        HEAD + "pipeline: {nodes: {a: {trivial.drafter: }}}",
        "3:24",
        "stage trivial.drafter, field model: is missing",
        "",
    ),
    "wires: unknown stage": (
        HEAD + "pipeline: {nodes: {a: trivial.tup}}",
        "3:23",
        "pipeline, field nodes.a: there is no stage trivial.tup",
        "",
    ),
    "wires: unknown node": (
        HEAD + "pipeline: {nodes: {a: trivial.scorer, b: trivial.tap}, edges: [[a, c]]}",
        "3:11",
        "edge a -> c: there is no node c",
        "the nodes are a, b",
    ),
    "wires: an edge from nothing": (
        HEAD + "pipeline: {nodes: {a: trivial.scorer}, edges: [[a]]}",
        "3:48",
        "pipeline, field edges.0: has too few items",
        "",
    ),
    "wires: an edge of three": (
        HEAD + "pipeline: {nodes: {a: trivial.scorer}, edges: [[a, a, a]]}",
        "3:48",
        "pipeline, field edges.0: has too many items",
        "",
    ),
    "wires: no nodes": (HEAD + "nodes: 3", "3:8", "pipeline, field nodes: should be a mapping, not 3", ""),
    "wires: unknown stage at the top": (
        HEAD + "nodes:\n  a: trivial.tup",
        "4:6",
        "pipeline, field nodes.a: there is no stage trivial.tup",
        "",
    ),
    "wires: unknown node at the top": (
        HEAD + "nodes: {a: trivial.scorer, b: trivial.tap}\nedges: [[a, c]]",
        "4:8",
        "edge a -> c: there is no node c",
        "the nodes are a, b",
    ),
    "wires: and a chain": (
        HEAD + "pipeline: [trivial.scorer]\nnodes: {a: trivial.scorer}",
        "4:1",
        "pipeline and nodes are both given",
        "keep one",
    ),
    "wires: cycle": (
        HEAD + "pipeline: {nodes: {a: trivial.gate, b: trivial.tap}, edges: [[a, b], [b, a]]}",
        "3:23",
        "the stages form a cycle: a (trivial.gate) -> b (trivial.tap) -> a (trivial.gate)",
        "take one edge out",
    ),
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_error_with_a_place(text, place, what, fix):
    with pytest.raises(PenstockError) as caught:
        load(text)
    assert caught.value.where == (f"<text>:{place}" if place else "<text>")
    assert what in caught.value.what
    assert fix in (caught.value.fix or "")
    assert "\n" not in caught.value.what
