"""What no row can reach is not scored, wherever nobody but the walk would read it."""

from dataclasses import replace
from typing import Any

import pytest

from penstock.backends.eager.lower import lower
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.ops.lookup import continuation
from penstock.ir.standin import StandIn
from penstock.library import ModelDrafter, ModelVerifier, PromptLookup, Repetition, Temperature
from penstock.library.taps.logprobs import Logprobs
from penstock.passes.build import build
from penstock.passes.order import elaborate

V, K = 7, 4
PROMPTS = ([1, 2, 3, 1], [0, 5], [2, 6, 4, 2, 6])
VERIFIER, LOOKUP = ModelVerifier(model="t"), PromptLookup(length=K, longest=2)


class Watched(TableModel):
    """A model that notes how many columns it was fed, and answers for no more of them than it must."""

    def forward(self, cache: Any, feed: Any) -> Any:
        self.columns = [*getattr(self, "columns", []), feed.ids.shape[1]]
        self.read = [*getattr(self, "read", []), feed.read]
        out = super().forward(cache, feed)
        return out if feed.read is None else replace(out, logits=out.logits[:, -feed.read :])


def decoded(*stages: Any, prompts: Any = PROMPTS, make: Any = lower) -> tuple[list[list[int]], list[int], str]:
    """Tokens of every row, the columns of every forward of the target, and the step's text."""
    model = Watched(V, 1)
    models = {"t": model} | ({"draft:d": TableModel(V, 2)} if isinstance(stages[0], ModelDrafter) else {})
    facts = {view: StandIn(view, V, capabilities=each.capabilities) for view, each in models.items()}
    graph = build(elaborate(stages), facts)
    step = make(graph)
    rows = Decoder(graph, models, step).decode([Request(dict.fromkeys(models, p), 12, key) for key, p in enumerate(prompts)])
    return [row.tokens for row in rows], model.columns, step.__doc__ or ""


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_lookup_is_fed_as_many_nodes_as_it_found(prompt):
    """By the definition of what is found, text after text."""
    (tokens,), columns, text = decoded(LOOKUP, VERIFIER, Temperature(value=0), prompts=[prompt])
    assert "forward_reached" in text
    wanted, said = [], 0
    plain, _, _ = decoded(VERIFIER, Temperature(value=0), prompts=[prompt])
    assert tokens == plain[0]
    while said < len(tokens):
        found = continuation(prompt + tokens[:said], 2, K)
        agreed = next((i for i, token in enumerate(found) if tokens[said : said + i + 1][-1:] != [token]), len(found))
        wanted.append(1 + len(found))
        said += min(agreed + 1, len(tokens) - said)
    assert columns[0] == len(prompt) - 1 + wanted[0] and columns[1:] == wanted[1:]
    assert len(set(wanted)) > 1  # else nothing was left out


@pytest.mark.parametrize("stages", [(Temperature(value=0),), (Temperature(value=0.8),), (Repetition(alpha=1.4),)])
def test_rows_that_find_more_or_less_decode_as_by_the_meaning(stages):
    ours, _, text = decoded(LOOKUP, VERIFIER, *stages)
    assert "forward_reached" in text and ours == decoded(LOOKUP, VERIFIER, *stages, make=interpreted)[0]


KEPT = {
    "a tap reads the model's logits": (LOOKUP, VERIFIER, Logprobs()),
    "a tap reads what is composed": (LOOKUP, VERIFIER, Logprobs(of="composed")),
    "all nodes are valid": (ModelDrafter(model="d"), VERIFIER),
}


@pytest.mark.parametrize("case", KEPT)
def test_where_somebody_else_reads_or_nothing_is_void_all_is_scored(case):
    _, columns, text = decoded(*KEPT[case], prompts=[[0, 5]])
    assert "forward_reached" not in text and set(columns[1:]) <= {1 + K, 2 + K}


def test_of_a_prompt_the_last_column_is_read():
    """Two chunks of prefill, of which nothing is; then the text that is due, of which the root and its nodes are."""
    model, prompt = Watched(V, 1), [n % V for n in range(300)]
    graph = build(elaborate([VERIFIER]), {"t": StandIn("t", V, capabilities=model.capabilities)})
    (row,) = Decoder(graph, {"t": model}, lower(graph)).decode([Request({"t": prompt}, 3, key=1)])
    assert model.columns == [128, 128, 44, 1, 1] and model.read == [1, 1, 1, 1, 1]
    (same,) = Decoder(graph, {"t": TableModel(V, 1)}, interpreted(graph)).decode([Request({"t": prompt}, 3, key=1)])
    assert row.tokens == same.tokens
