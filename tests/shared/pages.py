"""Documentation that is tried: every fenced block of a page is written to a file, run or compared, in order.

- ``yaml``, ``json``, ``text``, ``python``, ``jsonl``, ``toml`` or ``lark`` with a title is a file. A spec is checked, and must be
  refused if its title begins with ``wrong``.
- ``yaml`` without a title is a list of stages, each of which is checked behind a verifier.
- ``python`` without a title is executed, one namespace a page; ``text`` titled ``printed`` is what it printed.
- ``console`` is commands behind ``$``, each with its output or without; ``...`` stands for anything in a line, or for any lines.
- ``mermaid`` is what the last command printed. ``text`` without a title is not tried.
"""

import io
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
import yaml
from typer.testing import CliRunner

import penstock
from penstock.cli.commands import app
from penstock.ir.errors import PenstockError

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r'^(?P<indent> *)```(?P<language>\w*)(?: +title="(?P<title>[^"\n]*)")? *\n(?P<text>.*?)^(?P=indent)```$', re.M | re.S
)
SPEC = re.compile("^penstock: 1$", re.M)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.M)
ROUNDING = re.compile(r"[0-9]\\\.[0-9]{2}e\\-1[3-9]")  # in a pattern, where dots and signs are escaped
ANY_ROUNDING = r"(?:[0-9]\.[0-9]{2}e-1[3-9]|0\.00e\+00)"
FILES = ("yaml", "json", "text", "python", "jsonl", "toml", "lark")


@dataclass(frozen=True)
class Block:
    """A fenced block, and where its text begins."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page. Raises AssertionError for a fence that opens or closes none."""
    text = page.read_text(encoding="utf-8")
    found = [block_of(page.name, text, match) for match in BLOCK.finditer(text)]
    fences = len(re.findall("^ *```", text, re.M))
    assert fences == 2 * len(found), f'{page.name}: {fences} fences, {len(found)} blocks; write ```language title="..."'
    return found


def block_of(page: str, text: str, match: re.Match[str]) -> Block:
    line = text.count("\n", 0, match.start("text")) + 1
    return Block(page, line, match["language"], match["title"] or "", dedent(match["text"]))


class Reader:
    """Who tries all that a page says, in the folder that is the current one, as a module of the page's name."""

    def __init__(self, page: str) -> None:
        self.module = ModuleType(Path(page).stem.replace("-", "_") + "_page")
        self.module.__file__ = str(Path(page).absolute())
        sys.modules[self.module.__name__] = self.module  # where pydantic looks up the names of annotations
        self.printed = ""

    def take(self, block: Block) -> None:
        """Try one block. Raises AssertionError, at its line, for what is not so."""
        if block.language in FILES and block.title and block.title != "printed":
            self.keep(block)
        elif block.language in TRIED:
            TRIED[block.language](self, block)
        else:
            language = block.language or "no language"
            raise AssertionError(f"{block.where}: a block of {language} is not tried; call it text, or give it a title")

    def keep(self, block: Block) -> None:
        """Write a file; a spec is one that checks, or a wrong one."""
        Path(block.title).parent.mkdir(exist_ok=True)
        Path(block.title).write_text(block.text, encoding="utf-8")
        if SPEC.search(block.text) and not block.title.startswith("wrong"):
            penstock.check(penstock.load(block.title))
        elif SPEC.search(block.text):
            with pytest.raises(PenstockError):
                penstock.check(penstock.load(block.title))

    def stages(self, block: Block) -> None:
        """A list of stages, each behind a verifier."""
        for stage in yaml.safe_load(block.text):
            pipeline = [{"verifier.model": {"model": "target"}}, stage]
            spec = {"penstock": 1, "models": {"target": "zoo:target"}, "pipeline": pipeline}
            Path("listed.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
            penstock.check(penstock.load("listed.yaml"))

    def execute(self, block: Block) -> None:
        told = io.StringIO()
        lines = "\n" * (block.line - 1)  # so that a traceback names the line of the page
        with redirect_stdout(told):
            exec(compile(lines + block.text, block.page, "exec"), vars(self.module))
        self.printed = told.getvalue()

    def commands(self, block: Block) -> None:
        wanted = int(block.title.removeprefix("exit ") or 0)
        found = COMMAND.findall(block.text)
        assert found, f"{block.where}: no command; write $ before it"
        for command, shown in found:
            code, self.printed = called(command, block.where)
            assert code == wanted, f"{block.where}: {command}: exit code {code}\n{self.printed}"
            if shown:
                self.compare(block.where, shown)

    def shown(self, block: Block) -> None:
        """What was printed before, in a block of its own."""
        if block.title or block.language == "mermaid":
            self.compare(block.where, block.text)

    def compare(self, where: str, shown: str) -> None:
        printed = "".join(line.rstrip() + "\n" for line in self.printed.splitlines())
        assert pattern(shown).fullmatch(printed), f"{where}: shown is\n{shown}\nand printed is\n{printed}"


TRIED = {
    "yaml": Reader.stages,
    "python": Reader.execute,
    "console": Reader.commands,
    "text": Reader.shown,
    "mermaid": Reader.shown,
}


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown, as all that it may stand for."""
    return re.compile("".join(map(line_pattern, shown.splitlines())))


def line_pattern(line: str) -> str:
    """One line, or any number of them; a distance that is rounding alone stands for any other."""
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    literal = re.escape(line.rstrip()).replace(r"\.\.\.", ".*")
    return ROUNDING.sub(lambda _: ANY_ROUNDING, literal) + r"\n"


def called(command: str, where: str) -> tuple[int, str]:
    """Exit code and output of a command, which may be kept in a file with ``>``."""
    line, _, file = command.replace("\\\n", " ").partition(" > ")
    name, *arguments = shlex.split(line)
    assert name in PROGRAMS, f"{where}: {name} is not tried; use one of {', '.join(PROGRAMS)}"
    code, output = PROGRAMS[name](arguments)
    if file:
        Path(file.strip()).write_text(output, encoding="utf-8")
    return code, "" if file else output


def run_penstock(arguments: list[str]) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return result.exit_code, result.output


def run_pytest(arguments: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def show_files(arguments: list[str]) -> tuple[int, str]:
    return 0, "".join(Path(name).read_text(encoding="utf-8") for name in arguments)


def know_target(arguments: list[str]) -> tuple[int, str]:
    """Nothing is made; the Makefile has the target."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    return int(not set(arguments) <= set(targets)), f"the Makefile has {', '.join(targets)}"


def know_extra(arguments: list[str]) -> tuple[int, str]:
    """Nothing is installed; the package has the extras."""
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    wanted = {extra for each in arguments for group in re.findall(r"\[(.*)\]", each) for extra in group.split(",")}
    return int(not wanted <= extras), f"the extras are {', '.join(sorted(extras))}"


PROGRAMS = {"penstock": run_penstock, "pytest": run_pytest, "cat": show_files, "make": know_target, "pip": know_extra}
