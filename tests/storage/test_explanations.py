"""Files: round trips, refusals, and tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

import saywhy
from conftest import TEXTS, tiny
from saywhy.core.errors import FileError, OptionError
from saywhy.core.explanation import Explanations
from saywhy.storage.explanations import to_dict


@pytest.fixture(scope="module")
def several():
    explainer = saywhy.Explainer(*tiny("bert"))
    return {
        "one": explainer(TEXTS[2], method="kernel_shap", against=0, target=1, unit="prob"),
        "occluded": explainer(TEXTS[0], method="occlusion", by=[(0, 10), (12, 22)], absent="drop"),
        "many": explainer(TEXTS, method="input_x_gradient"),
        "labels": explainer.each_target(TEXTS[3]),
    }


@pytest.mark.parametrize("name", ["one", "occluded", "many", "labels"])
def test_what_is_saved_comes_back(several, name, tmp_path):
    what = several[name]
    path = what.save(tmp_path / "why.json")
    back = saywhy.load(path)
    assert type(back) is type(what)
    pairs = zip(what, back, strict=True) if isinstance(what, Explanations) else [(what, back)]
    for a, b in pairs:
        assert to_dict(a) == to_dict(b)
        np.testing.assert_array_equal(a.scores, b.scores)
        assert (a.gap, a.words, a.target, a.features) == (b.gap, b.words, b.target, b.features)
    assert [p.name for p in tmp_path.iterdir()] == ["why.json"]


def test_an_empty_and_a_single_sequence_come_back_as_sequences(several, tmp_path):
    for items in (Explanations(()), several["many"][:1]):
        back = saywhy.load(items.save(tmp_path / "why.json"))
        assert isinstance(back, Explanations)
        assert len(back) == len(items)


def test_missing_damaged_newer_and_foreign_files_are_refused(several, tmp_path):
    path = several["one"].save(tmp_path / "why.json")
    whole = path.read_text()
    with pytest.raises(FileError, match="no file"):
        saywhy.load(tmp_path / "nothing.json")
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="half written"):
        saywhy.load(path)
    data = json.loads(whole)
    path.write_text(json.dumps({**data, "version": 99}))
    with pytest.raises(FileError, match="version 99"):
        saywhy.load(path)
    path.write_text(json.dumps({"hello": 1}))
    with pytest.raises(FileError, match="not written by saywhy"):
        saywhy.load(path)
    del data["explanations"][0]["scores"]
    path.write_text(json.dumps(data))
    with pytest.raises(FileError, match="scores"):
        saywhy.load(path)
    with pytest.raises(OptionError, match=r"\.json"):
        saywhy.load(tmp_path / "why.html")


def test_a_failed_write_leaves_the_old_file(several, tmp_path, monkeypatch):
    path = several["one"].save(tmp_path / "why.json")
    before = path.read_text()

    def full(*args):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="disk full"):
        several["many"].save(path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["why.json"]


def test_unknown_endings_and_folders_are_refused(several, tmp_path):
    with pytest.raises(FileError, match=r"\.html"):
        several["one"].save(tmp_path / "why.htm")
    with pytest.raises(FileError, match="does not exist"):
        several["one"].save(tmp_path / "nowhere" / "why.json")


def test_every_ending_is_written(several, tmp_path):
    heads = {
        "html": b"<!doctype html",
        "svg": b"<?xml",
        "png": b"\x89PNG",
        "json": b"{",
        "parquet": b"PAR1",
        "txt": b"",
    }
    for name in ("one", "many", "labels"):
        for ending, head in heads.items():
            data = several[name].save(tmp_path / f"{name}.{ending}").read_bytes()
            assert data[:16].lower().startswith(head.lower())
            assert len(data) > 100


def test_tables(several):
    frame = several["many"].to_pandas()
    table = several["many"].to_arrow()
    assert list(frame.columns) == table.column_names
    assert len(frame) == table.num_rows == sum(len(e.features) for e in several["many"])
    e = several["many"][2]
    rows = frame[frame.explanation == 2]
    assert rows.label.tolist() == list(e.words)
    assert rows.score.to_numpy() == pytest.approx(e.scores)
    assert [e.text[a:b] for a, b in zip(rows.start, rows.end, strict=True)] == list(e.words)
    assert several["one"].to_arrow().num_rows == len(several["one"].features)


def test_results_cannot_be_changed(several):
    e = several["one"]
    with pytest.raises(ValueError, match="read-only"):
        e.scores[0] = 7
    with pytest.raises(AttributeError):
        e.value = 7
    with pytest.raises(TypeError):
        e.options["by"] = "token"


def test_sequences_by_index_label_and_slice(several):
    labels = several["labels"]
    assert labels["LABEL_1"] is labels[1]
    assert isinstance(labels[:2], Explanations)
    assert labels.matrix.shape == (3, len(labels[0].features))
    with pytest.raises(KeyError, match="LABEL_9"):
        labels["LABEL_9"]
    with pytest.raises(ValueError, match="different features"):
        _ = several["many"].matrix
