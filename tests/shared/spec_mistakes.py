"""What every test of a mistake in a spec asks of its message."""

import pytest

from penstock.dsl.spec import load
from penstock.ir.errors import PenstockError

HEAD = "penstock: 1\nmodels: {a: zoo:a}\n"


def refused(text: str, place: str | None, what: str, fix: str) -> None:
    """The spec is refused by one error of one line, with its place and its remedy."""
    with pytest.raises(PenstockError) as caught:
        load(text)
    assert caught.value.where == (f"<text>:{place}" if place else "<text>")
    assert what in caught.value.what
    assert fix in (caught.value.fix or "")
    assert "\n" not in caught.value.what
