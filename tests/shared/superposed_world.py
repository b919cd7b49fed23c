"""Superposed decoding in a small world, and the same by hand: lists, counts and forwards from scratch."""

import math

import pytest
import torch
from superposed import NGrams, Superposed

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.frontier import hypotheses
from penstock.passes.build import build
from penstock.passes.order import elaborate

V = 6
PROMPTS = ([1], [2, 0, 1, 4], [0, 2])
CORPUS = [[int(t) for t in torch.randint(V, (60,), generator=torch.Generator().manual_seed(seed))] for seed in range(4)]
TABLE = NGrams(CORPUS, {2: 0.2, 3: 0.3, 4: 0.5})
SPD = Superposed(model="m", width=3, keep=5, tau=0.7, alpha=0.4, penalty=3.0, table=TABLE)


def markov(seed=1, vocab=V):
    """A model of the last token alone."""
    model = TableModel(vocab, seed)
    model.tables = model.tables[:, :, :1].expand(-1, -1, vocab + 1, -1).contiguous()
    return model


def decode(stages, model, prompts=PROMPTS, limit=6, eos=(), run=lower, traced=None):
    """Best texts with scores by row, and the last state."""
    plan = elaborate(stages)
    step = build(plan, {"m": traced or model}, eos=eos)
    decoder = Decoder(step, {"m": model}, run(step))
    state = decoder.generate(decoder.start([Request({"m": prompt}, limit, key) for key, prompt in enumerate(prompts)]))
    return hypotheses(state["seq"]), state


def texts(found):
    return [[text for text, _ in row] for row in found]


def same(a, b):
    assert texts(a) == texts(b)
    for row, other in zip(a, b, strict=True):
        assert [s for _, s in row] == pytest.approx([s for _, s in other], abs=1e-9)


def shares(context, token):
    """The definition of the n-gram share, by counting."""
    total = 0.0
    for n, share in TABLE.shares.items():
        before = context[len(context) - n + 1 :]
        windows = [text[i : i + n] for text in CORPUS for i in range(len(text) - n + 1)]
        seen = sum(w[:-1] == before for w in windows) if len(context) >= n - 1 else 0
        total += share * sum(w == [*before, token] for w in windows) / seen if seen else 0.0
    return total


def likely(stage, text, log_p):
    """``log p_f`` of the candidates after one hypothesis."""
    if not stage.table:
        return log_p
    share = {v: shares(text, v) for v in log_p}
    if not any(share.values()):
        return {v: (1 - stage.alpha) * p - stage.penalty for v, p in log_p.items()}
    logs = {v: math.log(s) if s else -math.inf for v, s in share.items()}
    return {v: (1 - stage.alpha) * p + stage.alpha * logs[v] for v, p in log_p.items()}


def by_hand(stage, model, prompt, limit, eos=(), shape=lambda text, log_f: log_f):
    """The card's algorithm for one prompt, with lists and a forward from scratch."""
    alive, ended, vectors = [([], 0.0)], [], list(model.embed(torch.tensor(prompt)))
    while len(alive[0][0]) < limit:
        logits = (model.from_scratch(torch.stack(vectors))[-1] / stage.tau).tolist()
        kept = sorted(range(len(logits)), key=lambda v: (-logits[v], v))[: stage.keep]
        norm = math.log(sum(math.exp(logits[v]) for v in kept))
        pool = []
        for text, score in alive:
            log_f = shape([*prompt, *text], likely(stage, [*prompt, *text], {v: logits[v] - norm for v in kept}))
            pool += [([*text, v], score + value) for v, value in log_f.items()]
        pool = sorted(pool, key=lambda each: -each[1])[: 2 * stage.width]
        ended += [each for each in pool if each[0][-1] in eos]
        alive = [each for each in pool if each[0][-1] not in eos and each[1] > -math.inf][: stage.width]
        if not alive:
            break
        total = sum(math.exp(s - alive[0][1]) for _, s in alive)
        vectors.append(sum(math.exp(s - alive[0][1]) / total * model.embed(torch.tensor(t[-1])) for t, s in alive))
    return sorted(ended + alive, key=lambda each: -each[1] / len(each[0]))[: stage.width]
