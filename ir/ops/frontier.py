"""Ops on a frontier: what its hypotheses end in, how they extend and are pruned, and their mixture as one input."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from penstock.ir.frontier import Frontier
from penstock.ir.op import op
from penstock.ir.ops.forward import text_ids
from penstock.ir.state import EOS, LENGTH, RUNNING, View


@op("state", borrows=1)
def worth(seq: Frontier) -> Float[Tensor, "B K"]:
    """The hypotheses' scores."""
    return seq.scores.clone()


@op("state", borrows=2)
def endings(seq: Frontier, view: View, count: int) -> Int[Tensor, "B K M"]:
    """The last ``count`` tokens of each hypothesis, the view's prefix before them; -1 before the beginning."""
    suffix = (seq.length[:, None] - count + torch.arange(count))[:, None].expand(-1, seq.width, -1)
    own = seq.tokens.gather(2, suffix.clamp(min=0))
    index = view.prefix_length[:, None] + suffix[:, 0]
    before = torch.where(index < 0, -1, text_ids(view, seq, index.clamp(min=0)))
    return torch.where(suffix < 0, before[:, None], own)


@op()
def likeliest(logits: Float[Tensor, "B V"], count: int) -> tuple[Int[Tensor, "B C"], Float[Tensor, "B C"]]:
    """The ``count`` likeliest tokens, lowest id first on ties, and their log-probabilities among themselves."""
    token = logits.sort(dim=-1, descending=True, stable=True).indices[:, :count]
    return token, logits.gather(1, token).double().log_softmax(-1)


@op()
def extensions(
    scores: Float[Tensor, "B K"], log_f: Float[Tensor, "B K C"], token: Int[Tensor, "B C"], count: int
) -> tuple[Int[Tensor, "B M"], Int[Tensor, "B M"], Float[Tensor, "B M"]]:
    """``(parent, token, score)`` of the ``count`` best extensions of any hypothesis, lower hypothesis first on ties."""
    each = log_f.shape[2]
    score, place = (scores[..., None] + log_f).flatten(1).sort(dim=1, descending=True, stable=True)
    parent, which = place[:, :count] // each, place[:, :count] % each
    return parent, token.gather(1, which), score[:, :count]


@op("state", consumes=1, takes_live=True)
def extend(
    seq: Frontier,
    parent: Int[Tensor, "B M"],
    token: Int[Tensor, "B M"],
    score: Float[Tensor, "B M"],
    eos: tuple[int, ...],
    *,
    live: Tensor,
) -> tuple[Frontier, Tensor, Tensor]:
    """The best k extensions, best first, become the hypotheses; those that end join the finished, of which the best k a token
    stay. Also returns ``(parent, token)`` ``[b,k]`` of the new hypotheses.
    """
    k, rows = seq.width, torch.arange(len(live))[:, None]
    ends = torch.isin(token, torch.tensor(eos, dtype=torch.long))
    retire(seq, parent, token, score.masked_fill(~ends, -torch.inf), live)
    first = ends.long().sort(dim=1, stable=True).indices[:, :k]
    parent, token, score = (x.gather(1, first) for x in (parent, token, score.masked_fill(ends, -torch.inf)))
    grown = seq.tokens[rows, parent]
    grown[rows, torch.arange(k), seq.length[:, None]] = token
    seq.tokens = torch.where(live[:, None, None], grown, seq.tokens)
    seq.scores = torch.where(live[:, None], score.to(seq.scores), seq.scores)
    seq.length = seq.length + live
    seq.steps = seq.steps + live
    none = live & ~(seq.scores > -torch.inf).any(1)
    seq.status = torch.where(none, EOS, seq.status)
    seq.status = torch.where(live & (seq.status == RUNNING) & (seq.length >= seq.limit), LENGTH, seq.status)
    return seq, parent, token


def retire(seq: Frontier, parent: Tensor, token: Tensor, score: Tensor, live: Tensor) -> None:
    """Candidates with a score join the finished of live rows; the best k by score a token stay."""
    rows = torch.arange(len(live))[:, None]
    texts = seq.tokens[rows, parent]
    texts[rows, torch.arange(token.shape[1]), seq.length[:, None]] = token
    length = (seq.length[:, None] + 1).expand_as(token)
    scores = torch.cat([seq.finished_scores, score.masked_fill(~live[:, None], -torch.inf).to(seq.finished_scores)], 1)
    lengths, texts = torch.cat([seq.finished_length, length], 1), torch.cat([seq.finished, texts], 1)
    rank = scores / lengths.clamp(min=1)
    best = rank.sort(dim=1, descending=True, stable=True).indices[:, : seq.width]
    seq.finished, seq.finished_length, seq.finished_scores = texts[rows, best], lengths.gather(1, best), scores.gather(1, best)


@op("state", borrows=2)
def mixture(seq: Frontier, view: View) -> Float[Tensor, "B W"]:
    """``sum_i w_i E[last token of hypothesis i]``, w the softmax of the scores: all hypotheses as one input."""
    weights = seq.scores.softmax(-1).nan_to_num()
    last = seq.tokens.gather(2, (seq.length[:, None, None] - 1).clamp(min=0).expand(-1, seq.width, 1))[..., 0]
    vectors = view.model.embed(last)
    return (weights.to(vectors)[..., None] * vectors).sum(1)


@op()
def spread(log_f: Float[Tensor, "B K C"], token: Int[Tensor, "B C"], vocab: int) -> Float[Tensor, "B K V"]:
    """Candidates as logits of the whole vocabulary: -inf elsewhere."""
    where = token[:, None].expand_as(log_f)
    return log_f.new_full((*log_f.shape[:2], vocab), -torch.inf).scatter(2, where, log_f)


@op()
def all_tokens(logits: Float[Tensor, "B K V"]) -> Int[Tensor, "B V"]:
    """Every token id, as candidates."""
    return torch.arange(logits.shape[2]).expand(len(logits), -1)

