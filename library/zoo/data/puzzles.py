"""Puzzles on a short list or a small grid, each with one right answer."""

from collections.abc import Callable

from penstock.library.zoo.data.draw import Draw
from penstock.library.zoo.data.example import Example

FRAMES = (
    "{task}: {data}",
    "Puzzle. {task}: {data}",
    "Please solve. {task}: {data}",
    "Here is a puzzle. {task}: {data}",
    "Try this. {task}: {data}",
    "{task}, please: {data}",
    "Look at this. {task}: {data}",
    "Question. {task}: {data}",
    "Can you do this? {task}: {data}",
    "A small riddle. {task}: {data}",
)


def _row(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))


OF_LIST: dict[str, Callable[[list[int]], str]] = {
    "Sort the list": lambda xs: _row(sorted(xs)),
    "Sort the list from large to small": lambda xs: _row(sorted(xs, reverse=True)),
    "Reverse the list": lambda xs: _row(xs[::-1]),
    "Find the largest number": lambda xs: str(max(xs)),
    "Find the smallest number": lambda xs: str(min(xs)),
    "Remove the even numbers": lambda xs: _row([x for x in xs if x % 2]) or "nothing",
    "Remove the odd numbers": lambda xs: _row([x for x in xs if x % 2 == 0]) or "nothing",
    "Count the even numbers": lambda xs: str(sum(x % 2 == 0 for x in xs)),
    "Add one to every number": lambda xs: _row([x + 1 for x in xs]),
    "Swap the first and the last number": lambda xs: _row([xs[-1], *xs[1:-1], xs[0]]),
}


def example(draw: Draw) -> Example:
    """A list, a sequence or a grid, in equal shares."""
    return draw.one((list_puzzle, sequence_puzzle, square_puzzle))(draw)


def list_puzzle(draw: Draw) -> Example:
    """Something done to a list of four to six one-digit numbers."""
    task = draw.one(tuple(OF_LIST))
    frame = draw.template(FRAMES)
    pair = draw.first_pair("list", range(10), range(10))
    numbers = [*pair, *(draw.random.randrange(10) for _ in range(draw.one((2, 3, 4))))]
    return _puzzle(task, frame, _row(numbers), OF_LIST[task](numbers), ("list", *pair))


def sequence_puzzle(draw: Draw) -> Example:
    """The next two numbers of a sequence that grows by the same step."""
    frame = draw.template(FRAMES)
    start, step = draw.first_pair("sequence", range(1, 31), range(1, 11))
    numbers = [start + step * i for i in range(6)]
    return _puzzle("Continue with two numbers", frame, _row(numbers[:4]), _row(numbers[4:]), ("sequence", start, step))


def square_puzzle(draw: Draw) -> Example:
    """A four by four square of the digits 1 to 4 with one hole in every row: the row alone decides it."""
    frame = draw.template(FRAMES)
    pair = draw.first_pair("square", _ORDERS, _ORDERS)
    rows = [[(value + shift) % 4 + 1 for value in pair[0]] for shift in pair[1]]
    holed = [list(map(str, row)) for row in rows]
    for row in holed:
        row[draw.random.randrange(4)] = "_"
    told = " / ".join(" ".join(row) for row in holed)
    return _puzzle("Fill the square", frame, told, " / ".join(map(_row, rows)), ("square", *pair))


def _puzzle(task: str, frame: str, data: str, answer: str, pair: tuple[str, object, object]) -> Example:
    return Example("puzzle", frame.format(task=task, data=data), answer, template=frame, pair=pair)


_ORDERS = tuple((a, b, c, d) for a in range(4) for b in range(4) for c in range(4) for d in range(4) if len({a, b, c, d}) == 4)
