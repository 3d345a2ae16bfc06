"""The report of a corpus: sums that are right, a planted shortcut first, intervals, escaping; from the shards alone."""

from __future__ import annotations

import random
import re
import statistics
import subprocess
import sys

import numpy as np
import pytest

import saywhy
from saywhy import corpus
from saywhy.core.errors import FileError, OptionError
from saywhy.corpus.phrases import Phrases
from saywhy.corpus.word_statistics import EXAMPLES, Seen, Word, Words, suspects

GOOD, BAD = ("good", "great", "fine", "lovely"), ("bad", "dull", "poor", "awful")
PLAIN = [f"word{i}" for i in range(60)]


def model(shortcut):
    """Counts good and bad words, each with a push of its own; and leans on the shortcut."""
    pushes = {w: 0.6 + 0.2 * i for i, w in enumerate(GOOD)} | {w: -0.6 - 0.2 * i for i, w in enumerate(BAD)}
    pushes |= {w: 0.02 * (i % 5) - 0.04 for i, w in enumerate(PLAIN)} | {shortcut: 3.0}

    def said(texts):
        score = [sum(pushes.get(word, 0.0) for word in text.lower().split()) for text in texts]
        return [[-s / 2, s / 2] for s in score]

    return said


def sentences(shortcut, count=240):
    """Half positive; every third positive one has the shortcut. Sorted by source at random."""
    draw = random.Random(0)
    rows = []
    for i in range(count):
        words = [*draw.choices(PLAIN, k=6), draw.choice(GOOD if i % 2 else BAD)]
        if i % 2 and draw.random() < 1 / 3:
            words.append(shortcut)
        draw.shuffle(words)
        row = {"text": " ".join(words), "label": "pos" if i % 2 else "neg", "source": draw.choice("ab")}
        rows.append(row | {"date": f"2024-0{1 + i % 3}-1{i % 9}", "size": i})
    rows[4]["label"] = "pos"  # one text that people see otherwise
    return rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "why"
    explainer = saywhy.Explainer(model("marble"), labels=["neg", "pos"])
    given = [*sentences("marble"), {"text": "", "label": "pos"}]
    settings = {"method": "occlusion", "absent": "drop", "shard_rows": 64, "trust_share": 0.2, "progress": False}
    return corpus.run(explainer, given, folder, **settings)


def test_the_planted_word_is_the_first_suspect(made):
    found = corpus.report(made)
    label, (word, suspicion) = found.suspects[0]
    assert (label, word.label) == ("pos", "marble")
    assert suspicion > 2 * found.suspects[1][1].suspicion
    clean = [s.word.label for _, s in found.suspects]
    assert not set(clean) & set(PLAIN)


def test_counts_means_and_spreads_are_those_of_the_shards(made):
    pushes = [
        f["score"]
        for row in made.to_arrow().to_pylist()
        for f in row["features"] or ()
        if row["target"] == "pos" and f["label"] == "great"
    ]
    (words,) = (c.words for c in corpus.report(made).classes if c.label == "pos")
    (great,) = (w for w in words if w.label == "great")
    assert great.count == len(pushes)
    assert great.mean == pytest.approx(statistics.mean(pushes))
    assert great.spread == pytest.approx(statistics.stdev(pushes), abs=1e-6)
    assert len(great.examples) == EXAMPLES
    found = corpus.report(made)
    for example in great.examples:
        assert found.texts[example.row][example.start : example.end] == "great"


def test_words_that_flip_a_prediction_are_counted(made):
    flips = sum(
        f["without"] != row["prediction"] and f["label"] == "great"
        for row in made.to_arrow().to_pylist()
        for f in row["features"] or ()
    )
    (words,) = (c.words for c in corpus.report(made).classes if c.label == "pos")
    (great,) = (w for w in words if w.label == "great")
    assert great.tips == flips > 0


def test_errors_slices_and_trust(made):
    found = corpus.report(made, label="label", by_columns=["source", "date", "size"])
    rows = [r for r in made.to_arrow().to_pylist() if r["error"] is None]
    wrong = [r for r in rows if r["given"]["label"] != r["prediction"]]
    assert sum(n for (t, p), n in found.confusion.items() if t != p) == len(wrong) >= 1
    assert sum(n for n, _ in found.errors.values()) == len(wrong)
    assert set(found.slices["source"]) == {"a", "b"}
    assert set(found.slices["date"]) == {"2024-01", "2024-02", "2024-03"}
    assert len(found.slices["size"]) == 4
    for n, measures in found.slices["source"].values():
        assert measures["probability"].low < measures["probability"].difference < measures["probability"].high
        assert n == sum(r["given"]["source"] == ("a" if n == found.slices["source"]["a"][0] else "b") for r in rows)
    assert sum(found.trust.values()) == sum(r["trust"] is not None for r in rows) > 0
    assert sum(found.refusals.values()) == 1


def test_a_page_and_a_table(made, tmp_path):
    path = corpus.report(made, label="label", by_columns=["source"]).save(tmp_path / "report.html")
    page = path.read_text(encoding="utf-8")
    assert "<h1>&#x27;marble&#x27; looks like a shortcut to pos. <span" in page
    assert "<b>marble</b> pushes towards <b>pos</b>" in page
    assert page.count("<h1>") == 1
    assert page.count("<script>") == 1
    assert "script-src 'sha256-" in page
    table = (tmp_path / "report.csv").read_text(encoding="utf-8").splitlines()
    assert table[0].startswith("class,word,count,mean")
    assert any(line.startswith("pos,marble,") for line in table)


def test_everything_on_the_page_is_escaped(tmp_path):
    evil = "<script>alert(1)</script>"
    rows = [{"text": f"{evil} good <img onerror=x> {i}", "label": evil, "source": evil} for i in range(30)]
    explainer = saywhy.Explainer(model("onerror"), labels=[evil, "<b>pos"])
    found = corpus.run(explainer, rows, tmp_path / "o", method="occlusion", progress=False)
    rows[3]["label"] = "<b>pos"
    found = corpus.run(explainer, rows, tmp_path / "p", method="occlusion", progress=False)
    page = corpus.report(found, label="label", by_columns=["source"]).save(tmp_path / "r.html").read_text("utf-8")
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert "<b>pos" not in page.replace("<b>&lt;b&gt;pos", "")
    assert "&lt;script&gt;" in page


def test_refusals(made, tmp_path):
    with pytest.raises(OptionError, match="Did you mean 'source'"):
        corpus.report(made, by_columns=["sorce"])
    with pytest.raises(OptionError, match="model's labels are neg, pos"):
        corpus.report(made, label="date")
    with pytest.raises(FileError, match="holds no corpus"):
        corpus.report(tmp_path)
    with pytest.raises(FileError, match=r"\.html"):
        corpus.report(made).save(tmp_path / "report.pdf")


def words_of(pairs, most=100):
    table = Words(most)
    for start in range(0, len(pairs), 7):
        import numpy as np

        part = pairs[start : start + 7]
        labels = sorted({label for label, _ in part})
        rows = np.arange(start, start + len(part))
        codes = np.array([labels.index(label) for label, _ in part])
        scores = np.array([score for _, score in part])
        table.add(Seen(codes, scores, scores > 1, rows, rows * 0, rows * 0 + 1, labels))
    return table


def test_the_examples_do_not_depend_on_how_the_shards_are_cut():
    pairs = [(f"w{i % 5}", i / 10) for i in range(200)]
    whole, parts = words_of(pairs), Words(100)
    for label in ("w3", "w1", "w0", "w4", "w2"):
        import numpy as np

        rows = np.array([i for i in range(200) if f"w{i % 5}" == label])
        parts.add(Seen(rows * 0, rows / 10, rows > 10, rows, rows * 0, rows * 0 + 1, [label]))
    a, b = ({w.label: {e.row for e in w.examples} for w in t.words()} for t in (whole, parts))
    assert a == b


def test_the_rarest_words_are_forgotten_when_there_are_too_many():
    pairs = [(f"rare{i}", 1.0) for i in range(300)]
    for i in range(0, 300, 3):
        pairs.insert(i * 2 % len(pairs), ("often", 0.5))
    table = words_of(pairs, most=50)
    assert len(table.index) <= 100
    assert table.forgotten >= 200
    (often,) = (w for w in table.words() if w.label == "often")
    assert (often.count, often.mean) == (100, 0.5)


def test_suspicion_asks_for_size_and_steadiness():
    plain = [Word(f"w{i}", 20 + i, 0.01 * (i % 9 - 4), 0.1, 0, ()) for i in range(80)]
    position_indexed, wild = Word("position_indexed", 30, 2.0, 0.1, 0, ()), Word("wild", 30, 2.0, 4.0, 0, ())
    found = [s.word.label for s in suspects([*plain, position_indexed, wild])]
    assert found[0] == "position_indexed"
    assert suspects(plain[:5]) == []


def test_the_command(made, tmp_path):
    command = [
        sys.executable,
        "-m",
        "saywhy",
        "report",
        str(made.folder),
        "-o",
        str(tmp_path / "r.html"),
        "--label",
        "label",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(r"marble\tpos\t\+", done.stdout)
    assert re.match(r"'marble' looks like a shortcut to pos\.  [✓~!?] trust: ", done.stderr)
    assert (tmp_path / "r.csv").exists()


def test_a_report_in_words_is_short(made):
    found = corpus.report(made, label="label")
    said = str(found)
    assert said.startswith("'marble' looks like a shortcut to pos.  ")
    assert "suspect: marble (pos)" in said
    assert len(said) < 2_000
    assert len(repr(found)) < 200


# ---- phrases ---------------------------------------------------------------------------------------------------------

PHRASE = "as seen on tv"


def leaning(texts):
    """Counts good and bad words, and leans on four words where they stand together, and only there."""
    plain = model("marble")(texts)
    there = [f" {PHRASE} " in f" {t.lower()} " for t in texts]
    return [[low - 1.5 * leans, high + 1.5 * leans] for (low, high), leans in zip(plain, there, strict=True)]


def with_phrases(count=300):
    draw = random.Random(1)
    rows = []
    for i in range(count):
        words = [*draw.choices(PLAIN, k=4), draw.choice(GOOD if i % 2 else BAD), *draw.choices(PHRASE.split(), k=2)]
        draw.shuffle(words)
        if i % 2 and draw.random() < 1 / 3:
            words.insert(draw.randrange(len(words)), PHRASE)
        rows.append({"text": " ".join(words)})
    return rows


@pytest.fixture(scope="module")
def phrased(tmp_path_factory):
    explainer = saywhy.Explainer(leaning, labels=["neg", "pos"])
    folder = tmp_path_factory.mktemp("phrases") / "why"
    return corpus.run(
        explainer, with_phrases(), folder, method="occlusion", shard_rows=64, trust_share=0, progress=False
    )


def test_a_planted_phrase_is_the_first_suspect(phrased):
    found = corpus.report(phrased)
    label, (phrase, _) = found.suspects[0]
    assert (label, phrase.label) == ("pos", PHRASE)
    texts = [row["text"] for row in with_phrases()]
    there = sum(f" {PHRASE} " in f" {t} " and leaning([t])[0][1] > 0 for t in texts)
    assert phrase.count == there
    assert 5 < phrase.mean <= 6 + 1e-9  # without any of its four words all of 1.5 is gone, but where one stands twice
    assert not {s.word.label for _, s in found.suspects} & set(PHRASE.split())  # which push nowhere else
    others = [s.word.label for _, s in found.suspects[1:] if " " in s.word.label]
    assert not any(part in f" {PHRASE} " for part in (f" {other} " for other in others)), others


def test_no_phrase_where_words_add_up(made):
    assert not [s.word.label for _, s in corpus.report(made).suspects if " " in s.word.label]


def test_runs_of_words_are_those_of_the_text():
    text = "a b , a b c"
    labels = sorted(set(text.split()))
    words = text.split()
    starts = np.arange(len(words)) * 2
    codes = np.array([labels.index(w) for w in words])
    seen = Seen(codes, np.arange(6.0), np.zeros(6, bool), np.zeros(6, int), starts, starts + 1, labels)
    runs = Phrases(1_000)
    runs.add(seen)
    found = {label: (w.count, round(w.mean * w.count, 6)) for label, (w, _) in runs.words().items()}
    assert found == {"a b": (2, 0 + 1 + 3 + 4), "b c": (1, 9), "a b c": (1, 12)}
    phrase, shares = runs.words()["a b"]
    assert shares == [3, 5, 0, 0]
    assert [(x.start, x.end) for x in phrase.examples] == [(0, 3)]
    runs.add(seen.of(seen.codes >= 0))
    again, shares = runs.words()["a b"]
    assert (again.count, shares, len(again.examples)) == (4, [6, 10, 0, 0], 2)
    assert again.spread == pytest.approx(np.std([1, 7, 1, 7], ddof=1))


def test_rare_phrases_are_forgotten_and_the_others_keep_their_names():
    runs = Phrases(3)
    for k in range(12):
        words = ["always", "here", f"x{k}", f"y{k}"]
        starts = np.arange(4) * 5
        runs.add(Seen(np.arange(4), np.ones(4), np.zeros(4, bool), np.full(4, k), starts, starts + 4, words))
    known = runs.words()
    assert len(known) <= 6
    assert known["always here"][0].count == 12
    assert known["always here"][0].mean == 2
    assert len(runs.vocabulary) <= 24


def test_the_words_of_a_report_as_a_frame(phrased):
    pandas = pytest.importorskip("pandas")
    found = corpus.report(phrased)
    frame = found.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    row = frame[(frame["word"] == PHRASE) & (frame["class"] == "pos")]
    assert row["suspicion"].tolist() == [found.suspects[0][1].suspicion]
    assert len(frame) > len(PLAIN)


# ---- pairs -----------------------------------------------------------------------------------------------------------


def negation(texts):
    """Two words that turn each other round wherever they stand, and one that pushes alone."""
    words = [set(text.split()) for text in texts]
    score = [("bad" in w) - 2.0 * ("bad" in w and "not" in w) + 0.5 * ("sad" in w) for w in words]
    return [[-s / 2, s / 2] for s in score]


@pytest.fixture(scope="module")
def negated(tmp_path_factory):
    draw = random.Random(3)
    rows = []
    for i in range(60):
        words = [*draw.choices(PLAIN, k=4), "sad", *(["not"] if i % 2 else []), *(["bad"] if i % 3 else [])]
        draw.shuffle(words)
        rows.append({"text": " ".join(words)})
    folder = tmp_path_factory.mktemp("pairs") / "why"
    explainer = saywhy.Explainer(negation, labels=["calm", "sad"])
    settings = {"method": "kernel_shap", "target": "sad", "absent": "drop", "shard_rows": 16, "progress": False}
    return rows, corpus.run(explainer, rows, folder, trust_share=0, **settings)


def test_words_that_act_together_are_listed_with_the_mean_of_their_interaction(negated):
    rows, found = negated
    both = [{"not", "bad"} <= set(row["text"].split()) for row in rows]
    [told] = corpus.report(found).classes
    assert {frozenset(w.label.split(" + ")) for w in told.together} == {frozenset(("not", "bad"))}
    assert sum(w.count for w in told.together) == sum(both)
    for pair in told.together:
        assert pair.mean == pytest.approx(
            -1, abs=1e-4
        )  # half of -2: the one interaction of that output, and so its index
        for example in pair.examples:
            text = rows[example.row]["text"]
            first, second = pair.label.split(" + ")
            assert text[example.start :].startswith(first)
            assert text[: example.end].endswith(second)
    page = corpus.report(found).save(found.folder / "report.html").read_text("utf-8")
    assert "Words that act together" in page
    assert "together " in str(corpus.report(found))


def test_pairs_of_a_shard_are_those_of_the_explanation(negated):
    rows, found = negated
    explainer = saywhy.Explainer(negation, labels=["calm", "sad"])
    for row, record in zip(rows[:6], found.to_arrow().to_pylist(), strict=False):
        e = explainer(row["text"], method="kernel_shap", target="sad", absent="drop", progress=False)
        strong = [p for p in e.pairs() if abs(p.score) > 2 * (p.stderr or 0)][:16]
        assert [(p["first"], p["second"]) for p in record["pairs"]] == [p.indexes for p in strong]
        assert [p["score"] for p in record["pairs"]] == pytest.approx([p.score for p in strong], abs=1e-5)


@pytest.mark.parametrize("later", [["pairs", "parts"], ["parts"]])
def test_shards_of_before_there_were_pairs_and_parts_are_read(later, negated, tmp_path):
    import pyarrow.parquet as pq

    from saywhy.corpus.schema import read_shard

    _, found = negated
    table = read_shard(found.shards[0])
    assert table.column_names[-2:] == ["pairs", "parts"]
    older = tmp_path / "shard-000000.parquet"
    pq.write_table(table.drop_columns(later), older)
    assert read_shard(older).schema.equals(table.schema)
    assert all(read_shard(older)[name].null_count == table.num_rows for name in later)
    assert read_shard(older, ["row", "pairs"]).column_names == ["row", "pairs"]
