"""Greedy decoding over the adapter, in ragged batches, against ``generate`` of an untouched model row by row."""

import copy
from pathlib import Path

import pytest
import torch
from tiny_models import KINDS, chain, keep, tiny_model, tree
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from penstock.backends.runtime.hf import HuggingFaceModel, load, text

THIRD_PARTY = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
PROMPTS = [list(range(1, 6)), list(range(11, 20)), list(range(30, 42))]
NEW, TIE = 24, 1e-4
DRAFT = [-1, 0, 0, 2, 2]  # the root, a wrong and a right guess, and the same once more below the right one


def generated(model: PreTrainedModel, prompt: list[int], new: int) -> tuple[list[int], list[float]]:
    """What ``generate`` appends, and by how much each token led the second."""
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        do_sample=False,
        max_new_tokens=new,
        min_new_tokens=new,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.stack(out.logits)[:, 0].topk(2).values
    return out.sequences[0, len(prompt) :].tolist(), (best[:, 0] - best[:, 1]).tolist()


def one_by_one(model: HuggingFaceModel, prompts: list[list[int]], new: int) -> list[list[int]]:
    slots = max(map(len, prompts)) + new
    cache, cached, due = model.new_cache(len(prompts), slots), [0] * len(prompts), prompts
    texts = [list(prompt) for prompt in prompts]
    for _ in range(new):
        logits = model.forward(cache, chain(due, cached, slots)).logits
        cached = [n + len(row) for n, row in zip(cached, due, strict=True)]
        due = [[int(row.argmax())] for row in logits[:, -1]]
        texts = [t + d for t, d in zip(texts, due, strict=True)]
    return [t[len(p) :] for t, p in zip(texts, prompts, strict=True)]


def by_trees(
    model: HuggingFaceModel, prompts: list[list[int]], guesses: list[list[int]]
) -> tuple[list[list[int]], int]:
    """Steps that draft from ``guesses``, which row b gets wrong at every (b+2)-th token; also how many steps."""
    new = len(guesses[0])
    slots = max(map(len, prompts)) + new + len(DRAFT)
    cache, texts, calls = model.new_cache(len(prompts), slots), [list(p) for p in prompts], 0
    model.forward(cache, chain([p[:-1] for p in prompts], [0] * len(prompts), slots))
    while min(len(t) - len(p) for t, p in zip(texts, prompts, strict=True)) < new:
        cached = [len(t) - 1 for t in texts]
        drafts = [_draft(b, t, len(t) - len(prompts[b]), guesses[b], model.vocab) for b, t in enumerate(texts)]
        logits = model.forward(cache, tree(drafts, DRAFT, cached, slots)).logits
        walks = [_walk(row, draft) for row, draft in zip(logits, drafts, strict=True)]
        running = [len(t) - len(p) < new for t, p in zip(texts, prompts, strict=True)]
        cache.move(*keep(cached, [w if live else [] for (w, _), live in zip(walks, running, strict=True)], slots))
        texts = [t + w[1] if live else t for t, w, live in zip(texts, walks, running, strict=True)]
        calls += 1
    return [t[len(p) :][:new] for t, p in zip(texts, prompts, strict=True)], calls


def _draft(row: int, text: list[int], done: int, guesses: list[int], vocab: int) -> list[int]:
    first, second = ((guesses[min(i, len(guesses) - 1)] + (i % (row + 2) == 0)) % vocab for i in (done, done + 1))
    return [text[-1], (first + 7) % vocab, first, (second + 7) % vocab, second]


def _walk(logits: Tensor, draft: list[int]) -> tuple[list[int], list[int]]:
    """Nodes kept (the root first), tokens appended."""
    kept, tokens = [0], [int(logits[0].argmax())]
    while (hits := [i for i, p in enumerate(DRAFT) if p == kept[-1] and draft[i] == tokens[-1]]) != []:
        kept.append(hits[0])
        tokens.append(int(logits[hits[0]].argmax()))
    return kept, tokens


def compare(ours: list[list[int]], right: list[tuple[list[int], list[float]]]) -> int:
    """Assert equality up to each row's first near tie; the number of rows that parted there."""
    ties = 0
    for row, (tokens, margins) in zip(ours, right, strict=True):
        parted = next((i for i, (a, b) in enumerate(zip(row, tokens, strict=True)) if a != b), None)
        if parted is not None:
            assert margins[parted] <= TIE, f"token {parted}: {row[parted]} where generate says {tokens[parted]}"
            ties += 1
    return ties


@pytest.mark.parametrize("kind", KINDS)
def test_tiny_models_decode_as_generate_does(kind: str) -> None:
    twin = tiny_model(kind, seed=1)
    model = HuggingFaceModel(copy.deepcopy(twin), kind)
    right = [generated(twin, prompt, NEW) for prompt in PROMPTS]
    assert len({tuple(tokens) for tokens, _ in right}) == 3
    assert compare(one_by_one(model, PROMPTS, NEW), right) == 0
    ours, calls = by_trees(model, PROMPTS, [tokens for tokens, _ in right])
    assert compare(ours, right) == 0
    assert calls < NEW, "drafts were accepted, so slots were moved"


@pytest.mark.parametrize("kind", KINDS)
def test_logits_that_nobody_reads_are_left_out(kind: str) -> None:
    model, slots = HuggingFaceModel(tiny_model(kind), kind), 20
    answers = []
    for read in (None, 2):
        feed = chain([[1, 2, 3, 4, 5], [6, 7, 8, 9]], [0, 0], slots)
        feed.read = read
        answers.append(model.forward(model.new_cache(2, slots), feed).logits)
    assert answers[0].shape[1] == 5 and answers[1].shape[1] == 2
    torch.testing.assert_close(answers[1], answers[0][:, -2:])


def test_a_wrapped_model_still_generates_alone() -> None:
    twin = tiny_model("gemma2", seed=1)
    model = HuggingFaceModel(copy.deepcopy(twin), "gemma2")
    assert generated(model.model, PROMPTS[1], NEW)[0] == generated(twin, PROMPTS[1], NEW)[0]


@pytest.mark.parametrize("name", ["babyllama105-940k", "stories260k"])
def test_third_party_models_decode_as_generate_does(name: str) -> None:
    folder = THIRD_PARTY / name
    if not folder.is_dir():
        pytest.skip("no third-party models beside the repository")
    words = text(str(folder))
    model = load(str(folder), vocab=words.vocab)
    assert model.vocab <= words.vocab
    openings = ("Once upon a time", "The little dog", "One day, Lily and Tom went to the park and saw a")
    prompts = [words.encode(opening) for opening in openings]
    twin = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    right = [generated(twin, prompt, 60) for prompt in prompts]
    ties = compare(one_by_one(model, prompts, 60), right)
    ours, calls = by_trees(model, prompts, [tokens for tokens, _ in right])
    assert ties + compare(ours, right) <= 1
    assert calls < 50
    assert words.decode(prompts[0] + ours[0]).startswith("Once upon a time")
