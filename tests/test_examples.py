"""Every example is a spec that checks, explains itself, runs, and is proven."""

from pathlib import Path

import pytest

import penstock

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.yaml"))

ON_HOST = {
    "json_schema": {"accept": "on the host: constraint.json_schema.0 is asked on the host, site by site"},
    "sampling": {"accept": "on the host: transform.no_repeat_ngram.0 reads the whole text, which grows"},
}
"""By example, which walk cannot be compiled, and why."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_runs_and_is_proven(path):
    pipeline = penstock.load(path)
    assert penstock.load(penstock.dump(pipeline)).stages == pipeline.stages
    assert "guarantee:" in penstock.explain(pipeline)
    results = penstock.run(pipeline)
    assert all(0 < len(r.tokens) <= pipeline.generate.max_new_tokens for r in results)
    certificate = penstock.certify(pipeline)
    assert certificate.holds, certificate.report()


@pytest.mark.full
@pytest.mark.parametrize("backend", ["inductor", "lockstep"])
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_gives_the_same_tokens_compiled(path, backend):
    pipeline = penstock.load(path)
    eager, compiled = (penstock.compile(pipeline, backend=each) for each in ("eager", backend))
    prompts = pipeline.prompts[:3]
    tokens = [[r.tokens for r in runner.generate(prompts, max_new_tokens=24)] for runner in (eager, compiled)]
    assert tokens[0] == tokens[1]
    assert compiled.compiled is not None and not compiled.compiled.refused
    if backend == "inductor":
        assert ON_HOST.get(path.stem, {}).items() <= compiled.compiled.walks.items()
    else:
        assert set(compiled.compiled.walks.values()) <= {"in lockstep: it is asked for"}
