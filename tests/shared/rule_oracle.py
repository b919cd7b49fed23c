"""What a rule does to the law of its output, exactly: every tuple of children with its probability, coins integrated out."""

from itertools import combinations, permutations, product
from math import prod

import torch


def iid(d, k):
    """Every tuple of k independent draws, with its probability."""
    tuples = list(product(range(len(d)), repeat=k))
    return tuples, [prod(float(d[x]) for x in xs) for xs in tuples]


def distinct(d, k):
    """Every ordered tuple of k draws without replacement (Plackett-Luce), with its probability."""
    tuples = [xs for xs in permutations(range(len(d)), k) if all(d[x] > 0 for x in xs)]
    chance = []
    for xs in tuples:
        left, weight = 1.0, 1.0
        for x in xs:
            weight *= float(d[x]) / left
            left -= float(d[x])
        chance.append(weight)
    return tuples, chance


def settle(rule, t, d, children, collapse=False):
    """``(law [v], accepted)`` of a rule's output over weighted tuples of children; planted: ``collapse`` drops duplicates."""
    xs, left = torch.tensor(children[0]), torch.tensor(children[1], dtype=t.dtype)
    n, k = xs.shape
    there = torch.ones(n, k, dtype=torch.bool)
    if collapse:
        there = torch.stack([(xs[:, :j] != xs[:, j : j + 1]).all(1) for j in range(k)], 1)
    law, state = torch.zeros_like(t), rule.begin(t.expand(n, -1), d.expand(n, -1), there.sum(1))
    for j in range(k):
        p = torch.where(there[:, j], rule.accept(state, xs[:, j]), 0.0)
        law.index_add_(0, xs[:, j], left * p)
        left = left * (1 - p)
        state = rule.reject(state, xs[:, j], there[:, j])
    accepted, rest = float(law.sum()), rule.rest(state)
    return law + (left[:, None] * rest / rest.sum(1, keepdim=True)).sum(0), accepted


def best(t, d, k, replace=True):
    """The most that any coupling can accept: ``1 + min over H of t(H) - P(all children in H)``."""
    value = 1.0
    for size in range(1, len(t) + 1):
        for h in combinations(range(len(t)), size):
            inside = torch.zeros_like(d).index_copy(0, torch.tensor(h), d[list(h)])
            p = (
                float(inside.sum()) ** k
                if replace
                else sum(w for xs, w in zip(*distinct(d, k), strict=True) if set(xs) <= set(h))
            )
            value = min(value, 1 + float(t[list(h)].sum()) - p)
    return value


def near(x, y, tolerance=1e-6):
    return torch.allclose(torch.as_tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64), rtol=0, atol=tolerance)


def distance(a, b):
    return float((a - b).abs().sum()) / 2
