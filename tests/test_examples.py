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
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_gives_the_same_tokens_compiled(path):
    pipeline = penstock.load(path)
    eager, inductor = (penstock.compile(pipeline, backend=backend) for backend in ("eager", "inductor"))
    prompts = pipeline.prompts[:3]
    tokens = [[r.tokens for r in runner.generate(prompts, max_new_tokens=24)] for runner in (eager, inductor)]
    assert tokens[0] == tokens[1]
    assert inductor.compiled is not None and not inductor.compiled.refused
    assert ON_HOST.get(path.stem, {}).items() <= inductor.compiled.walks.items()
