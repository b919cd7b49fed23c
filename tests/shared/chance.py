"""Whether counts could come from a law: chi-square, rare cells pooled."""

import math


def excess(counts, law):
    """The chi-square statistic as a standard normal (Wilson-Hilferty); above 3.7 happens by chance once in 10,000 seeds."""
    n, cells, pooled = sum(counts.values()), [], [0.0, 0.0]
    if any(count and not law.get(key) for key, count in counts.items()):
        return math.inf
    for key, p in law.items():
        if n * p >= 10:
            cells.append((counts.get(key, 0), n * p))
        else:
            pooled = [pooled[0] + counts.get(key, 0), pooled[1] + n * p]
    cells += [pooled] if pooled[1] >= 5 else []
    freedom = len(cells) - 1
    statistic = sum((seen - expected) ** 2 / expected for seen, expected in cells)
    return ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
