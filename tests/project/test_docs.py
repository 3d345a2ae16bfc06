"""The documentation, checked by a machine: links, pictures, code, what is generated from the tables, and the README's figures."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import typer
from benchmarks import book
from docs.build import choosing, examples, formulas, methods, metrics

from saywhy.cli import app as cli
from saywhy.methods import METHODS
from saywhy.metrics import METRICS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """The page without its code."""
    return re.sub(r"`[^`\n]*`", "``", FENCED.sub("", path.read_text(encoding="utf-8")))


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as mkdocs and GitHub make them."""
    found = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_and_pictures_are_there(page):
    for picture, target in LINK.findall(prose(page)):
        if re.match(r"https?:|mailto:", target):
            assert not picture, f"a picture from elsewhere: {target}"
            continue
        where, _, anchor = target.partition("#")
        path = (page.parent / where).resolve() if where else page
        assert path.is_file(), f"{target} is not there"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{target}: no such heading"
        if picture:
            assert path.stat().st_size > 200


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_code_in_pages_can_be_read(page):
    for kind, code in FENCED.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            ast.parse(code)
        elif kind == "json":
            json.loads(code)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_fence_is_closed_and_names_its_language(page):
    fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.M)
    assert len(fences) % 2 == 0
    assert all(fences[::2]), "a block of code that does not say what it is"
    assert not any(fences[1::2])


@pytest.mark.parametrize("page", examples.executed_pages(), ids=named)
def test_pages_that_run_say_what_is_in_them(page, tmp_path):
    said = examples.ran(page, tmp_path)
    assert examples.alike(said, page.read_text(encoding="utf-8")), said
    shown = re.findall(r"images/([\w.]+)\)", said)
    assert all((tmp_path / name).stat().st_size > 200 for name in shown)


@pytest.mark.parametrize("page", [page for page in PAGES if examples.marked(page)], ids=named)
def test_marked_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in examples.marked(page):
        examples.run(code, names)
    assert names


def test_alike_sees_differences():
    assert examples.alike("a 1.00 in 0.02 s", "a 1.01 in 7 s")
    assert not examples.alike("a 1.00", "a 1.50")
    assert not examples.alike("a 1.00", "b 1.00")


def test_what_is_generated_is_up_to_date():
    for path, text in chain(methods.pages(), metrics.pages(), choosing.pages(), book.pages(), examples.notebooks()):
        assert path.read_text(encoding="utf-8") == text, f"{path} is out of date: python -m docs.build"


def test_every_method_is_told_and_every_metric_too():
    assert list(formulas.TOLD) == list(METHODS)
    for name, told in formulas.TOLD.items():
        assert all(len(part.split()) >= 1 for part in told), name
        assert len(told.misleads) > 40 or name == "random", name
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for metric in METRICS.values():
        assert f"### {metric.name}\n" in page
        assert metric.blind in page


def test_notebooks_are_notebooks():
    for path, text in examples.notebooks():
        cells = json.loads(text)["cells"]
        assert {cell["cell_type"] for cell in cells} == {"markdown", "code"}
        assert len({cell["id"] for cell in cells}) == len(cells)
        assert path.stat().st_size < 60_000
        for cell in cells:
            if cell["cell_type"] == "code":
                ast.parse("".join(cell["source"]))


def test_the_navigation_names_every_page():
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    told = set(re.findall(r"([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    assert told - pages == set(), "pages that are not there"
    assert pages - told == set(), "pages that nobody finds: give them a line in mkdocs.yml"


def test_figures_of_the_readme_are_in_the_pages_that_it_links():
    """Every number of a line under Measured is on a page that the line links to."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    measured = readme.split("## Measured", 1)[1].split("\n## ", 1)[0]
    for line in re.split(r"^- ", measured, flags=re.M)[1:]:
        linked = re.findall(r"\]\((docs/[^)]+\.md)\)", line)
        assert linked, f"no page is linked: {line}"
        there = " ".join((ROOT / page).read_text(encoding="utf-8") for page in linked)
        known = {float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\.?\d*(?:e[+-]?\d+)?", there)}
        for number in re.findall(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?", re.sub(r"\]\([^)]*\)|`[^`]*`", "", line)):
            assert supported(number.replace(",", ""), known), f"{number} is not in {linked}: {line}"


def supported(number: str, known: set[float]) -> bool:
    """Is it one of the known numbers, rounded as it is written?"""
    places = len(number.partition(".")[2])
    value = abs(float(number))
    return any(abs(round(one, places) - value) < 1e-9 for one in known)


def test_packages_of_the_site_are_pinned_in_the_constraints():
    wanted = re.findall(r'"(mkdocs[\w-]*)>=', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert len(wanted) >= 3
    pinned = re.findall(r"^([\w-]+)==[\d.]+", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert set(wanted) <= set(pinned)


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(tmp_path.rglob("*.html"))
    assert len(built) > 50
    loads = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*\shref=\"?(?:https?:)?//")
    assert not [page for page in built if loads.search(page.read_text(encoding="utf-8"))]
    for style in tmp_path.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", style.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_and_their_options_exist(page):
    text = page.read_text(encoding="utf-8")
    shown = [line for kind, code in FENCED.findall(text) if kind == "sh" for line in code.splitlines()]
    shown += [" ".join(code.split()) for code in re.findall(r"`(saywhy [a-z][^`]*)`", FENCED.sub("", text))]
    for line in shown:
        for words in re.findall(r"saywhy ([a-z]\w*)((?:\s+(?:\"[^\"]*\"|[^\s;|&#]+))*)", line.split("  #")[0]):
            known = commands()
            assert words[0] in known, f"no such command: saywhy {words[0]}"
            for option in re.findall(r"(?:^|\s)(--?[a-z][\w-]*)", re.sub(r"\"[^\"]*\"", '""', words[1])):
                assert option in known[words[0]], f"saywhy {words[0]} has no {option}"


def commands() -> dict[str, set[str]]:
    """command -> its options"""
    command = typer.main.get_command(cli.app)
    return {name: {o for p in one.params for o in p.opts} for name, one in command.commands.items()}
