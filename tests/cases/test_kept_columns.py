"""Columns that a corpus keeps: what they hold is written down whatever it is, and a report reads it as what it was."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pandas as pd

import saywhy

TEXTS = ["good film", "bad film", "fine", "so bad"]


def f(texts):
    """The first label for texts with an f."""
    return [[1.0, 0.0] if "f" in text else [0.0, 1.0] for text in texts]


def explained(rows, folder, labels=("yes", "no")):
    explainer = saywhy.Explainer(f, labels=list(labels))
    return saywhy.corpus.run(explainer, rows, folder, method="occlusion", progress=False)


def in_itself():
    made: list = []
    made.append(made)
    return made


def deep():
    made: list = []
    for _ in range(5_000):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *((np.int64(3), "3"), (np.float32(0.5), "0.5"), (np.bool_(True), "true"), (3, "3"), ("3", "3"), (True, "true")),
        *((float("nan"), None), (np.float64("nan"), None), (pd.NA, None), (pd.NaT, None), (None, None)),
        *((np.arange(3), "[0, 1, 2]"), ([np.int64(1), {"a": np.float64(2)}], '[1, {"a": 2.0}]')),
        *((datetime.date(2020, 1, 2), "2020-01-02"), (decimal.Decimal("1.50"), "1.50")),
        *((pd.Timestamp("2020-01-02"), "2020-01-02 00:00:00"), ([datetime.date(2020, 1, 2)], '["2020-01-02"]')),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (object(), "<object object>"),
    ],
)
def test_a_kept_value_is_written_as_what_it_is(value, kept, tmp_path):
    table = explained([{"text": "good film", "kept": value}], tmp_path / "out").to_arrow()
    assert table["given"].to_pylist() == [{"kept": kept}]


@pytest.mark.parametrize("value", [in_itself(), deep()], ids=["in itself", "deep"])
def test_a_value_without_end_does_not_end_a_run(value, tmp_path):
    table = explained([{"text": "good film", "kept": value}], tmp_path / "out").to_arrow()
    assert table["error"].to_pylist() == [None]
    assert 0 < len(table["given"].to_pylist()[0]["kept"]) < 200


@pytest.mark.parametrize(
    ("truth", "labels"),
    [
        (pd.Series([0, None, 0, 1]), ("yes", "no")),  # whole numbers with a gap: floats
        (pd.Series([0, None, 0, 1], dtype="Int64"), ("yes", "no")),
        (pd.Series(["yes", None, "YES", "no"], dtype="string"), ("yes", "no")),
        (pd.Series([1, None, 1, 2]), ("1", "2")),  # names, which are no indices
        (pd.Series([np.int64(0), np.nan, np.int64(0), np.int64(1)], dtype=object), ("yes", "no")),
    ],
)
def test_a_missing_label_is_no_error_of_the_model(truth, labels, tmp_path):
    """The model is right on the three texts whose label is known."""
    frame = pd.DataFrame({"text": TEXTS, "truth": truth})
    report = saywhy.corpus.report(explained(frame, tmp_path / "out", labels), label="truth")
    assert report.confusion == {(labels[0], labels[0]): 2, (labels[1], labels[1]): 1}


def test_dates_of_a_frame_are_grouped_by_month(tmp_path):
    dates = pd.to_datetime(["2020-01-01", "2020-01-31", "2020-02-01", None])
    corpus = explained(pd.DataFrame({"text": TEXTS, "day": dates}), tmp_path / "out")
    report = saywhy.corpus.report(corpus, by_columns=["day"])
    assert {name: texts for name, (texts, _) in report.slices["day"].items()} == {
        "2020-01": 2,
        "2020-02": 1,
        "(none)": 1,
    }
