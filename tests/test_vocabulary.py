"""Tokens that a stage names must be tokens, and logits beyond the tokenizer's ids are padding."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from penstock.dsl.pipeline import Pipeline, View
from penstock.dsl.spec import load
from penstock.face import check, run
from penstock.ir.errors import PenstockError
from penstock.library import (
    Ambedkar,
    Ban,
    Bias,
    Force,
    HiddenThought,
    MinLength,
    ModelDrafter,
    ModelVerifier,
    Pause,
    PromptTokens,
    Temperature,
    TopK,
    TopKTree,
    ToyGrammar,
)
from penstock.library.zoo import tokenizer_path
from penstock.resolve import one_vocabulary

MODELS = {"t": "table:7:1", "d": "table:7:2"}
VERIFIER = ModelVerifier(model="t")
BEYOND = {
    "at: there is no token 7": (VERIFIER, Pause(at=(2, 7))),
    "marker: there is no token 9": (HiddenThought(model="t", helper="d", marker=9),),
    "exempt: there is no token 8": (VERIFIER, Ambedkar(model="d", view="x", exempt=(8,))),
    "candidates: there is no token 7": (PromptTokens(view="t", distances=1, candidates=((7,),)), VERIFIER),
    "table: row 0 has 6 entries, not one a token": (VERIFIER, ToyGrammar.over(6)),
    "tokens: there is no token 7": (VERIFIER, Ban(tokens=(2, 7))),
    "sequences: there is no token 8": (VERIFIER, Bias(tokens=((2, 200.0),), sequences=(((1, 8, 2), 9.0),))),
    "eos: there is no token 9": (VERIFIER, MinLength(length=200, eos=(9,))),
    "token: there is no token 10": (VERIFIER, Force(token=10, at=50)),
    "branching: asks for 8 different tokens": (TopKTree(model="d", branching=(2, 8)), VERIFIER),
}


@pytest.mark.parametrize("message", BEYOND)
def test_what_the_vocabulary_has_not_is_refused_by_field(message):
    views = {"x": View(model="d")} if "exempt" in message else {}
    with pytest.raises(PenstockError, match=message):
        check(Pipeline(models=MODELS, views=views, stages=BEYOND[message]))


def test_the_place_in_the_spec_is_named():
    spec = 'penstock: 1\nmodels: {t: "table:7:1"}\npipeline:\n  - verifier.model: {model: t}\n  - control.pause: {at: [3, 9]}\n'
    with pytest.raises(PenstockError, match=r"<text>:5:25: stage control.pause, field at: there is no token 9\n.*ids 0 to 6"):
        check(load(spec))


def test_as_many_as_there_are_and_a_cut_beyond_them_are_fine():
    tree = TopKTree(model="d", branching=(7,))
    (result,) = run(Pipeline(models=MODELS, stages=(tree, VERIFIER, TopK(k=50))), ["1"], max_new_tokens=8)
    assert len(result.tokens) == 8


@pytest.fixture(scope="module")
def padded(tmp_path_factory):
    """A random model with more logits than its tokenizer, the zoo's, has tokens."""
    folder = tmp_path_factory.mktemp("padded")
    sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=4160, eos_token_id=0, **sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_path()).save_pretrained(folder)
    return folder


def test_a_pair_that_differs_only_in_padding_is_checked_and_runs(padded):
    stages = (ModelDrafter(model="d", length=2), ModelVerifier(model="t"), Temperature(value=2.0))
    pipeline = Pipeline(models={"t": str(padded), "d": "zoo:drafter-small"}, stages=stages)
    check(pipeline)
    (result,) = run(pipeline, ["Once"], max_new_tokens=24)
    assert max(result.tokens) < 4096


def test_a_hub_model_stands_beside_a_local_one(padded):
    stages = (ModelDrafter(model="d", length=2), ModelVerifier(model="t"), Temperature(value=2.0))
    check(Pipeline(models={"t": "hf:some/model", "d": "zoo:drafter-small"}, stages=stages))
    check(Pipeline(models={"t": "hf:some/model", "d": "hf:some/other"}, stages=stages))
    check(Pipeline(models={"t": "hf:some/model", "d": "hf:some/other"}, stages=(HiddenThought(model="t", helper="d", marker=1),)))
    check(Pipeline(models={"t": "hf:some/model", "d": "zoo:target"}, stages=(HiddenThought(model="t", helper="d", marker=1),)))


class Spelt:
    """A tokenizer whose tokens are known in bytes, or only as it spells them."""

    def __init__(self, tokens, pieces=None):
        self.tokenizer, self._pieces = self, pieces
        self.get_vocab = lambda: {token: i for i, token in enumerate(tokens)}

    @property
    def pieces(self):
        if self._pieces is None:
            raise PenstockError("the bytes of its tokens are not known")
        return self._pieces


def test_vocabularies_are_compared_by_bytes_on_their_common_range():
    level = Spelt(["a", "\u0120b", "c"], [b"a", b" b", b"c"])
    meta = Spelt(["a", "\u2581b", "c", "d"], [b"a", b" b", b"c", b"d"])
    one_vocabulary({"t": level, "d": meta, "e": level})
    other = Spelt(["a", "b", "c"], [b"a", b"b", b"c"])
    with pytest.raises(PenstockError, match="models t and d have different vocabularies: token 1 is b' b' and b'b'"):
        one_vocabulary({"t": level, "d": other})
    unknown = Spelt(["a", "b", "x"])
    with pytest.raises(PenstockError, match="token 2 is 'c' and 'x'"):
        one_vocabulary({"t": other, "d": unknown})
