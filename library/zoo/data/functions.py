"""Small Python functions, each with the assertions it passes."""

from typing import Any

from penstock.library.zoo.data.draw import Draw
from penstock.library.zoo.data.example import Example

FRAMES = (
    "Write a Python function that {task}.",
    "Write a function in Python that {task}.",
    "I need a Python function that {task}.",
    "Give me a function that {task}.",
    "Define a function that {task}.",
    "Please code a function that {task}.",
    "Show a Python function that {task}.",
    "Implement a function that {task}.",
    "Make a Python function that {task}.",
    "How do I write a function that {task}?",
)

# name, what it does, source; the argument is one number.
OF_NUMBER = (
    ("add_{k}", "adds {k} to a number", "    return n + {k}"),
    ("minus_{k}", "subtracts {k} from a number", "    return n - {k}"),
    ("times_{k}", "multiplies a number by {k}", "    return n * {k}"),
    ("over_{k}", "tells whether a number is larger than {k}", "    return n > {k}"),
    ("under_{k}", "tells whether a number is smaller than {k}", "    return n < {k}"),
    ("divides_{k}", "tells whether a number is divisible by {k}", "    return n % {k} == 0"),
    ("at_most_{k}", "limits a number to {k}", "    if n > {k}:\n        return {k}\n    return n"),
    ("at_least_{k}", "raises a number to {k}", "    if n < {k}:\n        return {k}\n    return n"),
)
# The same with a list of numbers.
OF_LIST = (
    ("count_over_{k}", "counts the numbers larger than {k} in a list", "    return len([n for n in xs if n > {k}])"),
    ("keep_over_{k}", "keeps the numbers larger than {k} of a list", "    return [n for n in xs if n > {k}]"),
    ("drop_{k}", "removes every {k} from a list", "    return [n for n in xs if n != {k}]"),
    ("add_{k}_to_all", "adds {k} to every number of a list", "    return [n + {k} for n in xs]"),
    ("times_{k}_all", "multiplies every number of a list by {k}", "    return [n * {k} for n in xs]"),
    ("has_{k}", "tells whether a list contains {k}", "    return {k} in xs"),
    (
        "sum_plus_{k}",
        "adds {k} to the sum of a list",
        "    total = {k}\n    for n in xs:\n        total += n\n    return total",
    ),
    ("first_{k}", "returns the first {k} numbers of a list", "    return xs[:{k}]"),
)


ROUTINES: tuple[tuple[str, str, str], ...] = OF_NUMBER + OF_LIST


def example(draw: Draw) -> Example:
    """A request, the function, and two assertions computed by running it."""
    frame = draw.template(FRAMES)
    pair = draw.first_pair("function", ROUTINES, range(1, 13))
    of_list = pair[0] in OF_LIST
    name, task, body = (part.format(k=pair[1]) for part in pair[0])
    source = f"def {name}({'xs' if of_list else 'n'}):\n{body}\n"
    inputs: list[Any] = [draw.random.sample(range(1, 21), 3), [pair[1]]] if of_list else [draw.one(range(1, 21)), pair[1]]
    written = _with_tests(name, source, inputs)
    return Example("function", frame.format(task=task), written, template=frame, pair=("function", *pair))


def _with_tests(name: str, source: str, inputs: list[Any]) -> str:
    """``source`` followed by what it returns on ``inputs``, as assertions."""
    scope: dict[str, Any] = {}
    exec(source, scope)
    return source + "\n" + "\n".join(f"assert {name}({each}) == {scope[name](each)}" for each in inputs)
