"""What tests of backends share."""

from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from penstock.backends.inductor import artefact


@pytest.fixture
def traced(monkeypatch):
    """Regions are traced on tensors, which fails where something asks what a tensor holds, and run as traced."""
    graphs: list[torch.fx.GraphModule] = []

    def built(function: Any, inputs: list[torch.Tensor]) -> Any:
        graphs.append(make_fx(function)(*inputs))
        return graphs[-1]

    monkeypatch.setattr(artefact, "built", built)
    monkeypatch.setattr("penstock.backends.inductor.lower.compiler", lambda: "c++")
    return graphs
