"""Shapes in annotations: they are checked, they are complete, and they cost a user nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import saywhy
import shapes
from saywhy.core.coalitions import each_absent
from saywhy.core.types import EmbeddingPath, PairScores, Scores, Values
from saywhy.metrics.ranks import average_precision, spearman
from saywhy.metrics.removal import chain

ROOT = Path(saywhy.__file__).parent
FREE = {
    "engine/rules.py"
}  # a function here may take a bare tensor: operations of torch, whose operands are of any shape
BARE = {"Tensor", "Floats", "Bools", "Ints"}


PLANTED = """
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
import torch

def swapped(x: Float[Tensor, "K n"]) -> Float[Tensor, "n K"]:
    return x

def rows(n: int) -> Bool[Tensor, "2**{n} {n}"]:
    return torch.zeros(2, n).bool()

def each(xs: Sequence[Float[Tensor, " n"]], told: Mapping[str, Int[Tensor, " n"]] | None = None) -> None: ...

def asking(x: Float[Tensor, "K n"]) -> Generator[int, int, tuple[Float[Tensor, " n"], int]]:
    answer = yield 1
    return x[:, 0], answer

@dataclass(frozen=True)
class Held:
    x: Float[Tensor, "K n"]
    y: Float[Tensor, " n"] | None = None

    def first(self, at: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return self.x[0]
"""


@pytest.fixture
def planted(monkeypatch):
    """A module with wrong shapes in it, checked as the package's own are."""
    module = types.ModuleType("planted")
    monkeypatch.setitem(sys.modules, "planted", module)
    exec(compile("from __future__ import annotations\n" + PLANTED, "planted.py", "exec"), vars(module))
    shapes.check_module(module)
    return module


def test_a_planted_shape_is_found(planted):
    m = planted
    m.swapped(torch.ones(2, 2))
    with pytest.raises(shapes.ShapeError, match=r"planted.swapped: the result is torch.float32 \(2, 3\)"):
        m.swapped(torch.ones(2, 3))
    with pytest.raises(shapes.ShapeError, match="`x`"):
        m.swapped(torch.ones(2))
    with pytest.raises(shapes.ShapeError, match="int64"):
        m.swapped(torch.ones(2, 2).long())
    m.rows(1)
    with pytest.raises(shapes.ShapeError, match=r"2\*\*\{n\} \{n\}"):
        m.rows(3)


def test_a_planted_shape_within_another_thing_is_found(planted):
    m = planted
    m.each([torch.ones(3), torch.zeros(3)], {"a": torch.arange(3)})
    with pytest.raises(shapes.ShapeError):
        m.each([torch.ones(3), torch.zeros(4)])
    with pytest.raises(shapes.ShapeError):
        m.each([torch.ones(3)], {"a": torch.arange(2)})


def test_a_planted_shape_of_a_generator_and_a_dataclass_is_found(planted):
    m = planted

    def driven(x):
        generator = m.asking(x)
        assert next(generator) == 1
        with pytest.raises(StopIteration) as end:
            generator.send(7)
        return end.value.value

    assert driven(torch.ones(2, 2))[1] == 7
    with pytest.raises(shapes.ShapeError, match="the result is tuple"):
        driven(torch.ones(2, 3))
    assert m.Held(torch.ones(2, 2), torch.ones(2)).first(torch.ones(2)).shape == (2,)
    with pytest.raises(shapes.ShapeError, match="`y`"):
        m.Held(torch.ones(2, 3), torch.ones(2))
    with pytest.raises(shapes.ShapeError, match="first"):
        m.Held(torch.ones(2, 3)).first(torch.ones(2))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Scores(torch.ones(2, 3), stderr=torch.ones(2, 4)),
        lambda: Scores(torch.ones(3)),
        lambda: Values(torch.ones(2, 3)),
        lambda: PairScores({"SII": torch.ones(2, 3)}, {"SII": torch.ones(2, 4)}),
        lambda: EmbeddingPath(torch.ones(3, 2), torch.ones(3, 2), np.arange(4), 4),
        lambda: EmbeddingPath(torch.ones(3, 2), torch.ones(3, 2), np.arange(3), 3).fold(torch.ones(4).bool()),
        lambda: chain(torch.ones(2, 2).long()),
        lambda: spearman(torch.ones(2), torch.ones(3)),
        lambda: average_precision(torch.ones(2), torch.ones(2)),
    ],
)
def test_the_package_itself_is_checked(wrong):
    with pytest.raises(shapes.ShapeError):
        wrong()


def test_what_is_right_passes():
    path = EmbeddingPath(torch.ones(3, 2), torch.zeros(3, 2), np.array([0, 0, 1]), 2)
    assert path.fold(torch.tensor([[1.0, 2.0, 4.0]])).tolist() == [[3.0, 4.0]]
    assert each_absent(2).tolist() == [[True, True], [False, True], [True, False]]
    assert Scores(torch.ones(2, 3), stderr=torch.ones(2, 3)).values.shape == (2, 3)


def _bare(annotation: ast.expr) -> bool:
    """Does a tensor stand in the annotation without a shape? Those of what is called are the caller's."""
    if isinstance(annotation, ast.Subscript):
        name = ast.unparse(annotation.value)
        if name in (*shapes.DTYPES, "Callable"):
            return False
    if isinstance(annotation, ast.Name) and annotation.id in BARE:
        return True
    return any(_bare(each) for each in ast.iter_child_nodes(annotation) if isinstance(each, ast.expr))


@pytest.mark.parametrize("room", shapes.ROOMS)
def test_every_public_tensor_has_a_shape(room):
    bare, shaped = [], 0
    for path in (ROOT / room).glob("*.py"):
        name = str(path.relative_to(ROOT))
        if name in FREE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            told = []
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                told = [a.annotation for a in (*node.args.args, *node.args.kwonlyargs)] + [node.returns]
            elif isinstance(node, ast.ClassDef):
                told = [each.annotation for each in node.body if isinstance(each, ast.AnnAssign)]
            told = [each for each in told if each is not None]
            shaped += sum(bool(shapes.SHAPED.search(ast.unparse(each))) for each in told)
            bare += [f"{name}: {node.name}: {ast.unparse(each)}" for each in told if _bare(each)]
    assert not bare
    assert shaped >= 5


def test_nothing_needs_jaxtyping():
    code = """
import sys, pkgutil, importlib
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "jaxtyping" or name == "saywhy.core.shapes":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
import saywhy
for room in ("core", "methods", "metrics", "engine"):
    folder = importlib.import_module("saywhy." + room)
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name != "shapes":
            importlib.import_module(f"saywhy.{room}.{module.name}")
assert saywhy.Explainer(lambda texts: [[len(t)] for t in texts], labels=["length"])("a bc").value == 4
assert "jaxtyping" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
