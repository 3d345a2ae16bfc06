"""Models of rows with columns of lists, arrays, sets and mappings."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pandas")

import pandas as pd

import saywhy
from saywhy.models.columns import hashable

CELLS = [
    (["x"], ["a", "b", "c"]),
    (("x",), ("a", "b", "c")),
    ({"x"}, {"a", "b", "c"}),
    ({"x": 1}, {"a": 1, "b": [2], "c": 3}),
    (np.array([1.0]), np.array([1.0, 2.0, 3.0])),
    (np.array(["x"], dtype=object), np.array(["a", None, "c"], dtype=object)),
]


def f(frame):
    """How many tags there are, and three times the age; it asks for the type of the caller's cells too."""
    kinds.update(map(type, frame["tags"]))
    sizes = np.array([float(len(tags)) for tags in frame["tags"]])
    return np.stack([sizes + 3 * frame["age"].to_numpy(dtype=float), np.ones(len(frame))], axis=1)


kinds: set[type] = set()


@pytest.mark.parametrize(("absent", "given"), CELLS, ids=lambda cell: f"{type(cell).__name__} of {len(cell)}")
@pytest.mark.parametrize("method", ["occlusion", "kernel_shap"])
def test_a_column_of_several_values_is_a_column(absent, given, method):
    kinds.clear()
    explainer = saywhy.Explainer(f, labels=["a", "b"], background={"tags": absent, "age": 1})
    e = explainer({"tags": given, "age": 5}, target="a", method=method)
    assert (e.value, e.base) == (18.0, 4.0)
    np.testing.assert_allclose(e.scores, [2.0, 12.0], atol=1e-6)
    assert kinds == {type(given)}


def test_rows_whose_cells_are_lists_of_one_length_are_rows():
    """Two vectors of one width, or a tag and a topic each."""

    def weighted(frame):
        return [[sum(a) + 2 * sum(b), 0.0] for a, b in zip(frame["a"], frame["b"], strict=True)]

    frame = pd.DataFrame({"a": [[1.0, 2.0], [3.0, 1.0]], "b": [[1.0, 1.0], [2.0, 5.0]]})
    zeros = [{"a": [0.0, 0.0], "b": [0.0, 0.0]}]
    for background in (zeros, pd.DataFrame(zeros), ("mean", zeros)):
        explainer = saywhy.Explainer(weighted, labels=["x", "y"], background=background)
        for given in (frame, frame.to_dict("records")):
            found = explainer(given, target="x", method="occlusion")
            np.testing.assert_allclose([e.scores for e in found], [[3.0, 4.0], [4.0, 14.0]], atol=1e-6)


def test_the_most_frequent_list_stands_in():
    frame = pd.DataFrame({"tags": [["x"], ["a", "b"], ["x"], ["x", "y", "z"]], "age": [1, 2, 3, 6]})
    e = saywhy.Explainer(f, labels=["a", "b"], background=("mean", frame))(frame, target="a", method="occlusion")[3]
    np.testing.assert_allclose(e.scores, [3 - 1, 3 * (6 - 3)], atol=1e-6)


def test_rows_of_a_corpus_are_told_apart_by_what_is_in_their_cells(tmp_path):
    """Long vectors that differ in the middle, numbers and texts as names, tuples and lists."""
    pytest.importorskip("pyarrow")

    def read(frame):
        return [
            [float(len(repr(cell))) if not isinstance(cell, np.ndarray) else cell.sum(), 0.0] for cell in frame["x"]
        ]

    vectors = [np.zeros(2_000) for _ in range(2)]
    vectors[1][1_000] = 7.0
    cells = [*vectors, {1: "a"}, {"1": "a"}, (1,), [1], {1}, {10}]
    rows = [{"x": cell, "age": 1} for cell in [*cells, vectors[1].copy(), {"1": "a"}]]
    explainer = saywhy.Explainer(read, labels=["a", "b"], background=[{"x": [1, 2, 3, 4], "age": 1}])
    made = saywhy.corpus.run(
        explainer, rows, tmp_path / "out", method="occlusion", target="a", progress=False
    ).to_arrow()
    assert made["value"].to_pylist() == [0.0, 7.0, 8.0, 10.0, 4.0, 3.0, 3.0, 4.0, 7.0, 10.0]
    assert made["same_as"].to_pylist() == [None] * len(cells) + [1, 3]


def test_what_a_set_holds_is_said_in_one_order():
    assert hashable(set("fabdec")) == (set, *(repr(letter) for letter in "abcdef"))


def test_lists_nested_too_deep_to_be_looked_into_are_hashable():
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    assert hash(hashable(deep)) == hash(hashable([deep[0]]))


def test_values_are_told_apart_by_what_is_in_them():
    long = np.arange(5_000)
    other = long.copy()
    other[2_500] = 0
    same = [[1, [2]], [1, [2]]], [long, long.copy()], [{"a": [1]}, {"a": [1]}], [{1, 2}, {2, 1}], ["x", "x"]
    apart = [[1], [1.0]], [[1], (1,)], [long, other], [long, long.astype(float)], [{"a": 1}, {"b": 1}], [["a"], "a"]
    assert all(hashable(a) == hashable(b) and hash(hashable(a)) == hash(hashable(b)) for a, b in same)
    assert not any(hashable(a) == hashable(b) for a, b in apart)


@pytest.mark.parametrize(
    "value", [np.int64(3), np.bool_(True), np.float32(0.5), np.arange(3), ["a"], "a", 3, None], ids=repr
)
def test_what_stands_in_is_recorded_as_python_has_it(value, tmp_path):
    row = {"tags": value, "age": 1}
    explainer = saywhy.Explainer(lambda frame: [[0.0, a] for a in frame["age"]], labels=["a", "b"], background=row)
    e = explainer({**row, "age": 3}, method="occlusion")
    e.save(tmp_path / "why.json")
    loaded = saywhy.load(tmp_path / "why.json")
    assert loaded.options["background"] == e.options["background"] == {"tags": np.asarray(value).tolist(), "age": 1}
    assert str(loaded) == str(e)
    assert "np." not in str(e)
