"""AMBEDKAR as its card writes it: Python floats, every branch from scratch."""

import math

from ead_oracle import logits_after


def probabilities(logits):
    top = max(logits)
    weights = [math.exp(x - top) for x in logits]
    return [w / sum(weights) for w in weights]


def share(p, q):
    """The token's own part of the Jensen-Shannon divergence, in nats."""
    m = (p + q) / 2
    return sum(0.5 * x * math.log(x / m) for x in (p, q) if x > 0)


def js(first, second):
    return sum(share(p, q) for p, q in zip(first, second, strict=True))


class Method:
    """``base`` proposes, ``verifier`` judges under prompts x and x'."""

    def __init__(self, base, verifier, x, other, *, alpha, k, after=False):
        self.base, self.verifier, self.x, self.other, self.alpha, self.k, self.after = base, verifier, x, other, alpha, k, after

    def branches(self, text):
        return [probabilities(logits_after(self.verifier, [*prompt, *text])) for prompt in (self.x, self.other)]

    def scored(self, text, temperature=1.0):
        """``{candidate: score}``, the likeliest first."""
        p = probabilities(logits_after(self.base, [*self.x, *text]))
        likeliest = sorted(range(len(p)), key=lambda c: -p[c])[: self.k]
        fair, swapped = self.branches(text)
        moved = {c: js(*self.branches([*text, c])) if self.after else share(fair[c], swapped[c]) for c in likeliest}
        return {c: math.log(p[c]) / temperature - self.alpha * moved[c] for c in likeliest}

    def best(self, limit):
        """The text that argmax selection gives."""
        text = []
        for _ in range(limit):
            scores = self.scored(text)
            text.append(max(scores, key=scores.get))
        return text

    def law(self, limit, temperature=1.0):
        """Every text that sampled selection gives, with its probability."""
        found = {}

        def extend(text, weight):
            if len(text) == limit:
                found[text] = weight
                return
            scores = self.scored(list(text), temperature)
            for token, chance in zip(scores, probabilities(list(scores.values())), strict=True):
                extend((*text, token), weight * chance)

        extend((), 1.0)
        return found
