"""What is packed: the package with its model and nothing else in the wheel, and what is needed to test it in the sdist."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import saywhy

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "saywhy"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the sdist, built with what is installed: nothing is downloaded."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}


def test_the_wheel_holds_the_package_and_nothing_else(built):
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        about = next(name for name in packed.namelist() if name.endswith("/METADATA"))
        metadata = packed.read(about).decode()
    assert names == {f"saywhy/{name}" for name in files(PACKAGE)}
    assert {
        "saywhy/py.typed",
        "saywhy/models/demo/model/model.safetensors",
        "saywhy/models/demo/model/tokenizer.json",
    } <= names
    assert {Path(name).suffix for name in names} == {
        ".py",
        ".json",
        ".md",
        ".safetensors",
        ".typed",
        ".html",
        ".css",
        ".js",
    }
    assert f"Version: {saywhy.__version__}" in metadata
    assert "Requires-Python: >=3.10" in metadata
    assert wheel.stat().st_size < 12_000_000


def test_the_sdist_holds_what_is_needed_to_test_it(built):
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        names = {name.split("/", 1)[1] for name in packed.getnames()}
    tops = {name.split("/")[0] for name in names}
    allowed = {"src", "tests", "docs", "benchmarks", "LICENSE", "CITATION.cff", "constraints.txt", "mkdocs.yml"}
    allowed |= {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert tops == allowed
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|\.cache|\.venv|\.egg-info", name)]


def test_the_extras_are_few_and_each_error_names_one():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.optional-dependencies]", 1)[1].split("\n[", 1)[0]
    extras = set(re.findall(r"^(\w+) = \[", section, re.M))
    assert extras == {
        "browser",
        "corpus",
        "estimator",
        "gguf",
        "image",
        "peft",
        "plot",
        "ray",
        "serve",
        "widget",
        "shap",
        "train",
        "table",
        "docs",
        "test",
    }
    named = set()
    for path in PACKAGE.rglob("*.py"):
        named |= set(re.findall(r"\bmissing\([^()]*\"(\w+)\"\)", path.read_text(encoding="utf-8")))
    assert named == extras - {"browser", "docs", "test"}


def test_versions_are_the_same_everywhere():
    assert f"## {saywhy.__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {saywhy.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_files_for_the_forge_can_be_read():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert "blank_issues_enabled" in told or {"name", "description", "body"} <= set(told), path.name


def test_the_readme_has_the_two_commands():
    """One installs and explains, one runs the tests; `.ci/run` takes the second from there."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").split("\n")
    first, second = (line for line in lines if line.startswith("pip install -c constraints.txt"))
    assert "&& saywhy explain" in first
    assert second == 'pip install -c constraints.txt -e ".[test]" && python -m pytest'
    read = re.search(r"sed -n (?P<command>'s/.+?/p')", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert read is not None
    told = subprocess.run(
        ["sed", "-n", read["command"].strip("'"), "README.md"], cwd=ROOT, capture_output=True, text=True
    )
    assert told.stdout.split("\n")[0] == second
