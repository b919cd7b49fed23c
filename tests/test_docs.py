"""The documentation is true: what it shows runs and prints what it says, generated pages are up to date, the site builds."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest
from pages import ROOT, Reader, blocks

from penstock.dsl import registry
from penstock.ir.errors import PenstockError
from penstock.ir.rules import ANY_LAW, RULES

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.glob("*.md") if not path.name.endswith(".head.md"))]
SPEC = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)


@pytest.fixture(autouse=True)
def library_alone(monkeypatch):
    """Only the library's own stages are known, and what a page adds is forgotten after it."""
    known = {kind: cls for kind, cls in registry.stage_classes().items() if cls.__module__.startswith("penstock.")}
    monkeypatch.setattr(registry, "_classes", known)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to read in, beside the examples."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT / "src")]))
    yield tmp_path
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def read(page):
    """Try all that a page says."""
    reader = Reader(page.name)
    for block in blocks(page):
        reader.take(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_is_so(page, folder):
    read(page)


FINE = 'penstock: 1\nmodels: {t: "table:3:1"}\npipeline: [{verifier.model: {model: t}}]\n'
NOT_SO = {
    "shown is\none\nthree": "```console\n$ cat a.txt\none\nthree\n```",
    "shown is\none\n\n": "```console\n$ cat a.txt\none\n```",
    "shown is\n2": '```python\nprint(1)\n```\n```text title="printed"\n2\n```',
    "exit code 2": "```console\n$ penstock check no.yaml\n```",
    "exit code 1": "```console\n$ make tea\n```",
    "exit code 0": '```console title="exit 2"\n$ cat a.txt\n```',
    "rm is not tried": "```console\n$ rm a.txt\n```",
    "no command": "```console\npenstock check\n```",
    "false.md:6: a block of no language": "```\nsomething\n```",
    "a block of rust": "```rust\nfn main() {}\n```",
    "3 fences, 1 blocks": "```",
    "no model is called": f'```yaml title="b.yaml"\n{FINE.replace("{t:", "{u:")}```',
    "DID NOT RAISE": f'```yaml title="wrong.yaml"\n{FINE}```',
    "field value": "```yaml\n- transform.temperature: {value: -1}\n```",
    "division by zero": "```python\n1 / 0\n```",
}
"""What pages say that is not so, by what is told of it."""


@pytest.mark.parametrize("told", NOT_SO)
def test_what_is_not_so_is_seen(told, folder):
    page = folder / "false.md"
    page.write_text(f'```text title="a.txt"\none\ntwo\n```\n{NOT_SO[told]}\n')
    with pytest.raises((AssertionError, PenstockError, ZeroDivisionError, pytest.fail.Exception), match=told):
        read(page)


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_what_the_code_says(name):
    told = "run `python docs/generate.py`"
    assert (DOCS / name).read_text(encoding="utf-8") == generate.PAGES[name]().rstrip() + "\n", told


def test_the_site_names_every_stage_command_and_example():
    site = "\n".join(page.read_text(encoding="utf-8") for page in PAGES[1:])
    commands = [name for name, _ in generate.commands(generate.typer.main.get_command(generate.app), "penstock")]
    examples = [f"](examples.md#{path.stem})" for path in generate.EXAMPLES]
    assert len(commands) > 8 and len(examples) > 15
    assert [name for name in (*registry.stage_classes(), *commands, *examples) if name not in site] == []


def test_the_table_of_guarantees_names_stages_by_what_they_do():
    rows = re.findall(r"^\| (accelerates|steers|approximates) \|(.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    named = {kind: effect for effect, row in rows for kind in re.findall(r"`(\w+\.\w+)`", row)}
    assert len(rows) == 3 and named == {kind: registry.stage_class(kind).effect for kind in named}


def test_the_table_of_rules_says_what_they_are_for():
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", (DOCS / "concepts.md").read_text(encoding="utf-8"), re.M)
    laws = {name: "any" if rule.laws == ANY_LAW else ", ".join(sorted(rule.laws)) for name, rule in RULES.items()}
    assert dict(rows) == laws


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(name):
    linked = re.findall(r"\]\(([^):#]+)\)", (ROOT / name).read_text(encoding="utf-8"))
    assert linked and [path for path in linked if not (ROOT / path).exists()] == []


def built(root, site):
    """The site of a folder, built as `make docs` does; --quiet would hide warnings from --strict."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_the_site_builds_strictly(tmp_path):
    done = built(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.parent.name for path in tmp_path.glob("*/index.html")} == {page.stem for page in PAGES[1:]} - {"index"}
    assert (tmp_path / "index.html").exists()


PLANTED = {
    "a link 'nowhere.md', but the target is not found": ("docs/index.md", "(tour.md)", "(nowhere.md)"),
    "does not contain an anchor '#nowhere'": ("docs/index.md", "(tour.md)", "(tour.md#nowhere)"),
    "not included in the \"nav\" configuration": ("mkdocs.yml", "  - Tour: tour.md\n", ""),
}


@pytest.mark.parametrize("told", PLANTED)
def test_a_page_that_leads_nowhere_or_is_led_to_from_nowhere_is_seen(told, tmp_path):
    file, old, new = PLANTED[told]
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    text = (tmp_path / file).read_text(encoding="utf-8")
    (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
    done = built(tmp_path, tmp_path / "site")
    assert done.returncode == 1 and told in done.stderr
