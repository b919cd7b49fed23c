"""Small modules by forms that ask torch less often and say the same, bit by bit.

In a small model a norm, an embedding of positions or a gate takes as long as torch is asked to do things, and there are several a
layer. A form is for modules that have what it reads; it is taken where it repeats an answer of the module's own, so a module that
means something else by the same names keeps its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from penstock.backends.runtime.hf.attention import CURRENT

TABLED = 4096
"""Positions whose embedding is kept."""
STEADY = "default", "linear", "llama3", "yarn"
"""Kinds of rotary embeddings that do not change with the text."""

Forward = Callable[..., Any]


def norm(module: Any) -> Forward:
    """``x / sqrt(mean x^2 + eps) * weight`` (RMSNorm, Zhang and Sennrich, arXiv 1910.07467), in float32."""
    own, epsilon = module.forward, module.variance_epsilon

    def forward(x: Tensor) -> Tensor:
        if x.dtype != torch.float32 or torch.is_grad_enabled():
            return own(x)  # type: ignore[no-any-return]
        return module.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon))  # type: ignore[no-any-return]

    return forward


def rotary(module: Any) -> Forward:
    """``(cos, sin)`` of positions ``[b,n]``, looked up (RoPE, Su et al., arXiv 2104.09864)."""
    own = module.forward
    everywhere = torch.arange(TABLED, device=module.inv_freq.device)[None]
    cosines, sines = (table[0].contiguous() for table in own(torch.zeros((), device=everywhere.device), everywhere))

    def forward(x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        traced = (call := CURRENT.get()) is not None and call.instead is not None or torch.compiler.is_compiling()
        if traced or x.dtype != torch.float32 or position_ids.dim() != 2 or position_ids.max() >= TABLED:
            return own(x, position_ids)  # type: ignore[no-any-return]
        return torch.embedding(cosines, position_ids), torch.embedding(sines, position_ids)

    return forward


@dataclass(frozen=True)
class Form:
    """A way to put modules, those that it may be for, and what one is tried on."""

    of: Callable[[Any], Forward]
    reads: tuple[str, ...]
    further: tuple[str, ...]
    """What a module's forward takes after its columns: one that may be told more could mean more."""
    fits: Callable[[Any], bool]
    trial: Callable[[Any], tuple[Tensor, ...]]

    def repeats(self, module: Any) -> bool:
        """Whether the module says the same by it."""
        if not all(hasattr(module, name) for name in self.reads) or not self.fits(module):
            return False
        if tuple(signature(module.forward).parameters)[1:] != self.further:
            return False
        given = self.trial(module)
        try:
            pairs = zip(flat(module.forward(*given)), flat(self.of(module)(*given)), strict=True)
            return all(torch.equal(own, formed) for own, formed in pairs)
        except Exception:  # it answers, or asks, in a way of its own
            return False


def columns(module: Any) -> tuple[Tensor]:
    """Some that a norm may be given, with outliers."""
    drawn = torch.randn(2, 3, len(module.weight), generator=torch.Generator().manual_seed(0))
    return (drawn * torch.tensor([1e-3, 1.0, 40.0])[:, None],)


def positions(module: Any) -> tuple[Tensor, Tensor]:
    """Near and far ones."""
    return torch.zeros(2, 3, 1), torch.tensor([[0, 1, 77], [TABLED - 1, 1000, 3]])


FORMS = (
    Form(norm, ("weight", "variance_epsilon"), (), lambda module: module.weight.dim() == 1, columns),
    Form(rotary, ("inv_freq", "rope_type"), ("position_ids",), lambda module: module.rope_type in STEADY, positions),
)


def flat(answer: Any) -> tuple[Tensor, ...]:
    """The tensors of an answer."""
    return answer if isinstance(answer, tuple) else (answer,)


@torch.no_grad()
def lean(model: Any) -> Any:
    """The model, its modules by lean forms where there are any; on the CPU and in float32 alone."""
    if model.dtype == torch.float32 and model.device.type == "cpu":
        for module in model.modules():
            form = next((form for form in FORMS if form.repeats(module)), None)
            if form is not None:
                module.forward = form.of(module)
    return model
