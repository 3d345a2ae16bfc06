"""The rules of the house that a machine can check: who may import whom, what importing costs, how long things are."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import saywhy
from saywhy.methods import METHODS

ROOT = Path(saywhy.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# what each room may import of ours; the same picture stands in docs/architecture.md
LOW = {"core"}
MIDDLE = LOW | {"methods", "metrics", "models", "tasks", "engine"}
HIGH = MIDDLE | {"explain", "render", "storage"}
ROOMS: dict[str, set[str]] = {
    "core": set(),
    "methods": LOW,
    "metrics": LOW,
    "models": LOW,
    "tasks": LOW | {"models"},
    "engine": LOW | {"models"},
    "render": LOW,
    "storage": LOW | {"models", "render"},
    "explain": MIDDLE,
    "comparison": HIGH,
    "corpus": HIGH,
    "llm": HIGH,
    "classifier": HIGH,
    "compat": HIGH | {"llm", "classifier"},
    "selftest": HIGH | {"comparison"},
    "serve": HIGH | {"llm", "__init__"},
    "cli": HIGH | {"comparison", "corpus", "llm", "classifier", "selftest", "serve", "__init__"},
    "extend": HIGH,
    "__init__": set(),
    "__main__": {"cli"},
}
# the licences: a result reaches what draws and saves it, and an explainer its widget, when they are asked to
LICENSED = {
    ("core/explanation.py", "render"),
    ("core/explanation.py", "storage"),
    ("explain/explainer.py", "serve"),
}


def module_of(path: Path) -> str:
    """The dotted name within saywhy, "" for its own __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def room(module: str) -> str:
    return module.split(".")[0] or "__init__"


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, at the top?) of each import of ours; those for type checking only are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = list(path.relative_to(ROOT).parts[:-1])
    checked_only = {
        id(node)
        for statement in tree.body
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
        for node in ast.walk(statement)
    }
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.Lambda) for n in ast.walk(f)}
    found = []
    for node in ast.walk(tree):
        if id(node) in checked_only:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name.removeprefix("saywhy.") for alias in node.names if alias.name.startswith("saywhy.")]
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "saywhy"):
            outside = (node.module or "").split(".")[1:]
            base = (
                [*package[: len(package) + 1 - node.level], *(node.module or "").split(".")] if node.level else outside
            )
            start = ".".join(part for part in base if part)
            names = [f"{start}.{alias.name}".strip(".") for alias in node.names]
            names = [name if name in MODULES else start for name in names]
        found += [(name, id(node) not in inside) for name in names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    here = room(module_of(path))
    assert here in ROOMS, f"{here} is a new room: give it a row in ROOMS and in docs/architecture.md"
    for target, _ in imports(path):
        licensed = (str(path.relative_to(ROOT)), room(target)) in LICENSED
        assert licensed or room(target) in ROOMS[here] | {here}, f"{path.relative_to(ROOT)} must not import {target}"


def test_no_files_import_each_other():
    """No circle among files, whether an import stands at the top or inside a function; a package is its `__init__`."""
    arrows = {
        module: {
            target
            for target, _ in imports(path)
            if target != module and (str(path.relative_to(ROOT)), room(target)) not in LICENSED
        }
        for module, path in MODULES.items()
    }
    left = {module: targets & arrows.keys() for module, targets in arrows.items()}
    while True:  # what imports nothing that is left, or is imported by nothing that is left, lies on no circle
        used = set().union(*left.values()) if left else set()
        inner = {module for module, targets in left.items() if targets & left.keys() and module in used}
        if len(inner) == len(left):
            break
        left = {module: left[module] & inner for module in inner}
    circles = {module: sorted(targets & left.keys()) for module, targets in left.items()}
    assert not circles, f"these files import each other, or what does: {circles}"


def test_the_import_check_sees_imports():
    assert ("engine.engine", True) in imports(ROOT / "explain" / "pipeline.py")
    assert ("render.html", False) in imports(ROOT / "core" / "explanation.py")
    assert ("explain.explainer", False) in imports(ROOT / "cli" / "explain.py")


def test_the_top_level_holds_rooms():
    assert {path.name for path in ROOT.glob("*.py")} <= {"__init__.py", "__main__.py", "extend.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 420
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
for ending, package in (("png", "matplotlib"), ("parquet", "pyarrow")):
    try:
        e.save("why." + ending)
    except ImportError as error:
        assert f"'{package}>=" in str(error) and "saywhy[" not in str(error), error
    else:
        raise SystemExit("saved without its package")
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_the_page_of_methods_is_the_table_of_methods():
    """And the README, which is short, says how many there are."""
    page = (ROOT.parents[1] / "docs" / "methods" / "index.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| [")
    ]
    listed = {re.sub(r"\[(\w+)\]\(\1\.md\)", r"\1", row[0]): row for row in rows}
    assert list(listed) == list(METHODS)
    for name, row in listed.items():
        assert row[2] == METHODS[name].cost, name
        assert row[3].startswith("yes") == METHODS[name].complete, name
    readme = (ROOT.parents[1] / "README.md").read_text(encoding="utf-8")
    assert readme.count("\n") <= 150
    assert len(METHODS) == 21
    assert "twenty-one" in readme


def test_exported_names():
    assert {*saywhy.__all__, "classifier", "compat", "corpus", "extend", "llm"} == {*dir(saywhy)}
    assert all(hasattr(saywhy, name) for name in dir(saywhy))
    with pytest.raises(AttributeError, match="Explainer"):
        saywhy.Explain  # noqa: B018


PUBLIC = {
    "saywhy": {
        "Citations",
        "Comparison",
        "Explainer",
        "Explanation",
        "Explanations",
        "METHODS",
        "METRICS",
        "Server",
        "__version__",
        "cite",
        "compare",
        "load",
    },
    "saywhy.llm": {"Chat", "Probe", "Prompted", "Template", "in_context", "probe"},
    "saywhy.corpus": {"Corpus", "Report", "load", "report", "run"},
    "saywhy.classifier": {
        *("Architecture", "History", "NGrams", "Network", "Predictions", "Subwords", "TextClassifier", "Tokenizer"),
        *("Tokens", "Training", "Values", "hugging_face", "ngrams", "word_piece"),
    },
    "saywhy.extend": {
        *(
            "METHODS",
            "METRICS",
            "TASKS",
            "AttentionMaps",
            "AttentionWeights",
            "Candidate",
            "Case",
            "Cost",
            "EmbeddingPath",
        ),
        *(
            "Encoding",
            "EncodingOptions",
            "Feature",
            "FileError",
            "FillMask",
            "Gradients",
            "Held",
            "ImageClassification",
        ),
        *(
            "InputError",
            "Judgement",
            "LabelAttentions",
            "Method",
            "MethodError",
            "MethodGenerator",
            "Metric",
            "MissingError",
        ),
        *("Model", "ModelError", "OptionError", "Problem", "QuestionAnswering", "Question", "SaywhyError", "Scores"),
        *(
            "SentenceSimilarity",
            "Target",
            "Task",
            "TextClassification",
            "TextGeneration",
            "Token",
            "TokenClassification",
        ),
        *("Values", "ZeroShotClassification", "sentences", "unknown", "words"),
    },
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_these(module):
    found = importlib.import_module(module)
    assert set(found.__all__) == PUBLIC[module]
    assert all(hasattr(found, name) for name in found.__all__)


def test_pages_import_from_public_places_only():
    public = (*PUBLIC, "saywhy.compat")
    for page in [ROOT.parents[1] / "README.md", *(ROOT.parents[1] / "docs").rglob("*.md")]:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            for name in re.findall(r"^ *(?:from|import) (saywhy[\w.]*)", block, re.M):
                assert name in public or name.startswith("saywhy.compat."), f"{page.name} imports {name}"


def test_a_setting_is_two_edits(tmp_path):
    """As the page on extending says: one in the request, one among the command's shared options."""
    shutil.copytree(ROOT, tmp_path / "saywhy", ignore=shutil.ignore_patterns("__pycache__"))
    edits = {
        "explain/request.py": (
            ('    trust: str = "quick",\n', '    trust: str = "quick",\n    flavour: str = "plain",\n'),
            ("\n\ndef request_for(", '    flavour: str = "plain"\n\n\ndef request_for('),
            ('one_of("value of `trust`", trust, CHECKS))', 'one_of("value of `trust`", trust, CHECKS), flavour)'),
        ),
        "cli/options.py": (
            (
                '    "option": (\n',
                '    "flavour": (Annotated[str, typer.Option(help="A taste.")], "plain"),\n    "option": (\n',
            ),
        ),
    }
    for name, pairs in edits.items():
        path = tmp_path / "saywhy" / name
        text = path.read_text(encoding="utf-8")
        for old, new in pairs:
            assert text.count(old) == 1, f"{name}: {old!r} stands {text.count(old)} times"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    code = """
import inspect, sys, saywhy
from saywhy.explain.pipeline import Pipeline
from saywhy.cli import app
tasted, explain = [], Pipeline.explain
def spy(self, *args):
    tasted.append(self.request.flavour)
    return explain(self, *args)
Pipeline.explain = spy
explainer = saywhy.Explainer(lambda texts: [[len(t)] for t in texts], labels=["length"])
explainer("a b", flavour="sweet"); explainer.each_target("a b", flavour="sour"); list(explainer.stream(["a b"], flavour="salt"))
assert "flavour" in inspect.signature(saywhy.Explainer.__call__).parameters
sys.argv = ["saywhy", "explain", "good", "--flavour", "bitter", "--method", "occlusion"]
app.main()
"""
    code = code.replace("app.main()", "try: app.main()\nexcept SystemExit: pass\nprint(tasted)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['sweet', 'sour', 'salt', 'bitter']"
