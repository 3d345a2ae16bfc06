"""`saywhy train`, as a process and by its parts."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest

from opinions import opinions
from saywhy.classifier.from_table import Report, Table, read, split
from saywhy.core.errors import FileError, InputError, OptionError

TEXTS, LABELS, COUNTRIES = opinions()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "opinions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["review", "stars", "country", "other"])
        rows.writerows([*row, ""] for row in zip(TEXTS, LABELS, COUNTRIES, strict=True))
    return path


def saywhy(*words, **more):
    command = [sys.executable, "-m", "saywhy", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **more)


def test_a_table_to_a_folder_that_explains(table, tmp_path):
    folder = tmp_path / "model"
    done = saywhy("train", table, "--text", "review", "--label", "stars", "-o", folder, "--epochs", 12, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("held out: 24 rows, accuracy ")
    assert lines[2].split() == ["label", "rows", "predicted", "right", "recall"]
    assert [line.split()[:2] for line in lines[3:]] == [["bad", "12"], ["good", "12"]]
    assert done.stderr.splitlines() == [f"wrote {folder}; explain with: saywhy explain --model {folder} TEXT"]
    report = json.loads((folder / "report.json").read_text())
    assert report["rows"] == 24
    assert sum(n["predicted"] for n in report["labels"].values()) == 24
    assert {path.name for path in tmp_path.iterdir()} == {"opinions.csv", "model"}
    again = saywhy("train", table, "--text", "review", "--label", "stars", "-o", folder)
    assert again.returncode == 1
    assert "holds a classifier already" in again.stderr
    assert "--overwrite" in again.stderr
    assert json.loads((folder / "report.json").read_text()) == report
    why = saywhy("explain", "a wonderful film", "--model", folder, "--method", "label_attention", "--format", "json")
    assert why.returncode == 0, why.stderr
    found = json.loads(why.stdout)["explanations"][0]
    assert found["method"] == "label_attention"
    assert len(found["scores"]) == 3


def test_bad_use_is_one_line_and_comes_before_training(table, tmp_path):
    done = saywhy("train", table, "--text", "reviw", "--label", "stars", "-o", tmp_path / "m")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"saywhy: Unknown column of {table} 'reviw'. Did you mean 'review'? Allowed: 'review', 'stars', 'country', 'other'.\n"
    )
    assert not (tmp_path / "m").exists()
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "saywhy.json").write_text("{}")
    for overwrite, code, said in (([], 1, "--overwrite"), (["--overwrite"], 2, "Unknown column of")):
        done = saywhy("train", table, "--text", "reviw", "--label", "stars", "-o", tmp_path / "m", *overwrite)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr
    assert (tmp_path / "m" / "saywhy.json").read_text() == "{}"
    done = saywhy("train", table, "--text", "review", "--label", "stars", "-o", tmp_path)
    assert done.returncode == 1
    assert "holds other things" in done.stderr


def test_help_stays_light():
    code = """
import sys
from saywhy.cli import app as cli
heavy = [m for m in ("torch", "lightning", "transformers", "numpy", "tokenizers") if m in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_reading(table, tmp_path):
    found = read(table, "review", "stars", ["country"])
    assert (found.texts, found.labels, found.categories) == (TEXTS, LABELS, {"country": COUNTRIES})
    tabs = tmp_path / "x.tsv"
    tabs.write_text('\ufefft\tl\n"a\tb"\tx\nc\ty\n', encoding="utf-8")
    assert read(tabs, "t", "l", []).texts == ["a\tb", "c"]
    with pytest.raises(InputError, match="row 1: the column 'other' is empty"):
        read(table, "other", "stars", [])
    with pytest.raises(InputError, match="differ"):
        read(table, "review", "review", [])
    with pytest.raises(OptionError, match="Did you mean 'country'"):
        read(table, "review", "stars", ["contry"])
    with pytest.raises(FileError, match="no such file"):
        read(tmp_path / "nowhere.csv", "a", "b", [])
    (tmp_path / "latin.csv").write_bytes("t,l\né,x\n".encode("latin-1"))
    with pytest.raises(FileError, match="UTF-8"):
        read(tmp_path / "latin.csv", "t", "l", [])
    (tmp_path / "short.csv").write_text("t,l\na\n")
    with pytest.raises(InputError, match="'l' is empty"):
        read(tmp_path / "short.csv", "t", "l", [])
    (tmp_path / "none.csv").write_text("t,l\n")
    with pytest.raises(InputError, match="no rows"):
        read(tmp_path / "none.csv", "t", "l", [])


def test_splitting_holds_a_tenth_of_each_label_and_teaches_every_value():
    labels = ["a"] * 40 + ["b"] * 20 + ["rare"] * 3
    table = Table([str(i) for i in range(63)], labels, {"c": [str(i % 50) for i in range(63)]})
    learned, held = split(table, seed=0)
    assert sorted(learned.texts + held.texts, key=int) == table.texts
    assert len(held) <= 6
    assert "rare" not in held.labels
    assert set(held.categories["c"]) <= set(learned.categories["c"])
    assert split(table, seed=0) == (learned, held)
    plain = Table(table.texts, labels, {})
    assert sorted(split(plain, 0)[1].labels) == ["a"] * 4 + ["b"] * 2
    assert split(plain, 0)[1] != split(plain, 1)[1]


def test_the_report_in_lines():
    counts = {"a": {"rows": 1, "predicted": 2, "right": 1}, "bbbbbb": {"rows": 3, "predicted": 2, "right": 2}}
    lines = Report(4, 0.75, {**counts, "none": {"rows": 0, "predicted": 0, "right": 0}}).lines()
    assert lines[0] == "held out: 4 rows, accuracy 0.750"
    assert [line.split() for line in lines[3:]] == [
        ["bbbbbb", "3", "2", "2", "0.667"],
        ["a", "1", "2", "1", "1.000"],
        ["none", "0", "0", "0", "-"],
    ]
