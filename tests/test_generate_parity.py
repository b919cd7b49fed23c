"""Greedy pipelines against transformers' own `generate`, token for token, on real models; near ties are counted, not hidden."""

from pathlib import Path

import pytest
import torch

from penstock.dsl.pipeline import Pipeline
from penstock.face import compile
from penstock.library import ModelDrafter, ModelVerifier, Temperature

THIRD_PARTY = Path(__file__).resolve().parents[2] / "shared" / "data" / "models"
TIE = 1e-4
STORIES = ["Once upon a time", "Lily and Tom went to the", "The dog was very"]
PAIRS = {
    "zoo": ("zoo:target", "zoo:drafter-small", ["Question: Tom has 12 apples.", "The", "def add(a, b):"]),
    "babyllama": (THIRD_PARTY / "babyllama105-940k", THIRD_PARTY / "draft-tok105-60k", STORIES),
    "stories": (THIRD_PARTY / "stories260k", THIRD_PARTY / "draft-tok512-80k", STORIES),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("paths", [1, 2])
def test_greedy_tokens_are_those_of_generate(pair, paths, record_property):
    target, draft, prompts = PAIRS[pair]
    if isinstance(target, Path) and not target.exists():
        pytest.skip("third-party checkpoints are not here")
    drafter = ModelDrafter(model="d", length=3, paths=paths)
    stages = (drafter, ModelVerifier(model="t"), Temperature(value=0))
    compiled = compile(Pipeline(models={"t": str(target), "d": str(draft)}, stages=stages))
    results = compiled.generate(prompts, max_new_tokens=48)
    model = compiled.decoder.models["t"].model
    ties = sum(ties_before_first_difference(model, compiled.text.encode(r.prompt), r.tokens) for r in results)
    record_property("ties", ties)
    assert sum(len(r.tokens) for r in results) > sum(r.stats.target_forwards for r in results)


def ties_before_first_difference(model, prompt: list[int], tokens: list[int]) -> int:
    """How many near ties the row met; asserts that any first difference is at one."""
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        max_new_tokens=48,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        attention_mask=torch.ones_like(ids),
    )
    expected = out.sequences[0, len(prompt) :].tolist()
    margins = [float(top[0] - top[1]) for top in (step[0].topk(2).values for step in out.logits)]
    first = next((i for i, (a, b) in enumerate(zip(tokens, expected, strict=False)) if a != b), min(len(tokens), len(expected)))
    if tokens != expected:
        assert margins[first] <= TIE, (
            f"at token {first} the margin is {margins[first]:.3g}: {tokens[first]} is not {expected[first]}"
        )
    return sum(margin <= TIE for margin in margins[: first + 1])
