"""What is installed is what lies in the repository, and imports only go the way they may."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import penstock

ROOT = Path(__file__).resolve().parent.parent
FACE = ROOT / "src" / "penstock"
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINKS = {path.name for path in FACE.iterdir() if path.is_symlink()}
FOLDERS = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}


def called(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(command[0])
    return subprocess.run(
        [program, *command[1:]], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_each_folder_of_code_has_its_link_and_its_place_in_the_wheel():
    wheel = CONFIG["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert LINKS == FOLDERS
    assert {Path(os.readlink(FACE / name)) for name in LINKS} == {Path("../..") / name for name in FOLDERS}
    assert wheel["sources"] == {"src/penstock": "penstock"} | {name: f"penstock/{name}" for name in FOLDERS}
    assert set(wheel["only-include"]) == {"src/penstock", *FOLDERS}
    assert set(wheel["exclude"]) == {f"/src/penstock/{name}" for name in FOLDERS}
    assert set(CONFIG["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]) == FOLDERS


def test_the_wheel_holds_every_file_once(tmp_path):
    built = called("hatchling", "build", "--target", "wheel", "--directory", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("penstock/")]
    here = {f"penstock/{path.relative_to(ROOT)}" for name in FOLDERS for path in files(ROOT / name)}
    here |= {f"penstock/{path.relative_to(FACE)}" for path in files(FACE)}
    assert len(held) == len(set(held))
    assert set(held) == here
    assert wheel.name.startswith(f"penstock-{penstock.__version__}-")
    assert any(name.endswith("tokenizer.json") for name in held)
    assert any(name.endswith(".safetensors") for name in held)


def files(folder: Path) -> list[Path]:
    """The files below a folder that are the repository's, links not followed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\n") if name and (path := folder / name).is_file()]


def test_importing_penstock_is_light_and_exports_what_it_says():
    script = (
        "import sys, penstock, penstock.cli\n"
        "assert not {'torch', 'transformers', 'networkx'} & set(sys.modules), sorted(sys.modules)\n"
        "assert all(getattr(penstock, name) is not None for name in penstock.__all__)\n"
        "assert set(penstock.__all__) <= set(dir(penstock))\n"
    )
    done = called("python", "-c", script)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = penstock.nothing


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """The package as files, without links, and the contracts."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(FACE, root / "penstock", ignore=shutil.ignore_patterns("__pycache__", "models", "*.json"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def contracts(root: Path) -> subprocess.CompletedProcess[str]:
    return called("lint-imports", "--no-cache", "--no-logo", cwd=root, PYTHONPATH=str(root))


PLANTED = {
    "declaring needs no passes": ("dsl/stage.py", "import penstock.passes"),
    "declaring needs no backends": ("dsl/stage.py", "import penstock.backends.eager"),
    "the library declares": ("library/__init__.py", "import penstock.backends.runtime"),
    "ir is the bottom": ("ir/op.py", "import penstock.dsl.param"),
    "passes know no backend": ("passes/order.py", "import penstock.backends.eager"),
    "backends know no spec": ("backends/__init__.py", "import penstock.dsl.spec"),
    "nothing imports the face": ("backends/__init__.py", "import penstock.face"),
    "nothing imports the command line": ("library/__init__.py", "import penstock.cli"),
    "declaring loads no model code": ("dsl/models.py", "import transformers"),
}


def test_the_contracts_hold(copied):
    done = contracts(copied)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("file", "violation"), PLANTED.values(), ids=PLANTED)
def test_a_planted_import_is_seen(copied, file, violation):
    path = copied / "penstock" / file
    clean = path.read_text()
    path.write_text(f"{clean}\n{violation}\n")
    try:
        done = contracts(copied)
    finally:
        path.write_text(clean)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
    assert f"-> {violation.removeprefix('import ')}" in done.stdout


def test_an_import_by_a_folders_own_name_is_seen(tmp_path):
    (tmp_path / "planted.py").write_text("import ir.op\nfrom dsl import stage\nfrom . import x\n")
    config = f"--config={ROOT / 'pyproject.toml'}"
    done = called("ruff", "check", "--no-cache", config, "--output-format", "concise", str(tmp_path / "planted.py"))
    assert done.returncode == 1
    assert "import penstock.ir" in done.stdout
    assert "import penstock.dsl" in done.stdout
    assert "TID252" in done.stdout
