"""Mistakes are shown in the text they were made in."""

import os

import pytest

from penstock.cli.pointed import pointed, quoted
from penstock.ir.errors import PenstockError


def test_the_caret_stands_under_the_column_whatever_is_before_it(tmp_path):
    file = tmp_path / "a:b.yaml"
    file.write_text("first\n\tfoo: {b\u00e4r: 1}\n", encoding="utf-8")
    assert quoted(f"{file}:2:8") == "\n  2 | \tfoo: {b\u00e4r: 1}\n    | \t      ^"
    error = PenstockError("wrong", where=f"{file}:1:1", fix="mend it")
    assert pointed(error) == f"{file}:1:1: wrong\n  1 | first\n    | ^\n  fix: mend it"


def test_the_margin_grows_with_the_number(tmp_path):
    file = tmp_path / "long.yaml"
    file.write_text("\n" * 99 + "x: y\n")
    assert quoted(f"{file}:100:4") == "\n  100 | x: y\n      |    ^"


@pytest.mark.parametrize("where", ["", "-o a.b=1", "none.yaml:1:1", "{}:9:1", "{}:2:1", "{}:1:999", "{}", "<text>:1:1"])
def test_what_cannot_be_shown_is_left_out(tmp_path, where):
    file = tmp_path / "a.yaml"
    file.write_text("a: b\n\n")
    assert quoted(where.format(file)) == ""


def test_control_characters_are_not_printed(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: \x1b[31mred\n")
    assert "\x1b" not in quoted(f"{file}:1:4") and "red" in quoted(f"{file}:1:4")


def test_a_pipe_is_not_read_twice(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert quoted(f"{tmp_path / 'pipe'}:1:1") == ""
