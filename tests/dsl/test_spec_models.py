"""What can be wrong with the models and views of a spec."""

import pytest
from spec_mistakes import HEAD, refused

MISTAKES = {
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
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_error_with_a_place(text, place, what, fix):
    refused(text, place, what, fix)
