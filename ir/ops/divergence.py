"""How far two distributions are apart, token by token."""

import torch
from jaxtyping import Float
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.logits import precise


@op()
def js_shares(a: Float[Tensor, "*B V"], b: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """``p/2 ln(p/m) + q/2 ln(q/m)`` by token, m = (p+q)/2, of the softmaxes p and q of two logits, in float32 at least.

    Each is at least 0, and 0 where p = q; they add up to the Jensen-Shannon divergence, in nats.
    """
    p, q = (precise(x).softmax(-1) for x in (a, b))
    m = (p + q) / 2
    share = (torch.xlogy(p, p / m) + torch.xlogy(q, q / m)) / 2
    return torch.where(m > 0, share, 0.0)


@op()
def js(a: Float[Tensor, "*B V"], b: Float[Tensor, "*B V"]) -> Float[Tensor, "*B"]:
    """The Jensen-Shannon divergence of two softmaxes, in nats; at most ln 2."""
    return js_shares.meaning(a, b).sum(-1)  # type: ignore[no-any-return]
