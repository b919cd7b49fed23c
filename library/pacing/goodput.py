"""The draft lengths that are worth most: expected tokens for each second of the next step."""

from collections.abc import Callable, Sequence

from penstock.library.pacing.acceptance import Belief, tokens_of

MARGIN = 1.1
"""By what factor drafting must beat a plain step."""


def best(
    beliefs: Sequence[Belief], seconds: Callable[[int], float], longest: int, *, by_row: bool = False, margin: float = MARGIN
) -> tuple[int, ...]:
    """The most valuable lengths, by row: all of 0 to ``longest`` are tried, for time may go up in stairs.

    ``seconds(k)``: what a step takes whose longest draft has k tokens; the shortest wins ties.
    """
    most, chosen = 0.0, (0,) * len(beliefs)
    for length in range(longest + 1):
        lengths = shared_out(length, beliefs, longest) if by_row else (length,) * len(beliefs)
        worth = tokens_of(beliefs, lengths) / seconds(max(lengths)) * (1 if length else margin)
        if worth > most:
            most, chosen = worth, lengths
    return chosen


def shared_out(length: int, beliefs: Sequence[Belief], longest: int) -> tuple[int, ...]:
    """As many tokens as ``length`` a row makes, one by one to the row whose share, by acceptance, is the least used up.

    Nobody gets more than ``longest``; what that leaves goes to the others.
    """
    shares = [max(belief.alpha * belief.proposes, 1e-9) for belief in beliefs]
    given = [0] * len(beliefs)
    for _ in range(min(length, longest) * len(beliefs)):
        open_ = [row for row, count in enumerate(given) if count < longest]
        given[min(open_, key=lambda row: (given[row] + 1) / shares[row])] += 1
    return tuple(given)
