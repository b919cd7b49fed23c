"""Prompt tokens as declared: sizes of the tree, and what is refused (the method's case is tests/cases/test_ppd.py)."""

from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import save_file

from penstock.dsl.spec import load
from penstock.face import check, run
from penstock.ir.errors import PenstockError
from penstock.ir.ops.probes import chains
from penstock.ir.standin import StandIn
from penstock.library import ModelVerifier, PromptTokens
from penstock.passes.build import build
from penstock.passes.order import elaborate


def test_sizes_of_the_shipped_tree():
    """Vicuna-7B/105: 33 candidates with 72 prompt tokens make an input of 109 rows, root and its 3 prompts included."""
    paths = tuple((r,) for r in range(10)) + tuple((r, s) for r in range(10) for s in range(3))[:23]
    tree = PromptTokens(view="t", candidates=paths, prompts=(3,) * 12 + (2,) * 15 + (1,) * 6)
    assert 1 + tree.room == 109
    assert [len(c) for c in chains(tree.chains(), 33)] == [3, *tree.prompts]


@pytest.mark.parametrize("tree", [(), ((0, 0),), ((0,), (0,)), ((0, 0, 0, 0),), ((),)])
def test_a_tree_without_a_parent_is_refused(tree):
    with pytest.raises(PenstockError, match="candidate"):
        PromptTokens(view="t", candidates=tree)


REFUSED = {
    "which no verifier scores": ("dt", "tree embeds"),
    "no stage scores in the view d": ("t", "tree"),
    "with embeds": ("dt", "tree"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_probes_that_cannot_be_scored_are_refused(said):
    views, can = REFUSED[said]
    facts = {name: StandIn(name, 3, capabilities=frozenset(can.split())) for name in views}
    plan = elaborate([PromptTokens(view="d").small(3), ModelVerifier(model="t")])
    with pytest.raises(PenstockError, match=said):
        build(plan, facts)


SPEC = """\
penstock: 1
models: {t: "table:5:1"}
pipeline:
  - drafter.ppd: {view: t, distances: 2, candidates: [[0], [0, 0]], weights: FILE}
  - verifier.model: {model: t}
"""
FILES = {
    "cannot be read: No such file": None,
    "cannot be read: Error while deserializing header": b"hello",
    "has no tensor prompts, but others": {"others": torch.zeros(2, 5)},
    r"is \[2, 4\], not \[2, 5\]": {"prompts": torch.zeros(2, 4)},
    r"is \[1, 5\], not \[2, 5\]": {"prompts": torch.zeros(1, 5)},
    r"is \[10\], not \[2, 5\]": {"prompts": torch.zeros(10)},
}


def spec(folder, held):
    (folder / "a.yaml").write_text(SPEC.replace("FILE", "trained/w.safetensors"))
    (folder / "trained").mkdir()
    if isinstance(held, bytes):
        (folder / "trained" / "w.safetensors").write_bytes(held)
    elif held is not None:
        save_file(held, folder / "trained" / "w.safetensors")
    return load(folder / "a.yaml")


@pytest.mark.parametrize("message", FILES)
def test_weights_that_are_none_are_one_error_at_their_place(tmp_path, message):
    pipeline = spec(tmp_path, FILES[message])
    with pytest.raises(PenstockError, match=f"stage drafter.ppd, field weights: .*trained/w.safetensors {message}") as caught:
        check(pipeline)
    assert caught.value.where == f"{tmp_path / 'a.yaml'}:4:{SPEC.splitlines()[3].index('FILE') + 1}"


def test_weights_are_looked_for_beside_the_spec(tmp_path):
    pipeline = spec(tmp_path, {"prompts": torch.zeros(3, 5)})
    (result,) = run(pipeline.but(prompts=("1",)), max_new_tokens=8)
    assert len(result.tokens) == 8
    (drafter, _) = pipeline.stages
    assert drafter.here(PromptTokens(view="t")).beside_spec("x") == tmp_path.resolve() / "x"


def test_weights_fit_a_model_whose_width_is_not_known_yet(tmp_path):
    pipeline = spec(tmp_path, {"prompts": torch.zeros(3, 4096)})
    for width, fits in ((0, True), (4096, True), (512, False)):
        facts = {"t": StandIn("t", 5, width=width, capabilities=frozenset({"tree", "embeds"}))}
        with nullcontext() if fits else pytest.raises(PenstockError, match=r"is \[3, 4096\], not \[2, 512\]"):
            build(elaborate(pipeline.stages), facts)
