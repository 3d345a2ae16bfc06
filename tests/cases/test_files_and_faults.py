"""Files, faults and hostile input: the run goes on, and what is wrong is said in one line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from benchmarks.attack import only_ours
from benchmarks.attack.commands import command
from benchmarks.attack.texts import sound
from benchmarks.attack.trials import scratch

from conftest import tiny
from saywhy import Explainer, corpus, load
from saywhy.core.errors import FileError, InputError, ModelError, OptionError, SaywhyError
from saywhy.core.explanation import Explanation
from saywhy.core.types import Feature, Target

TEXT = "a good film, not bad"


def counts(texts):
    return np.array([[len(t), t.count("a")] for t in texts], float)


def explainer(function=counts):
    return Explainer(function, labels=["n", "a"])


BAD_LINES = {
    "half an emoji": '{"text": "a \\ud83d b"}',
    "brackets": "[" * 100_000,
    "digits": '{"text": "a", "n": ' + "9" * 5_000 + "}",
    "half in a name": '{"text": "a", "\\ud800": 1}',
    "no object": "[1, 2]",
    "a long cell": '{"text": "' + "a " * 70_000 + '"}',
}


@pytest.mark.parametrize("kind", sorted(BAD_LINES))
def test_one_bad_row_does_not_end_a_run(kind, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"text": "a film"}}\n{BAD_LINES[kind]}\n{{"text": "so so"}}\n', encoding="utf-8")
    made = corpus.run(explainer(), path, tmp_path / "out", trust="none", method="occlusion")
    table = made.to_arrow().to_pydict()
    assert [table["text"][0], table["text"][2]] == ["a film", "so so"]
    assert table["value"][0] == len("a film")
    assert table["error"][0] is None
    assert ("the limit is 5,000" if kind == "a long cell" else "") in table["error"][1]


@pytest.mark.parametrize("method", ["occlusion", "kernel_shap", "shapley_sampling", "lime"])
def test_a_text_too_long_for_the_memory_is_refused_before_a_call(method):
    asked = []

    def watched(texts):
        asked.append(len(texts))
        return counts(texts)

    with pytest.raises(SaywhyError, match="Take coarser features"):
        explainer(watched)("a " * 70_000, method=method)
    assert sum(asked) <= 4


def test_a_text_on_which_the_function_raises(tmp_path):
    pytest.importorskip("pyarrow")

    def raising(texts):
        if any("boom" in t for t in texts):
            raise RuntimeError("no such word")
        return counts(texts)

    given = [{"text": t} for t in ("a film", "a boom", "so so")]
    table = corpus.run(explainer(raising), given, tmp_path / "out", trust="none").to_arrow().to_pydict()
    assert [e is None for e in table["error"]] == [True, False, True]
    assert "no such word" in table["error"][1]


@pytest.mark.parametrize("letters", ["a" * 1_000, "a" * 20_000, "." * 5_000, "漢" * 3_000, "e\u0301" * 2_000])
def test_a_word_of_any_length_is_drawn_and_its_cut_is_said(letters):
    e = Explanation(
        (Feature(letters, (0, len(letters))),), [1.0], Target("x", (0,)), "m", 1.0, 0.0, texts={"text": letters}
    )
    from saywhy.render import canvas, figure

    drawn = figure.svg(e)
    assert len(drawn) < 400_000
    shown = canvas.clipped(letters, 8.5, 120)
    assert shown.endswith("…")
    assert canvas.width(shown, 8.5) <= 120 < canvas.width(letters[: len(shown)] + "…", 8.5)


def test_what_is_cut_is_the_longest_that_fits():
    from saywhy.render.canvas import clipped, width

    for text in ("a short one", "an average sentence of words " * 5, "ilililil" * 30):
        right = text
        while right and width(right + ("…" if right != text else ""), 8.5) > 120:
            right = right[:-1]
        assert clipped(text, 8.5, 120) == (text if right == text else right.rstrip() + "…")


@pytest.mark.parametrize(
    "line",
    [
        ["explain", TEXT, "--target", "²"],
        ["explain", TEXT, "--option", "steps=" + "9" * 60],
        ["explain", TEXT, "--by", "\x1b[31m"],
        ["explain"],
        ["train", "TABLE", "--text", "text", "--label", "label", "-o", "FOLDER", "--seed", "-1"],
        ["report", "FOLDER"],
        ["report", "TABLE"],
        ["compare", "TABLE", "--text", "text", "--resume", "TABLE"],
        ["corpus", "FOLDER", "-o", "FOLDER", "--text", "text"],
    ],
)
def test_no_traceback_from_the_command(line, tmp_path):
    table = scratch() / "cases.csv"
    table.write_text("text,label\na good film,1\nso so,0\n", encoding="utf-8")
    known = {"TABLE": str(table), "FOLDER": str(tmp_path)}
    status, _, err = command([known.get(word, word) for word in line], None)
    assert status in (1, 2)
    assert "Traceback" not in err
    assert "unforeseen" not in err
    assert "\x1b" not in err


@pytest.mark.parametrize("field", ["scores", "value", "features", "target", "texts", "notes", "cost", "complete"])
@pytest.mark.parametrize("value", [None, "x", {"a": 1}, [None], 10**400, -1], ids=lambda v: str(v)[:12])
def test_a_changed_field_is_named(field, value, tmp_path):
    e = explainer()(TEXT, trust="none")
    path = e.save(tmp_path / "e.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    data["explanations"][0][field] = value
    path.write_text(json.dumps(data), encoding="utf-8")
    loaded = only_ours(lambda: load(path))
    if isinstance(loaded, FileError):
        assert field in str(loaded) or "digits" in str(loaded)
    else:
        sound(loaded)


def test_weights_are_safetensors_alone(tmp_path):
    model, tokenizer = tiny("bert")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with torch.no_grad():
        right = model(**tokenizer(TEXT, return_tensors="pt")).logits[0]
    assert Explainer(str(tmp_path), device="cpu")(TEXT, target=1, trust="none").value == pytest.approx(
        float(right[1]), abs=1e-5
    )
    whole = (tmp_path / "model.safetensors").read_bytes()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    for cut in (0, 100, len(whole) - 10):
        (tmp_path / "model.safetensors").write_bytes(whole[:cut])
        with pytest.raises(ModelError, match="Could not load"):
            Explainer(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="save_pretrained"):
        Explainer(str(tmp_path))


def test_control_characters_are_shown_not_sent():
    text = "a \x1b[31mred\x07 \u202efilm\x9b"
    x = Explainer(counts, labels=["n\x1b]0;title\x07", "a"])
    e = x(text, target=0, trust="none")
    for said in (repr(e), str(e), repr(x), str(x.each_target(text, trust="none"))):
        assert not any(c in said for c in "\x1b\x07\x9b\u202e")
    assert "\\x1b" in repr(e) + str(e)
    with pytest.raises(OptionError) as refusal:
        x(text, target="\x1b[2J")
    assert "\x1b" not in str(refusal.value)


def test_a_function_that_differs_from_call_to_call():
    draw = np.random.default_rng(0)
    x = Explainer(lambda ts: counts(ts) + draw.normal(size=(len(ts), 2)), labels=["n", "a"])
    e = x(TEXT, method="shapley_values")
    assert not any("exact" in note for note in e.notes)
    assert e.trust.level != "high"


def test_a_flipped_byte_is_noticed(tmp_path):
    made = corpus.run(explainer(), [{"text": f"a film {i}"} for i in range(6)], tmp_path / "out", trust="none")
    path = made.shards[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    with pytest.raises(FileError, match="not as it was written"):
        corpus.report(made)
    again = corpus.run(explainer(), [{"text": f"a film {i}"} for i in range(6)], tmp_path / "out", trust="none")
    assert again.to_arrow()["value"].to_pylist() == [8.0] * 6


def test_one_text_is_no_stream_of_letters():
    x = explainer()
    for call in (x.stream, x.predict):
        for wrong in ("a text", {"text": "a"}, 3, b"a"):
            with pytest.raises(InputError, match="list of inputs"):
                call(wrong)


def test_closed_standard_input(monkeypatch):
    closed = io.TextIOWrapper(io.BytesIO(b""))
    closed.close()
    monkeypatch.setattr(sys, "stdin", closed)
    from saywhy.cli.streams import text_or_input

    with pytest.raises(Exception, match="give a TEXT"):
        text_or_input(None)


def test_a_damaged_parquet_file_is_recorded_and_the_others_are_read(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    given = tmp_path / "given"
    given.mkdir()
    for name in ("a", "b", "c", "d"):
        pq.write_table(pa.table({"text": [f"file {name}", "so so"]}), given / f"{name}.parquet")
    whole = (given / "b.parquet").read_bytes()
    (given / "b.parquet").write_bytes(whole[: len(whole) // 2])
    (given / "c.parquet").write_bytes(b"")
    table = corpus.run(explainer(), given, tmp_path / "out", text="text", trust="none").to_arrow().to_pylist()
    assert [row["text"] for row in table if row["error"] is None] == ["file a", "so so", "file d", "so so"]
    assert (
        len([row for row in table if row["error"] and ("b.parquet" in row["error"] or "c.parquet" in row["error"])])
        == 2
    )


@pytest.mark.parametrize("reported", [False, True])
def test_other_readers_pass_over_the_manifest_and_a_report(tmp_path, reported):
    pq = pytest.importorskip("pyarrow.parquet")
    corpus.run(explainer(), [{"text": f"a film {i}"} for i in range(6)], tmp_path / "out", trust="none", shard_rows=2)
    if reported:
        status, _, said = command(["report", str(tmp_path / "out")], b"")
        assert status == 0
        assert "_report.html and _report.csv" in said
    assert pq.read_table(tmp_path / "out").num_rows == 6
    pandas = pytest.importorskip("pandas")
    assert list(pandas.read_parquet(tmp_path / "out")["value"]) == [8.0] * 6


def test_three_runs_started_at_once_in_a_new_folder(tmp_path):
    rows, inside, done = [{"text": f"a film {i}"} for i in range(4)], threading.Event(), threading.Event()

    def waits(texts):
        inside.set()
        assert done.wait(10)
        return counts(texts)

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(corpus.run, explainer(waits), rows, tmp_path / "out", trust="none")
        try:
            assert inside.wait(10)
            for _ in range(2):
                with pytest.raises(InputError, match="Another run is at work"):
                    corpus.run(explainer(waits), rows, tmp_path / "out", trust="none")
        finally:
            done.set()
        assert made.result().to_arrow()["value"].to_pylist() == [8.0] * 4
    again = corpus.run(explainer(waits), rows, tmp_path / "out", trust="none")
    assert len(again.to_arrow()) == 4


def test_an_input_that_is_cut_while_it_is_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text\n" + "".join(f"a film {i}\n" for i in range(400)), encoding="utf-8")

    def cuts(texts):
        path.write_text("text\na film 0\n", encoding="utf-8")
        return counts(texts)

    with pytest.raises(InputError, match="was changed while it was explained"):
        corpus.run(explainer(cuts), path, tmp_path / "out", trust="none", shard_rows=8)


def test_a_text_of_dots_alone_is_split_in_linear_time():
    e = explainer()("." * 50_000, by="sentence", method="occlusion", trust="none")
    assert len(e.features) == 1
    with pytest.raises(SaywhyError, match="Take coarser features"):
        explainer()("So it is. " * 50_000, by="sentence", method="occlusion")


FIRST_THING = """
import threading
import saywhy

together, found = threading.Barrier(3), []

def explain():
    together.wait(60)
    try:
        found.append(round(saywhy.Explainer()("a good film", trust="none").value, 4))
    except Exception as error:
        found.append(repr(error))

threads = [threading.Thread(target=explain) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*found)
"""


def test_explainers_made_by_several_threads_first_thing_in_a_process():
    """transformers imports its modules lazily, and what another thread was importing was missing for this one."""
    run = subprocess.run([sys.executable, "-c", FIRST_THING], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    expected = round(Explainer()("a good film", trust="none").value, 4)
    assert run.stdout.split() == [str(expected)] * 3
