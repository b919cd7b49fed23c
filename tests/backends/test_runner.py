"""The decode loop: prefill in chunks, request parameters by row, keys, and noise that is read once."""

from collections import Counter

import pytest
import torch

from penstock.backends.eager import race as host_race, walk as host_walk
from penstock.backends.eager.lower import lower
from penstock.backends.runtime import prefill as prefilling
from penstock.backends.runtime.runner import Decoder, Request, read
from penstock.backends.runtime.table import TableModel
from penstock.dsl.param import param
from penstock.dsl.pipeline import Pipeline
from penstock.face import compile
from penstock.ir import noise
from penstock.ir.ops import random as random_ops
from penstock.library import ModelDrafter, ModelVerifier, Temperature
from penstock.traced import traced

MODELS = {"t": "table:7:1:2", "d": "table:7:2"}


def decoder(*stages, seed: int = 0) -> Decoder:
    step = traced(Pipeline(models=MODELS, stages=(ModelDrafter(model="d", length=3, paths=2), ModelVerifier(model="t"), *stages)))
    return Decoder(step, {"t": TableModel(7, 1, 2), "draft:d": TableModel(7, 2)}, lower(step), seed)


def request(prompt: list[int], limit: int = 10, **rest) -> Request:
    return Request({"t": prompt, "draft:d": prompt}, limit, **rest)


def test_a_long_prompt_is_prefilled_in_chunks_and_decodes_the_same(monkeypatch):
    prompts = [[i % 7 for i in range(n)] for n in (301, 40, 5)]
    chunked = decoder(Temperature(value=0.8)).start([request(p) for p in prompts])
    assert chunked["view:t"].cached.tolist() == [256, 0, 0]  # two chunks of 128; the rest enters with the first step
    whole = decoder(Temperature(value=0.8))
    monkeypatch.setattr(prefilling.prefill, "__defaults__", (1000,))
    assert read(decoder(Temperature(value=0.8)).generate(chunked)) == whole.decode([request(p) for p in prompts])


def test_request_parameters_are_each_rows_own():
    pipeline = Pipeline(
        models=MODELS,
        stages=(ModelDrafter(model="d"), ModelVerifier(model="t"), Temperature(value=param("temperature", default=0.7))),
    )
    compiled = compile(pipeline)
    prompts = ["1 2", "3", "4 4"]
    mixed = compiled.generate(prompts, max_new_tokens=20, params={"temperature": [0.0, 0.7, 2.0]})
    for i, value in enumerate((0.0, 0.7, 2.0)):
        assert mixed[i] == compiled.generate([prompts[i]], max_new_tokens=20, params={"temperature": value})[0]
    fixed = Pipeline(models=MODELS, stages=(ModelDrafter(model="d"), ModelVerifier(model="t"), Temperature(value=0)))
    assert mixed[0].tokens == compile(fixed).generate(["1 2"], max_new_tokens=20)[0].tokens


def test_the_callers_key_decides_the_noise_wherever_the_row_stands():
    d = decoder(Temperature(value=0.9))
    first = d.decode([request([1, 2], key=5), request([3], key=6)])
    second = d.decode([request([4, 4, 4]), request([3], key=6), request([1, 2], key=5)])
    assert first[0] == second[2] and first[1] == second[1]
    assert d.decode([request([1, 2], key=7)])[0] != first[0]


def test_seed_prompt_and_occurrence_make_the_key_of_a_request_that_brings_none():
    d, other = decoder(seed=1), decoder(seed=2)
    keys = d.start([request([1]), request([1]), request([2])])["seq"].key.tolist()
    assert len(set(keys)) == 3
    assert keys == d.start([request([1]), request([1]), request([2])])["seq"].key.tolist()
    assert not set(keys) & set(other.start([request([1]), request([2])])["seq"].key.tolist())


@pytest.mark.parametrize("rule", ["auto", "match"])
def test_no_address_is_read_twice_on_the_host(rule, monkeypatch):
    """What `enumerate` enforces in every world holds for the kernels too: coins, selections and draft draws of one request."""
    seen: Counter[int] = Counter()

    def recording_words(key, stage, purpose, coordinates):
        words = noise.addresses(key, stage, purpose, coordinates)
        seen.update(int(w) for w in words)
        return words

    def recording_word(key, stage, purpose, coordinates):
        seen.update([noise.address(key, stage, purpose, coordinates)])
        return noise.address(key, stage, purpose, coordinates)

    for module in (host_walk, host_race, random_ops):
        for name, spy in (("addresses", recording_words), ("address", recording_word)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, spy)
    step = traced(
        Pipeline(models=MODELS, stages=(ModelDrafter(model="d", length=2, paths=2), ModelVerifier(model="t", rule=rule)))
    )
    Decoder(step, {"t": TableModel(7, 1, 2), "draft:d": TableModel(7, 2)}, lower(step)).decode([request([1, 2], 24)])
    assert len(seen) > 40 and set(seen.values()) == {1}


def test_rows_finish_at_their_own_limits_and_stay_as_they_were():
    d = decoder(Temperature(value=0.8))
    results = d.decode([request([1], 3), request([2], 17), request([3], 8)])
    assert [len(r.tokens) for r in results] == [3, 17, 8]
    assert results[0] == d.decode([request([1], 3)])[0]
    assert torch.equal(torch.tensor(results[2].tokens), torch.tensor(d.decode([request([3], 8)])[0].tokens))
