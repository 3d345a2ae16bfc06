"""The rules of the house that a machine can check: who may import whom, what importing costs, how long things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import saywhy
from saywhy.methods import METHODS

ROOT = Path(saywhy.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# what each room may import of ours, at the top of its files; the same picture stands in docs/architecture.md
ALLOWED = {
    "errors": set(),
    "types": set(),
    "explanation": {"errors", "types"},
    "progress": set(),
    "packing": set(),
    "demo": set(),
    "features": {"errors", "types", "sentences"},
    "sentences": set(),
    "methods": {"errors", "types"},
    "metrics": {"errors", "types"},
    "render": {"errors", "types", "explanation"},
    "io": {"errors", "types", "explanation", "writing"},
    "models": {"errors", "types", "features"},
    "tasks": {"errors", "types", "features", "models"},
    "slopes": {"errors", "types"},
    "pathways": set(),
    "backward": {"errors", "pathways"},
    "looks": {"errors", "types"},
    "ahead": {"types"},
    "writing": set(),
    "posed": {"errors", "types"},
    "batches": {"errors", "types", "packing", "posed"},
    "engine": {"errors", "types", "ahead", "backward", "batches", "looks", "packing", "posed", "slopes"},
    "trust": {"errors", "types", "explanation", "metrics"},
    "focus": {"explanation", "features"},
    "line": {
        *("errors", "types", "trust", "explanation", "features", "focus"),
        *("methods", "models", "packing", "posed", "tasks", "engine"),
    },
    "checks": {"errors", "types", "line", "methods", "models", "tasks"},
    "explain": {
        "errors",
        "types",
        "explanation",
        "features",
        "checks",
        "models",
        "tasks",
        "engine",
        "line",
        "posed",
        "progress",
        "trust",
        "demo",
    },
    "comparison": {
        *(
            "checks",
            "errors",
            "io",
            "types",
            "engine",
            "line",
            "methods",
            "metrics",
            "models",
            "packing",
            "posed",
            "progress",
            "render",
            "tasks",
            "writing",
        ),
    },
    "planted": {"errors"},
    "corpus": {"errors", "explanation", "models", "progress", "render", "trust", "writing"},
    "classifier": {"errors", "types", "features", "packing", "models", "writing"},
    "llm": {
        "errors",
        "types",
        "explanation",
        "features",
        "explain",
        "models",
        "tasks",
        "engine",
        "posed",
        "render",
        "io",
        "methods",
        "progress",
        "writing",
    },
    "compat": {
        "errors",
        "types",
        "explanation",
        "engine",
        "posed",
        "explain",
        "methods",
        "models",
        "tasks",
        "io",
        "render",
        "classifier",
        "llm",
        "writing",
    },
    "cli_compare": {"cli_io"},
    "cli_corpus": {"cli_io"},
    "architectures": {"errors", "explain", "explanation"},
    "cli": {
        "__init__",
        "cli_architectures",
        "cli_benchmark",
        "cli_compare",
        "cli_corpus",
        "cli_image",
        "cli_io",
        "cli_prompt",
        "cli_train",
    },
    "cli_io": set(),
    "cli_architectures": set(),
    "cli_benchmark": {"cli_io"},
    "cli_image": set(),
    "cli_prompt": set(),
    "cli_train": set(),
    "__init__": set(),
    "__main__": {"cli"},
}
# what may be imported further down, inside a function: a result reaches its drawings when it is asked for them
DEFERRED = {
    "explanation": {"features", "io", "render"},
    "types": set(),
    "io": {"render"},
    "cli": {"errors", "explain", "methods", "tasks"},
    "cli_io": {"io", "render", "writing"},
    "cli_image": {"cli_io", "explain"},
    "cli_architectures": {"architectures", "errors"},
    "cli_train": {"classifier"},
    "cli_benchmark": {"comparison", "planted", "writing"},
    "cli_compare": {"comparison", "corpus", "explain", "metrics"},
    "cli_corpus": {"corpus", "explain"},
    "corpus": {"explain"},
    "cli_prompt": {"cli_io", "explain", "llm"},
    "tasks": set(),
    "planted": {"comparison", "explain"},
    "models": {"classifier"},  # a saved classifier's folder
}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, bool]]:
    """(room, at the top?) of each import of ours; those for type checking only are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ["saywhy", *path.relative_to(ROOT).parts[:-1]]
    top = {id(node) for statement in tree.body if not isinstance(statement, ast.If) for node in ast.walk(statement)}
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    found = []
    for node in ast.walk(tree):
        if id(node) not in top:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            names = [start] if node.module else [f"{start}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "saywhy":
                target = (
                    parts[1]
                    if len(parts) > 1 and (ROOT / parts[1]).exists() | (ROOT / f"{parts[1]}.py").exists()
                    else "__init__"
                )
                found.append((target, id(node) not in inside))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    here = room(path)
    assert here in ALLOWED, f"{here} is a new room: give it a row in ALLOWED and in docs/architecture.md"
    for target, at_top in imports(path):
        allowed = ALLOWED[here] | {here} if at_top else ALLOWED[here] | DEFERRED.get(here, set()) | {here}
        assert target in allowed, f"{path.name} must not import {target} {'at its top' if at_top else 'at all'}"


def test_the_import_check_sees_imports():
    assert ("engine", True) in imports(ROOT / "explain.py")
    assert ("render", False) in imports(ROOT / "explanation.py")
    assert ("explain", False) in imports(ROOT / "cli.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node, clean=False) or ""
            assert node.end_lineno - node.lineno - doc.count("\n") <= 40, node.name


def test_every_public_thing_has_a_docstring():
    for name in saywhy.__all__:
        thing = getattr(saywhy, name)
        if callable(thing):
            assert thing.__doc__, name
            for member, value in vars(thing).items() if isinstance(thing, type) else ():
                if callable(value) and not member.startswith("_"):
                    assert value.__doc__, f"{name}.{member}"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_importing_is_quiet_and_light():
    code = """
import sys, logging, warnings, os
before = (list(logging.root.handlers), list(warnings.filters), dict(os.environ))
import saywhy
assert (list(logging.root.handlers), list(warnings.filters), dict(os.environ)) == before
heavy = [m for m in ("torch", "transformers", "numpy", "matplotlib", "pandas", "rich", "typer") if m in sys.modules]
assert not heavy, heavy
assert saywhy.__version__
"""
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_explaining_needs_no_optional_package():
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("matplotlib", "pandas", "pyarrow", "captum", "shap"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
import saywhy
e = saywhy.Explainer(lambda texts: [[len(t)] for t in texts], labels=["length"])("a bc")
str(e), e._repr_html_()
for ending, extra in (("png", "plot"), ("parquet", "table")):
    try:
        e.save("why." + ending)
    except ImportError as error:
        assert f"saywhy[{extra}]" in str(error), error
    else:
        raise SystemExit("saved without its package")
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_the_readmes_table_is_the_table_of_methods():
    readme = (ROOT.parent.parent / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in readme.splitlines() if line.startswith("| `")
    ]
    listed = {row[0].split("`")[1]: row for row in rows}
    assert list(listed) == list(METHODS)
    for name, row in listed.items():
        method = METHODS[name]
        assert row[2].startswith("yes") == method.complete, name
        assert row[3] == method.cost, name
        assert method.source in row[4], name


def test_exported_names():
    assert sorted(saywhy.__all__) == dir(saywhy)
    with pytest.raises(AttributeError, match="Explainer"):
        saywhy.Explain  # noqa: B018
