"""A corpus: shards, resumption, copies, bad rows, refusals."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import saywhy
from conftest import tiny
from saywhy import corpus
from saywhy.core.errors import FileError, InputError, OptionError

TEXTS = [
    "the movie was fantastic",
    "a dull mess",
    "the movie was fantastic",
    "what a lovely day",
    "I love you, I like you",
    "short",
    "not good at all",
    "a terrible night",
    "short",
    "what a lovely terrible day",
    "nobody knows",
]


@pytest.fixture(scope="module")
def explainer():
    return saywhy.Explainer(*tiny("bert"))


def rows(texts=TEXTS):
    return [{"text": text, "n": i} for i, text in enumerate(texts)]


def go(explainer, source, folder, **more):
    return corpus.run(explainer, source, folder, **{"method": "libra", "shard_rows": 4, "progress": False, **more})


def test_a_corpus_says_what_the_explainer_says(explainer, tmp_path):
    found = go(explainer, rows(), tmp_path / "o", trust_share=1.0).to_arrow().to_pylist()
    alone = explainer(TEXTS, method="libra", progress=False)
    assert [r["row"] for r in found] == list(range(len(TEXTS)))
    for r, e in zip(found, alone, strict=True):
        assert (r["text"], r["prediction"], r["target"]) == (e.text, e.prediction, e.target.label)
        assert (r["trust"], r["error"]) == (e.trust.level, None)
        assert [f["label"] for f in r["features"]] == list(e.words)
        assert [r["text"][f["start"] : f["end"]] for f in r["features"]] == list(e.words)
        assert [f["score"] for f in r["features"]] == pytest.approx(e.scores, abs=1e-5)
        assert (r["value"], r["base"], r["gap"]) == pytest.approx((e.value, e.base, e.gap), abs=1e-5)
    assert [r["given"]["n"] for r in found] == [str(i) for i in range(len(TEXTS))]


def test_identical_texts_are_computed_once_also_across_shards(explainer, tmp_path):
    found = go(explainer, rows(), tmp_path / "o")
    by_row = found.to_arrow().to_pylist()
    assert [r["same_as"] for r in by_row] == [None, None, 0, None, None, None, None, None, 5, None, None]
    assert by_row[8]["rows"] == 0
    assert by_row[8]["features"] == by_row[5]["features"]
    assert found.manifest["done"]["copies"] == 2
    assert go(explainer, rows(), tmp_path / "n", cache=0).manifest["done"]["copies"] == 1


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "folder", "generator", "texts", "dataset"])
def test_inputs(explainer, tmp_path, ending):
    table = pa.table({"text": TEXTS, "n": list(range(len(TEXTS)))})
    source = tmp_path / f"in.{ending}"
    if ending in ("csv", "tsv"):
        with source.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if ending == "csv" else "\t")
            writer.writerows([("text", "n"), *zip(TEXTS, range(len(TEXTS)), strict=True)])
    elif ending == "jsonl":
        source.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    elif ending == "parquet":
        pq.write_table(table, source)
    elif ending == "folder":
        (source / "deep").mkdir(parents=True)
        pq.write_table(table.slice(0, 6), source / "a.parquet")
        pq.write_table(table.slice(6), source / "deep" / "b.parquet")
    elif ending == "generator":
        source = (row for row in rows())
    elif ending == "texts":
        source = list(TEXTS)
    else:
        source = pytest.importorskip("datasets").Dataset.from_list(rows())
    found = go(explainer, source, tmp_path / "o").to_arrow()
    assert found["text"].to_pylist() == TEXTS
    if ending == "texts":
        assert "given" not in found.column_names
        return
    n = found["given"].combine_chunks().field("n")
    assert n.type == (pa.int64() if ending in ("parquet", "folder", "dataset") else pa.string())
    assert [int(x) for x in n.to_pylist()] == list(range(len(TEXTS)))


def test_bad_rows_are_recorded_and_the_run_goes_on(explainer, tmp_path):
    bad = [{"text": ""}, {"text": None}, {"text": 7}, {"text": "long " * 100}, {"n": 1}, {"text": "fine"}]
    found = go(explainer, [*rows(), *bad], tmp_path / "o").to_arrow().to_pylist()[len(TEXTS) :]
    said = ["empty or blank", "holds nothing", "no text", "tokens", "holds nothing", None]
    for r, words in zip(found, said, strict=True):
        assert r["error"] is None if words is None else words in r["error"]
        assert (r["features"] is None) == (words is not None)


def test_a_line_that_is_no_json_is_a_bad_row(explainer, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "good"}\n{"text": \n[1]\n{"text": "bad"}\n', encoding="utf-8")
    found = go(explainer, source, tmp_path / "o").to_arrow()
    assert found["text"].to_pylist() == ["good", None, None, "bad"]
    assert "line 2 is no sound JSON" in found["error"][1].as_py()


def test_rows_broken_in_different_ways_are_no_copies(explainer, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "good"}\n{oops\n{"text": null}\n[1]\n{"text": null}\n', encoding="utf-8")
    found = go(explainer, source, tmp_path / "o", shard_rows=5).to_arrow().to_pylist()
    assert [r["same_as"] for r in found] == [None, None, None, None, 2]
    assert ["holds nothing" in r["error"] for r in found[1:]] == [False, True, False, True]
    assert "not a JSON object" in found[3]["error"]


def test_no_text_is_lost_where_memory_runs_out(explainer, tmp_path, monkeypatch):
    forward = explainer.model.forward

    def small(rows, points=None):
        if len(rows) > 3:
            raise RuntimeError("CUDA out of memory")
        return forward(rows, points)

    monkeypatch.setattr(explainer.model, "forward", small)
    texts = [f"{TEXTS[i % 11]} {i}" for i in range(300)]
    found = go(explainer, texts, tmp_path / "o", shard_rows=300).to_arrow()
    assert found["text"].to_pylist() == texts
    assert found["error"].null_count == 300


def test_strict_stops_at_a_bad_row_and_keeps_the_shards_before(explainer, tmp_path):
    given = [*rows()[:6], {"text": "", "n": 6}, *rows()[7:]]
    with pytest.raises(InputError, match="Row 6"):
        go(explainer, given, tmp_path / "o", strict=True)
    assert len(corpus.load(tmp_path / "o").shards) == 1
    with pytest.raises(InputError, match=r"Row 1: .*tokens"):
        go(explainer, ["fine", "long " * 100], tmp_path / "p", strict=True)
    assert go(explainer, given, tmp_path / "o").manifest["done"]["errors"] == 1


def test_refusals_come_before_the_model_is_called(tmp_path):
    explainer = saywhy.Explainer(*tiny("bert"))
    calls = []
    forward = explainer.model.forward
    explainer.model.forward = lambda *a: (calls.append(1), forward(*a))[1]
    for more, error in [
        ({"method": "occlusoin"}, "occlusion"),
        ({"text": "txt"}, "Did you mean 'text'"),
        ({"keep": ["m"]}, "no column 'm'"),
        ({"keep": ["n", "text"]}, "leave it out of `keep`"),
        ({"trust_share": 2}, "share"),
        ({"engine": "spark"}, "local"),
        ({"target": "nothing"}, "LABEL_0"),
        ({"nonsense": 1}, "nonsense"),
        ({"by": [(0, 1)]}, "spans differ"),
    ]:
        with pytest.raises((OptionError, InputError), match=error):
            go(explainer, rows(), tmp_path / "o", **more)
    with pytest.raises(FileError, match="no such file"):
        go(explainer, tmp_path / "none.csv", tmp_path / "o")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(FileError, match="holds other files"):
        go(explainer, rows(), tmp_path / "full")
    with pytest.raises(OptionError, match="lies inside"):
        go(explainer, tmp_path, tmp_path / "o")
    assert not calls


def test_another_setting_or_input_on_the_same_folder_is_refused(explainer, tmp_path):
    go(explainer, rows(), tmp_path / "o")
    with pytest.raises(OptionError, match=r"method .'libra' there, 'occlusion' now"):
        go(explainer, rows(), tmp_path / "o", method="occlusion")
    other = saywhy.Explainer(*tiny("distilbert"))
    with pytest.raises(OptionError, match="weights"):
        go(other, rows(), tmp_path / "o")
    with pytest.raises(InputError, match="the input has changed"):
        go(explainer, rows(TEXTS[::-1]), tmp_path / "o")
    with pytest.raises(OptionError, match="input"):
        go(explainer, rows(TEXTS[:-1]), tmp_path / "o")
    go(explainer, iter(rows()), tmp_path / "p")
    with pytest.raises(InputError, match="ends after 8 rows"):
        go(explainer, iter(rows(TEXTS[:8])), tmp_path / "p")


def test_what_is_there_is_not_computed_again(explainer, tmp_path):
    whole = go(explainer, rows(), tmp_path / "o").to_arrow()
    paths = corpus.load(tmp_path / "o").shards
    before = [p.stat().st_mtime_ns for p in paths]
    paths[1].unlink()
    (tmp_path / "o" / ".shard-000001.parquet.half").write_bytes(b"PAR1")
    again = go(explainer, rows(), tmp_path / "o")
    assert again.to_arrow().equals(whole)
    after = [p.stat().st_mtime_ns for p in again.shards]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert not list((tmp_path / "o").glob(".shard*"))


CODE = """
import sys
import torch
torch.set_num_threads(1)
from saywhy import corpus
corpus.run(sys.argv[3], sys.argv[1], sys.argv[2], method="occlusion", shard_rows=16, progress=False)
"""


def test_killed_at_random_moments_it_ends_with_the_same_rows(tmp_path):
    source = tmp_path / "in.csv"
    model, tokenizer = tiny("bert")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    texts = [f"{TEXTS[i % 11]} {TEXTS[i * 7 % 10]} {i % 100}" for i in range(160)]
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([t] for t in texts)])
    model_path = str(tmp_path / "model")
    whole = go(model_path, source, tmp_path / "whole", method="occlusion", shard_rows=16).to_arrow()
    command = [sys.executable, "-c", CODE, str(source), str(tmp_path / "o"), model_path]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    for kill in range(2):  # kill as soon as a few more shards are there: in the midst of the next
        running = subprocess.Popen(command, env=env)
        while running.poll() is None and len(list((tmp_path / "o").glob("shard*"))) < 3 * kill + 2:
            time.sleep(0.001)
        assert running.poll() is None
        running.send_signal(signal.SIGKILL)
        running.wait()
    subprocess.run(command, env=env, check=True)
    found = corpus.load(tmp_path / "o")
    assert found.complete
    assert found.to_arrow().equals(whole)


def test_two_runs_do_not_write_into_one_folder(explainer, tmp_path):
    from saywhy.corpus.plan import alone

    (tmp_path / "o").mkdir()
    with alone(tmp_path / "o"), pytest.raises(InputError, match="Another run"), alone(tmp_path / "o"):
        pass


def test_memory_does_not_grow_with_the_rows(tmp_path):
    import gc
    import tracemalloc

    explainer = saywhy.Explainer(lambda texts: [[t.count("a"), len(t)] for t in texts], labels=["a", "length"])

    def peak(count):
        gc.collect()  # what earlier tests left in cycles is not this run's
        tracemalloc.start()
        texts = ({"text": f"a bad {i} day", "n": i} for i in range(count))
        folder = tmp_path / f"{count}-{len(list(tmp_path.iterdir()))}"
        go(explainer, texts, folder, method="occlusion", shard_rows=50, cache=50, trust="none")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = 300, 1_800
    peak(many)  # fills the caches that have a bound of their own
    # One input that is kept is a mapping and a text, 245 bytes and more; what the collector has not yet taken is far less.
    assert peak(many) - peak(few) < 150 * (many - few)


def test_several_columns_are_parts_and_spans_index_the_joined_text(explainer, tmp_path):
    pairs = [{"first": "a dull mess", "second": "what a lovely day", "n": 0}]
    found = go(explainer, pairs, tmp_path / "o", text=["first", "second"]).to_arrow().to_pylist()[0]
    assert found["text"] == "a dull mess\nwhat a lovely day"
    assert [found["text"][f["start"] : f["end"]] for f in found["features"]] == [f["label"] for f in found["features"]]
    assert found["given"] == {"n": "0"}


def test_the_command(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("review,stars\na dull mess,1\n,2\nlovely,5\n", encoding="utf-8")
    command = [sys.executable, "-m", "saywhy", "corpus", str(source), "-o", str(tmp_path / "o"), "--text", "review"]
    done = subprocess.run([*command, "--method", "libra"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 rows in 1 shard, 1 that could not be explained" in done.stderr
    done = subprocess.run([*command, "--method", "occlusion"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "method" in done.stderr
