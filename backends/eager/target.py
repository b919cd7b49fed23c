"""What a site's token is selected from: weights of all tokens, or of the candidates that anything can be selected among."""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from penstock.backends.eager.race import winner, winner_among


@dataclass(frozen=True, slots=True)
class Target:
    """Weights ``[k]`` of candidates; every other token weighs nothing."""

    weights: Tensor
    ids: Tensor | None = None
    """int64 ``[k]``, ascending; None where the weights are those of all tokens."""

    def __getitem__(self, token: int) -> float:
        """What one token weighs."""
        if self.ids is None:
            return float(self.weights.numpy()[token])
        ids = self.ids.numpy()
        place = int(np.searchsorted(ids, token))
        return float(self.weights.numpy()[place]) if place < len(ids) and ids[place] == token else 0.0

    def of(self, draft: Tensor) -> Tensor:
        """What a distribution over all tokens ``[v]`` gives the candidates."""
        return draft if self.ids is None else draft[self.ids]

    def leaving(self, weights: Tensor) -> "Target":
        """The same tokens with other weights."""
        return replace(self, weights=weights)

    def winner(self, word: int) -> int:
        """Who wins the race at this address; -1 where nothing weighs anything."""
        place = winner(self.weights, word) if self.ids is None else winner_among(self.weights, self.ids, word)
        if not self.weights.numpy()[place] > 0:  # NaN too
            return -1
        return place if self.ids is None else int(self.ids[place])
