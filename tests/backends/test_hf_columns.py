"""What a model does to columns by themselves: attention asked back of the call, and what no graph of one shape can say."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penstock.backends.runtime.hf.attention import CURRENT, Call
from penstock.backends.runtime.hf.columns import Noted, Untraceable, columns_of


def test_attention_is_asked_for_the_columns_that_there_are():
    """What is beyond is zeros, and nothing of it is stored."""
    noted, call = Noted(), Call(*[torch.zeros(1, 2)] * 2, torch.ones(1, 2, 2))
    call.cache, call.masks = noted, [torch.zeros(1, 1, 2, 2)]
    token = CURRENT.set(call)
    query, key, value = (torch.randn(2, heads, 5, 4) for heads in (6, 3, 3))
    try:
        out = torch.ops.penstock.attend(query, key, value, None, 1, 0, None, None)
    finally:
        CURRENT.reset(token)
    ((keys, _, layer),) = noted.given.values()
    assert layer == 1 and torch.equal(keys, key[:1, :, 3:]) and out.shape == (2, 5, 6, 4)
    assert not out[1].any() and not out[0, :3].any() and out[0, 3:].any()


class Answering(nn.Module):
    """Stands for a model's forward that does something no graph of one shape can."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def forward(self, call: Any, cache: Any, inputs: dict[str, Tensor]) -> Tensor:
        ids, x = inputs["input_ids"], torch.ones(2, 3, 4)
        if self.fault == "asks":
            return x * 2 if int(ids.sum()) else x
        if self.fault == "counts":
            return x + ids[ids > 1].sum()
        if self.fault in ("key", "value", "mask"):
            key, value = cache.update(torch.ones(2, 1, 3, 4), torch.ones(2, 1, 3, 4), 0)
            call.masks.append(mask := torch.zeros(2, 1, 3, 3))
            given = {"key": key, "value": value, "mask": mask}
            given[self.fault] = given[self.fault] * 2
            return call.instead(key, *given.values(), None, None, None)
        held = ids + 1
        call.rules.append(lambda *at: held)
        return x * ids[..., None]


REASONS = {
    "asks": "data-dependent|value out of a tracing tensor",
    "counts": "aten.index.Tensor depends on what its columns hold",
    **dict.fromkeys(("key", "value", "mask"), "alters keys, values or masks"),
    "holds": "holds tensors of one call",
}


@pytest.mark.parametrize("fault", REASONS)
def test_what_no_graph_of_one_shape_can_say_is_refused(fault):
    with pytest.raises(Untraceable, match=REASONS[fault]):
        columns_of(Answering(fault), 2, 3, torch.device("cpu"))
