"""The process reward model as a scorer of partial texts: ``AStar.run(runner, requests, score=reward.load())``.

``data/judged.py`` says how verdicts are learnt: at every token of a solution, so any partial text has one. `STEP_ENDS` are the
tokens for a search to pause at: there a step is complete, and its verdict is about all of it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from penstock.library.zoo import markers
from penstock.library.zoo.weights import load as load_model

STEP_ENDS = (29, 42)
"""Ids of ``.`` and ``;``. After a thought's last step there is nothing left but the answer, so its end marker is none of them."""


class Reward:
    """How likely a text is right so far, in [0, 1]: of the two verdicts at its last token, the share of the good one."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    def __call__(self, prompt: Sequence[int], texts: Sequence[Sequence[int]]) -> list[float]:
        """One forward for all ``texts``, continuations of one prompt."""
        if not texts:
            return []
        rows = [[*prompt, *text] for text in texts]
        longest = max(map(len, rows))
        # What pads a shorter row stands after its last token, which therefore never sees it.
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self.model.device)
        last = torch.tensor([len(row) - 1 for row in rows], device=self.model.device)
        said: list[float] = self.after_each(ids).gather(1, last[:, None])[:, 0].tolist()
        return said

    @torch.no_grad()
    def after_each(self, ids: Tensor) -> Tensor:
        """The score of every beginning of rows of ids [B T], by its last token: [B T]."""
        both = self.model(ids, use_cache=False).logits[..., list(markers.VERDICTS)]
        good: Tensor = both.float().softmax(-1)[..., 0]
        return good


def load(name: str = "reward") -> Reward:
    """The zoo's reward model, ready to score."""
    return Reward(load_model(name))
