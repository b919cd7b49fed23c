"""Word problems of one to three steps, each with a short and a long chain of thought, or answered at once."""

from collections.abc import Callable
from dataclasses import dataclass

from penstock.library.zoo.data import words
from penstock.library.zoo.data.draw import Draw
from penstock.library.zoo.data.example import Example

LARGEST = 99
AT_ONCE, BRIEFLY, STEP_BY_STEP = "Answer at once.", "Think briefly.", "Think step by step."
# Answers without a thought are learnt beside the others, but seldom: most of them are guesses at this size.
STYLES = (STEP_BY_STEP, STEP_BY_STEP, BRIEFLY, BRIEFLY, AT_ONCE)

OPENINGS = (
    "{name} has {a} {items}.",
    "{name} starts the day with {a} {items}.",
    "There are {a} {items} on the table of {name}.",
    "{name} owns {a} {items}.",
    "In the morning {name} counts {a} {items}.",
    "{name} keeps {a} {items} in a drawer.",
    "A bag of {name} holds {a} {items}.",
    "{name} finds {a} {items} at home.",
    "At first {name} has {a} {items}.",
    "On a shelf {name} has put {a} {items}.",
)
QUESTIONS = (
    "How many {items} does {name} have now?",
    "How many {items} are there in the end?",
    "What is the number of {items} now?",
    "How many {items} is that?",
    "Count the {items} of {name}.",
    "How many {items} are left with {name}?",
    "Find the number of {items}.",
    "How many {items} does {name} have in the end?",
    "How many {items} are there now?",
    "With how many {items} does {name} end the day?",
)
GAINS = (
    "{name} buys {b} more.",
    "Then {name} finds {b} more.",
    "{friend} gives {name} {b} more.",
    "{name} gets {b} more from {friend}.",
    "Then {b} more arrive.",
    "{name} picks up {b} more.",
    "{friend} adds {b} more.",
    "{name} wins {b} more.",
    "{name} is sent {b} more.",
    "A parcel brings {b} more.",
)
LOSSES = (
    "{name} gives {b} of them to {friend}.",
    "Then {name} loses {b} of them.",
    "{name} sells {b} of them.",
    "{friend} takes {b} of them.",
    "{name} throws away {b} of them.",
    "Then {b} of them break.",
    "{name} lends {b} of them to {friend}.",
    "{name} uses {b} of them.",
    "{name} sends {b} of them to {friend}.",
    "A thief steals {b} of them.",
)
MULTIPLES = (
    "Then {name} makes it {b} times as many.",
    "The number grows to {b} times as many.",
    "{friend} makes it {b} times as many.",
    "After a week there are {b} times as many.",
    "Soon {name} has {b} times as many.",
    "By noon it is {b} times as many.",
    "A lucky day makes it {b} times as many.",
    "{name} trades them for {b} times as many.",
    "By evening there are {b} times as many.",
    "In a year they become {b} times as many.",
)


@dataclass(frozen=True)
class Operation:
    """A sign, its meaning, how it is told, and how a long thought comments on it."""

    sign: str
    apply: Callable[[int, int], int]
    phrases: tuple[str, ...]
    comment: str

    def partners(self, a: int) -> range:
        """The second operands that keep the result between 0 and ``LARGEST``."""
        return {
            "+": range(1, min(20, LARGEST - a) + 1),
            "-": range(1, min(20, a) + 1),
            "*": range(2, min(5, LARGEST // max(a, 1)) + 1),
        }[self.sign]


OPERATIONS = (
    Operation("+", lambda a, b: a + b, GAINS, "{b} {items} come on top of {a}"),
    Operation("-", lambda a, b: a - b, LOSSES, "{b} {items} are taken from {a}"),
    Operation("*", lambda a, b: a * b, MULTIPLES, "{a} {items} are counted {b} times"),
)


Step = tuple[Operation, int, int, int]


@dataclass(frozen=True)
class Problem:
    """A problem as told, and its steps ``(operation, a, b, result)`` as they are worked out."""

    story: str
    names: dict[str, str]
    steps: tuple[Step, ...]
    template: str

    def equations(self) -> list[str]:
        """Every step alone."""
        return [f"{a} {operation.sign} {b} = {result}" for operation, a, b, result in self.steps]

    def sentences(self) -> list[str]:
        """Every step in a sentence that says where it comes from, between what is given and what is found."""
        first = self.steps[0][1]
        lines = [f"At the start there are {first} {self.names['items']}."]
        for (operation, a, b, _), equation in zip(self.steps, self.equations(), strict=True):
            lines.append(f"Then {operation.comment.format(a=a, b=b, **self.names)}: {equation}.")
        return [*lines, f"So {self.names['name']} has {self.steps[-1][3]} {self.names['items']}."]

    def short_thought(self) -> str:
        """The equations alone."""
        return "; ".join(self.equations())

    def long_thought(self) -> str:
        """The sentences, one after the other."""
        return " ".join(self.sentences())

    def example(self, style: str) -> Example:
        """The same problem thought out at length, briefly or not at all, as ``style``, its system turn, asks."""
        operation, a, b, _ = self.steps[0]
        thought = {STEP_BY_STEP: self.long_thought(), BRIEFLY: self.short_thought(), AT_ONCE: ""}[style]
        pair = (operation.sign, a, b)
        return Example("arithmetic", self.story, str(self.steps[-1][3]), thought, style, self.template, pair)


def problem(draw: Draw) -> Problem:
    """One problem of one to three steps."""
    name, friend = draw.random.sample(words.NAMES, 2)
    names = {"name": name, "friend": friend, "items": draw.one(words.ITEMS)}
    steps = _steps(draw, draw.one((1, 1, 2, 2, 3)))
    opening = draw.template(OPENINGS)
    told = [draw.template(operation.phrases).format(b=b, **names) for operation, _, b, _ in steps]
    story = " ".join([opening.format(a=steps[0][1], **names), *told, draw.template(QUESTIONS).format(**names)])
    return Problem(story, names, steps, opening)


def example(draw: Draw) -> Example:
    """A problem with a long thought, a short one or none."""
    made = problem(draw)
    return made.example(draw.one(STYLES))


def _steps(draw: Draw, count: int) -> tuple[Step, ...]:
    """``count`` steps, each beginning with the result of the one before; the first pair decides the split."""
    operation = draw.one(OPERATIONS)
    smallest, largest = (2, 19) if operation.sign == "*" else (3, 40)
    a, b = draw.first_pair(operation.sign, range(smallest, largest + 1), range(2, 6) if operation.sign == "*" else range(1, 21))
    if operation.sign == "-" and b > a:
        return _steps(draw, count)
    steps = [(operation, a, b, operation.apply(a, b))]
    while len(steps) < count:
        a = steps[-1][3]
        operation = draw.one([each for each in OPERATIONS if len(each.partners(a)) > 0 and a > 0] or OPERATIONS[:1])
        b = draw.right(operation.sign, a, operation.partners(a))
        steps.append((operation, a, b, operation.apply(a, b)))
    return tuple(steps)
