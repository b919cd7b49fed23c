"""Every architecture through the public pipeline, in a ragged batch, against its own ``generate`` row by row; or refused."""

from pathlib import Path

import pytest
import torch
from architectures import ARCHITECTURES
from tiny_shapes import VOCAB
from transformers import AttentionInterface, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import eager_attention_forward

from penstock import PenstockError
from penstock.backends.runtime import configuration
from penstock.backends.runtime.hf import attention, load, text, wrapped
from penstock.dsl.models import FolderModel
from penstock.dsl.pipeline import Pipeline
from penstock.face import check, compile
from penstock.library import ModelDrafter, ModelVerifier, Temperature, TopKTree
from penstock.resolve import facts

tokenizers = pytest.importorskip("tokenizers")

PROMPTS = [list(range(1, 6)), list(range(11, 20)), list(range(30, 42))]  # the longer two beyond the windows
NEW, TIE = 16, 1e-5
DRAFTERS = {"chain": ModelDrafter(model="d", length=3), "tree": TopKTree(model="d", branching=(2, 1))}
BY_TREE = [a for a in ARCHITECTURES if a.driven in ("attention", "mask")]
FORWARD = [a for a in ARCHITECTURES if a.driven == "state"]
REFUSED = [a for a in ARCHITECTURES if a.driven == "refused"]


def params(architectures, *, full=False):
    return [pytest.param(a, id=a.title, marks=pytest.mark.full if full or a.extra else []) for a in architectures]


def words() -> PreTrainedTokenizerFast:
    """A tokenizer whose text of a token is its number."""
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel({str(i): i for i in range(VOCAB)}, unk_token="0"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=raw)


class Case:
    """An architecture's target and draft model in folders, and what transformers makes of the prompts."""

    def __init__(self, architecture, place: Path) -> None:
        target, draft = architecture.model(), architecture.model(noise=0.18)
        for name, model in (("t", target), ("d", draft)):
            model.save_pretrained(place / name)
            words().save_pretrained(place / name)
        self.models = {name: str(place / name) for name in ("t", "d")}
        # By the loaded tokenizer: some model types are given one of transformers' own, which splits numbers.
        self.right = [generated(target, text(self.models["t"]).encode(said(prompt))) for prompt in PROMPTS]

        assert len({token for tokens, _ in self.right for token in tokens}) > 5, "texts that a broken model would not repeat"

    def run(self, *drafter):
        """Each row's tokens, compared up to its first tie, and how many forwards of the target they took."""
        stages = (*drafter, ModelVerifier(model="t"), Temperature(value=0))
        models = self.models if drafter else {"t": self.models["t"]}
        runner = compile(Pipeline(models=models, stages=stages))
        results = runner.generate([said(prompt) for prompt in PROMPTS], max_new_tokens=NEW)
        for result, (tokens, margins) in zip(results, self.right, strict=True):
            sure = next((i for i, margin in enumerate(margins) if margin <= TIE), NEW)
            assert result.tokens[:sure] == tokens[:sure] and sure >= NEW // 2
        return [result.stats.target_forwards for result in results]


def said(tokens):
    return " ".join(map(str, tokens))


def generated(model, prompt):
    """What ``generate`` appends, and by how much each token led the second."""
    ids = torch.tensor([prompt])
    options = dict(do_sample=False, max_new_tokens=NEW, pad_token_id=0, output_logits=True, return_dict_in_generate=True)
    out = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    best = torch.cat(out.logits).topk(2).values
    return out.sequences[0, len(prompt) :].tolist(), (best[:, 0] - best[:, 1]).tolist()


@pytest.fixture(scope="module")
def case(request, tmp_path_factory):
    return Case(request.param, tmp_path_factory.mktemp("architecture"))


@pytest.mark.parametrize("case", params(BY_TREE, full=True) + params(FORWARD), indirect=True)
def test_plain_decoding_is_that_of_generate(case):
    assert case.run() == [NEW] * len(PROMPTS)


@pytest.mark.parametrize("draft", DRAFTERS)
@pytest.mark.parametrize("case", params(BY_TREE), indirect=True)
def test_drafts_change_no_token(case, draft):
    forwards = case.run(DRAFTERS[draft])
    fewest = -(-NEW // {"chain": 4, "tree": 3}[draft])
    assert min(forwards) < NEW and max(forwards) > fewest, "some drafts were taken, others not"


@pytest.mark.parametrize("case", params(FORWARD), indirect=True)
def test_a_draft_for_a_model_that_takes_nothing_back_is_refused_naming_both(case):
    pipeline = Pipeline(models=case.models, stages=(DRAFTERS["chain"], ModelVerifier(model="t")))
    with pytest.raises(PenstockError, match=r"stage drafter.model.0 has .* read tokens that may be taken back"):
        check(pipeline)


@pytest.mark.parametrize("case", params(BY_TREE + FORWARD), indirect=True)
def test_a_configuration_says_what_the_loaded_model_can_do(case):
    """But for windows, where it may promise a canvas that the model then refuses: some types have one against their word."""
    said, can = facts(FolderModel(Path(case.models["t"]))).capabilities, load(case.models["t"]).capabilities
    decided = {"tree", "embeds", "layers", "hidden"}
    assert said & decided == can & decided and said >= can - {"window"}


@pytest.mark.parametrize("architecture", params(REFUSED))
def test_what_cannot_be_driven_is_refused_with_the_reason(architecture):
    with pytest.raises(PenstockError, match=architecture.trait) as refusal:
        wrapped(architecture.model(), "org/odd-one")
    assert refusal.value.where == "org/odd-one" and refusal.value.fix


@pytest.mark.parametrize("title", ["GPT-Neo", "Bloom"])
def test_a_model_that_is_driven_in_the_wrong_way_is_found_out(title, monkeypatch):
    """As if its type were believed to attend by positions, or its biases went by slot."""
    architecture = next(a for a in ARCHITECTURES if a.title == title)
    monkeypatch.setattr(attention, "corrections", lambda call, dtype: torch.zeros((), dtype=dtype))
    monkeypatch.setattr(configuration, "MASK_ALONE", {"gpt_neo", "bloom"})
    with pytest.raises(PenstockError, match="goes on otherwise than it reads a text"):
        wrapped(architecture.model(), title)


def test_a_model_that_attends_by_another_function_is_refused(monkeypatch):
    monkeypatch.setitem(AttentionInterface._global_mapping, attention.NAME, eager_attention_forward)
    with pytest.raises(PenstockError, match="attends by another function than the one that it was given"):
        wrapped(ARCHITECTURES[0].model(), "org/deaf")


def test_the_page_shows_this_table():
    page = (Path(__file__).resolve().parents[2] / "docs" / "architectures.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    first = lines.index("| --- | --- | --- | --- | --- | --- | --- |") + 1
    assert lines[first : lines.index("", first)] == [architecture.row() for architecture in ARCHITECTURES]
