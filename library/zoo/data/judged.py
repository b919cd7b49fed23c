"""Worked solutions of word problems, many gone wrong, with a verdict on every beginning: what a process reward model learns from.

The text is a dialogue as every model of the zoo knows it; nothing is inserted. At each token of the solution the model is to
predict, instead of what follows, ``<|good|>`` if all of the solution up to there is right and ``<|bad|>`` if not; nothing else
counts in the loss. So the verdict on a partial text is one forward, and the two markers' logits at its last token. It is asked
for where a step ends, at ``.`` ``;`` ``<|/think|>`` ``<|/answer|>`` or ``<|end|>``; to learn it there alone takes far longer,
since a mistake is one token and the end of its step many tokens later.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from os.path import commonprefix

from penstock.library.zoo import markers
from penstock.library.zoo.data.arithmetic import AT_ONCE, BRIEFLY, LARGEST, OPERATIONS, STYLES, Problem, Step, problem
from penstock.library.zoo.data.document import Part
from penstock.library.zoo.data.draw import Draw

# What the tokenizer never joins with what follows it: a marker, a digit, a word with the space before it.
WORD = re.compile(r"<\|[^|]*\|>|\d| ?[A-Za-z]+| (?=\d)| ?[^\w\s<]+|.")
SPOILT = 2 / 3
"""Share of solutions that go wrong somewhere: half of all verdicts are then good, since what comes before is right."""


@dataclass(frozen=True)
class Judged:
    """A solution in pieces that each end a step, how many of its characters are right, and what went wrong, if anything did."""

    prompt: str
    pieces: tuple[str, ...]
    right: int
    style: str
    error: str = ""

    @property
    def good(self) -> list[bool]:
        """Whether all is right up to the end of each piece."""
        return [len(text) <= self.right for text in accumulate(self.pieces)]

    def parts(self) -> list[Part]:
        """The document, of which nothing but the verdicts counts: good up to the first wrong token, bad from there."""
        text = "".join(self.pieces)
        turn = max((end for end in map(re.Match.end, WORD.finditer(text)) if end <= self.right), default=0)
        told = ((text[:turn], markers.GOOD), (text[turn:], markers.BAD))
        return [Part(self.prompt, 0.0), *(Part(part, 0.0, verdict) for part, verdict in told if part)]


def example(draw: Draw) -> Judged:
    """A problem solved in one of the styles, rightly or with one mistake that the rest follows from."""
    made, style = problem(draw), draw.one(STYLES)
    right = pieces(made, style)
    told, error = right, ""
    if draw.random.random() < SPOILT:
        told, error = spoilt(draw, made, style)
    # There is one way to write a solution, so a text is right as far as it is the right one's beginning.
    common = len(commonprefix(["".join(told), "".join(right)]))
    return Judged(made.example(style).prompt_text(), tuple(told), common, style, error)


def pieces(made: Problem, style: str) -> list[str]:
    """The reply to a problem, cut after every step."""
    closing = [f"{markers.ANSWER}{made.steps[-1][3]}{markers.ANSWER_END}", markers.END]
    if style == AT_ONCE:
        return closing
    if style == BRIEFLY:
        *earlier, last = made.equations()
        lines, end = [*(each + ";" for each in earlier), last + markers.THINK_END], []
    else:
        lines, end = made.sentences(), [markers.THINK_END]
    return [markers.THINK + lines[0], *(" " + line for line in lines[1:]), *end, *closing]


def spoilt(draw: Draw, made: Problem, style: str) -> tuple[list[str], str]:
    """A solution with one mistake, and the mistake's name."""
    while True:
        error = draw.one(tuple(ERRORS))
        steps = ERRORS[error](draw, made.steps)
        if not steps:
            continue
        wrong = pieces(replace(made, steps=steps), style)
        if error != "copied result":
            return wrong, error
        # The steps themselves are right: what is found is copied wrongly into the answer, or into the sentence before it.
        turn = len(wrong) - (2 if style in (AT_ONCE, BRIEFLY) else draw.one((2, 4)))
        return pieces(made, style)[:turn] + wrong[turn:], error


def slip(draw: Draw, number: int) -> int:
    """Another number that is easily taken for this one."""
    turned = int(str(number)[::-1])
    near = {number + by for by in (-10, -2, -1, 1, 2, 10)} | {turned, number - number % 10 + draw.random.randrange(10)}
    return draw.one(sorted(each for each in near - {number} if 0 <= each <= LARGEST))


def worked(start: int, moves: Sequence[Step]) -> tuple[Step, ...]:
    """The operations and partners of ``moves`` worked out from ``start``; nothing where a result leaves the range."""
    steps: list[Step] = []
    for operation, _, b, _ in moves:
        result = operation.apply(start, b)
        if not 0 <= result <= LARGEST:
            return ()
        steps.append((operation, start, b, result))
        start = result
    return tuple(steps)


def _continued(steps: Sequence[Step], at: int, wrong: Step) -> tuple[Step, ...]:
    """``steps`` with ``wrong`` in the place ``at``, and what follows from it; nothing where that leaves the range."""
    rest = worked(wrong[3], steps[at + 1 :])
    return (*steps[:at], wrong, *rest) if len(rest) == len(steps) - at - 1 and 0 <= wrong[3] <= LARGEST else ()


def wrong_result(draw: Draw, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """One step is calculated wrongly."""
    at = draw.random.randrange(len(steps))
    operation, a, b, result = steps[at]
    return _continued(steps, at, (operation, a, b, slip(draw, result)))


def wrong_operand(draw: Draw, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """One number is copied wrongly into a step, or another number of the story is taken."""
    at = draw.random.randrange(len(steps))
    operation, a, b, _ = steps[at]
    told = [steps[0][1], *(step[2] for step in steps)]
    if draw.one((True, False)):
        b = draw.one([each for each in told if each != b] or [slip(draw, b)]) if draw.one((True, False)) else slip(draw, b)
    else:
        a = slip(draw, a)
    return _continued(steps, at, (operation, a, b, operation.apply(a, b)))


def wrong_operation(draw: Draw, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """One step adds, subtracts or multiplies where the story does another of these."""
    at = draw.random.randrange(len(steps))
    operation, a, b, _ = steps[at]
    other = draw.one([each for each in OPERATIONS if each is not operation])
    return _continued(steps, at, (other, a, b, other.apply(a, b)))


def dropped_step(draw: Draw, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """One step is left out."""
    at = draw.random.randrange(len(steps))
    return worked(steps[0][1], [*steps[:at], *steps[at + 1 :]])


def copied_result(draw: Draw, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """What was found is copied wrongly."""
    operation, a, b, result = steps[-1]
    return (*steps[:-1], (operation, a, b, slip(draw, result)))


ERRORS: dict[str, Callable[[Draw, tuple[Step, ...]], tuple[Step, ...]]] = {
    "wrong result": wrong_result,
    "wrong operand": wrong_operand,
    "wrong operation": wrong_operation,
    "dropped step": dropped_step,
    "copied result": copied_result,
}
