"""What a pipeline on a canvas fills in: it draws nothing, so that every canvas has one text, by the graph and by definition."""

from collections.abc import Sequence
from typing import Any

import torch

from penstock.backends.enumerate.law import Enumerated, Law
from penstock.backends.enumerate.scratch import ForwardCheck
from penstock.backends.enumerate.worlds import Worlds
from penstock.ir.ops.canvas import reveal
from penstock.ir.ports import Denoised
from penstock.ir.rows import State
from penstock.ir.runner import Request
from penstock.ir.state import RUNNING
from penstock.passes.build import StepGraph
from penstock.passes.plan import Plan


def fill_law(step: StepGraph, state: State) -> Enumerated:
    """The canvases that the graph ends in, each with its row before it, so that no two rows can stand for each other."""
    seq: Any = state["seq"]
    share, check = 1 / len(seq.length), ForwardCheck()
    found = Enumerated({}, worlds=len(seq.length))
    while RUNNING in seq.status.tolist():
        worlds = Worlds(torch.ones(len(seq.length)), torch.zeros(len(seq.length), 0, dtype=torch.long), 1, {}, check)
        out = worlds.run(step.graph, [state[name] for name in step.handles])
        state, found.steps = dict(zip(step.handles, out, strict=True)), found.steps + 1
        seq = state["seq"]
    rows = enumerate(zip(seq.tokens.tolist(), seq.length.tolist(), strict=True))
    found.law, found.columns = {(row, *tokens[:n]): share for row, (tokens, n) in rows}, check.columns
    return found


def fill_text(plan: Plan, model: Any, requests: Sequence[Request]) -> Law:
    """The same by definition: one forward from scratch a static step, the unmasker's own choice, no graph, batch or draft."""
    view = next(iter(plan.scorers[0].stage.views()))
    texts = [static(plan, model, list(r.prompts.get(view, ())), list(r.canvas or ())) for r in requests]
    return {(row, *text): 1 / len(texts) for row, text in enumerate(texts)}


def static(plan: Plan, model: Any, prompt: list[int], canvas: list[int]) -> list[int]:
    """One canvas filled step by step."""
    tokens, size = torch.tensor(canvas), plan.scorers[0].stage.block or len(canvas)
    unmasker = plan.acceptor.stage if plan.acceptor else None
    while model.mask in tokens:
        logits = model.from_scratch(model.embed(torch.cat([torch.tensor(prompt, dtype=torch.long), tokens])))[len(prompt) :]
        for p in plan.accepted:
            logits = torch.stack([p.stage.transform(site) for site in logits])
        logits = logits.index_fill(-1, torch.tensor(model.mask), -torch.inf)
        masked = tokens == model.mask
        block = torch.arange(len(tokens)) // size
        open = masked & (block == block[masked].min())
        token, sure = unmasker.predict(logits)  # type: ignore[union-attr]
        chosen = unmasker.propose(Denoised(tokens[None], open[None], token[None], sure[None]))  # type: ignore[union-attr]
        tokens = reveal(tokens[None], chosen.position, chosen.token, chosen.count)[0]
    return tokens.tolist()  # type: ignore[no-any-return]
