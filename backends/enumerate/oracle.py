"""The text oracle: a pipeline's reference by recursion over texts - site functions and automata, no cache, sites or graph."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.backends.enumerate.law import Law
from penstock.ir.roles import Composer
from penstock.passes.plan import Plan


class TextModels:
    """What every view would say after a text, from scratch."""

    def __init__(self, models: Mapping[str, Any], prompts: Mapping[str, Sequence[int]]) -> None:
        self.models, self.prompts = models, prompts

    @property
    def prompt(self) -> list[int]:
        """What every path begins with: the first view's prompt."""
        return list(next(iter(self.prompts.values())))

    def logits(
        self, view: str, text: Sequence[int], inputs: Mapping[int, Tensor] | None = None, layers: int | None = None
    ) -> Tensor:
        """Next-token logits ``[v]`` of a view after its prefix and this suffix.

        ``inputs``: vectors read at suffix positions; ``layers``: as if there were no more.
        """
        model, prompt = self.models[view], self.prompts[view]
        vectors = model.embed(torch.tensor([*prompt, *text]))
        for position, vector in (inputs or {}).items():
            vectors[len(prompt) + position] = vector
        out: Tensor = model.from_scratch(vectors, layers)[-1]
        return out

    def hidden(self, view: str, text: Sequence[int]) -> Tensor:
        """The view's last hidden state ``[w]`` there: a table model's head is the identity."""
        return self.logits(view, text)


def text_law(plan: Plan, texts: TextModels, *, eos: Sequence[int] = (), limit: int) -> Law:
    """Every text with its probability, by the definition of the reference."""
    law: Law = {}
    plan = ending(plan, limit)
    vocab = next(iter(texts.models.values())).vocab
    automata = {p.name: p for p in plan.stages if p.automaton}

    def extend(text: tuple[int, ...], states: dict[str, Any], weight: float) -> None:
        if len(text) == limit or (text and text[-1] in eos) or (text and ended(automata, states)):
            law[text] = law.get(text, 0.0) + weight
            return
        raw = raw_logits(plan, texts, states, text)
        p = shaped(plan, texts, raw, states, text).softmax(-1)
        for token in range(len(p)):
            if p[token] > 0:
                after = {n: automata[n].stage.step(s, torch.tensor(token), raw) for n, s in states.items()}
                extend((*text, token), after, weight * float(p[token]))

    started = {name: p.stage.start(texts.prompt, vocab) for name, p in automata.items()}
    extend((), pytree.tree_map(torch.as_tensor, started), 1.0)
    return law


def ending(plan: Plan, limit: int) -> Plan:
    """The plan, its stages told where a text ends."""
    told = {p.name: replace(p, stage=p.at({}, limit)) for p in plan.stages if p.stage.bounded}
    stages, accepted = (tuple(told.get(p.name, p) for p in each) for each in (plan.stages, plan.accepted))
    return plan.but(stages=stages, accepted=accepted)


def ended(automata: Mapping[str, Any], states: Mapping[str, Any]) -> bool:
    """Whether an automaton that ends rows is at an end."""
    ending = (p for p in automata.values() if p.has("end") and p.stage.status is not None)
    return any(bool(p.stage.end(states[p.name])) for p in ending)


def raw_logits(plan: Plan, texts: TextModels, states: Mapping[str, Any], text: Sequence[int]) -> Tensor:
    """What the scorer would score after a text; one that is not a view's plain logits says so itself."""
    scorer = plan.scorers[-1].stage
    if hasattr(scorer, "text_logits"):
        return scorer.text_logits(texts, text)  # type: ignore[no-any-return]
    view = scorer.view_at(states) if hasattr(scorer, "view_at") else scorer.seat
    return texts.logits(view, text)


def shaped(plan: Plan, texts: TextModels, logits: Tensor, states: Mapping[str, Any], text: Sequence[int]) -> Tensor:
    """The acceptor's logits at one position."""
    for p in plan.accepted:
        if isinstance(p.stage, Composer):
            logits = p.stage.compose_text(logits, texts, text)  # type: ignore[attr-defined]
        elif not p.automaton:
            logits = p.stage.transform(logits)
        elif p.has("read"):
            logits = p.stage.read(states[p.name], logits)
    return logits
