"""The draft lengths that are worth most: expected tokens for each second of the next step."""

from collections.abc import Sequence

from penstock.library.pacing.acceptance import Belief, tokens_of

MARGIN = 1.1
"""By what factor drafting must beat a plain step."""


def best(
    beliefs: Sequence[Belief], seconds: Sequence[float], *, by_row: bool = False, margin: float = MARGIN
) -> tuple[int, ...]:
    """The most valuable lengths, by row: all are tried, for time may go up in stairs; the shortest wins ties.

    ``seconds[k]``: what a step takes whose longest draft has k tokens.
    """
    longest = len(seconds) - 1
    if by_row:
        choices = [shared_out(length, beliefs, longest) for length in range(longest + 1)]
    else:
        choices = [(length,) * len(beliefs) for length in range(longest + 1)]
    tables = [belief.tokens(longest) for belief in beliefs]
    worth = [tokens_of(tables, lengths) / seconds[max(lengths)] for lengths in choices]
    worth[0] *= margin
    return choices[worth.index(max(worth))]


def shared_out(length: int, beliefs: Sequence[Belief], longest: int) -> tuple[int, ...]:
    """As many tokens as ``length`` a row makes, one by one to the row whose share, by acceptance, is the least used up.

    Nobody gets more than ``longest``, which leaves more to the others, or none where anybody has any: all stay known.
    """
    shares = [max(belief.alpha * belief.proposes, 1e-9) for belief in beliefs]
    given = [min(length, 1)] * len(beliefs)
    for _ in range(length * len(beliefs) - sum(given)):
        below = [row for row, count in enumerate(given) if count < longest]
        given[min(below, key=lambda row: (given[row] + 1) / shares[row])] += 1
    return tuple(given)
