"""Every example is a spec that checks, explains itself, runs, and is proven."""

from pathlib import Path

import pytest

import penstock

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_runs_and_is_proven(path):
    pipeline = penstock.load(path)
    assert penstock.load(penstock.dump(pipeline)).stages == pipeline.stages
    assert "guarantee:" in penstock.explain(pipeline)
    results = penstock.run(pipeline)
    assert all(0 < len(r.tokens) <= pipeline.generate.max_new_tokens for r in results)
    certificate = penstock.certify(pipeline)
    assert certificate.holds, certificate.report()
