"""What stands in for absent columns, said in one call; spans and focus in a text among columns; rows as a corpus."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re

import numpy as np
import pytest

import saywhy
from reviews import COLUMNS
from saywhy.corpus import load, report, run
from saywhy.extend import InputError, OptionError

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.ensemble import GradientBoostingRegressor  # noqa: E402
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402

FRAME = pd.DataFrame({**COLUMNS, "note": [f"n{i % 3}" for i in range(32)]})
READ = ["review", "age", "city"]
ROW = {"review": "a great dull story", "age": 47.0, "city": "Rome"}


@pytest.fixture(scope="module")
def model():
    columns = ColumnTransformer(
        [
            ("t", TfidfVectorizer(), "review"),
            ("n", StandardScaler(), ["age"]),
            ("c", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    worth = [
        a / 10 + 3 * ("good" in r) - (c == "Oslo") * a / 20
        for r, a, c in zip(FRAME["review"], FRAME["age"], FRAME["city"], strict=True)
    ]
    return make_pipeline(columns, GradientBoostingRegressor(n_estimators=25, random_state=0)).fit(FRAME[READ], worth)


def shapley(players, worth):
    """Shapley values by their definition, the mean over all orders of what each adds."""
    n, out = len(players), []
    for player in players:
        others = [p for p in players if p != player]
        out.append(
            sum(
                (worth({*chosen, player}) - worth(set(chosen))) / (n * math.comb(n - 1, size))
                for size in range(n)
                for chosen in itertools.combinations(others, size)
            )
        )
    return np.array(out)


def of_row(model, background, pieces, row=ROW):
    """The Shapley values of these pieces of the review, which are cut out of it, and of the two other columns."""

    def worth(present):
        frame = pd.DataFrame(background)[READ].copy()
        text = row["review"]
        for piece in pieces:
            text = text if piece in present else re.sub(rf"\b{piece}\b", "", text)
        frame["review"] = " ".join(text.split())
        for column in ("age", "city"):
            if column in present:
                frame[column] = [row[column]] * len(frame)
        return float(np.mean(model.predict(frame)))

    return shapley([*pieces, "age", "city"], worth)


WORDS = ROW["review"].split()


# ---- one call --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (FRAME.iloc[3:8], FRAME.iloc[3:8]),
        (FRAME.iloc[3:8].to_dict("records"), FRAME.iloc[3:8]),
        ({"review": "", "age": 30.0, "city": "Lima"}, [{"review": "", "age": 30.0, "city": "Lima"}]),
        (("mean", FRAME), [{"review": "", "age": FRAME["age"].mean(), "city": "Rome"}]),
    ],
    ids=["frame", "rows", "values", "means"],
)
def test_a_background_of_one_call_takes_the_place_of_the_explainers(model, given, rows):
    explainer = saywhy.Explainer(model, background={"age": 99.0, "city": "Oslo"})
    e = explainer(ROW, background=given, trust="none")
    np.testing.assert_allclose(e.scores, of_row(model, rows, WORDS), atol=1e-9)
    bare = saywhy.Explainer(model)(ROW, background=given, trust="none")  # one row, which alone says nothing of columns
    np.testing.assert_allclose(bare.scores, e.scores, atol=1e-12)
    again = explainer(ROW, trust="none")
    np.testing.assert_allclose(
        again.scores, of_row(model, [{"review": "", "age": 99.0, "city": "Oslo"}], WORDS), atol=1e-9
    )


def test_it_is_part_of_the_frozen_request_and_recorded(model, tmp_path):
    explainer = saywhy.Explainer(model)
    request = explainer.request(background=FRAME.iloc[:5])
    assert len(request.encoding.background.rows) == 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.encoding.background = None
    many = explainer(ROW, background=FRAME.iloc[:5], trust="none")
    assert many.options["background"] == "5 rows"
    assert any("5 rows of the background" in note for note in many.notes)
    one = explainer(ROW, background={"age": 30.0, "city": None}, trust="none")
    path = one.save(tmp_path / "row.json")
    kept = json.loads(path.read_text("utf-8"))["explanations"][0]["options"]["background"]
    assert (kept["age"], kept["city"]) == (30.0, None)
    assert saywhy.load(path).options["background"]["age"] == 30.0
    assert "background={" not in str(one)  # the note tells of it
    of_all = explainer(FRAME.iloc[:3], trust="none")[0]
    assert of_all.options["background"]["age"] == pytest.approx(FRAME["age"].iloc[:3].mean())


def test_every_way_to_ask_takes_it(model):
    explainer = saywhy.Explainer(model)
    right = explainer(ROW, background=FRAME.iloc[:4], trust="none").scores
    settings = {"background": FRAME.iloc[:4], "trust": "none"}
    [each] = explainer.each_target(ROW, **settings)
    np.testing.assert_allclose(each.scores, right, atol=1e-12)
    [streamed] = explainer.stream(iter([ROW]), **settings)
    np.testing.assert_allclose(streamed.scores, right, atol=1e-12)
    assert len(list(explainer.stream(FRAME.iloc[:3], trust="none"))) == 3  # rows that are all there, by their mean
    with pytest.raises(OptionError, match="background="):
        explainer.stream(iter([ROW]))


def test_a_comparison_takes_it_and_keeps_it_apart(model, tmp_path):
    explainer, resume = saywhy.Explainer(model), tmp_path / "part.jsonl"
    asked = {"methods": ["occlusion"], "metrics": ["removal_area"], "progress": False}
    one = saywhy.compare(explainer, FRAME.iloc[:2], background=FRAME.iloc[:3], resume=resume, **asked)
    other = saywhy.compare(explainer, FRAME.iloc[:2], background=FRAME.iloc[8:9], **asked)
    own = saywhy.compare(saywhy.Explainer(model, background=FRAME.iloc[:3]), FRAME.iloc[:2], **asked)
    assert one.values.tolist() == own.values.tolist()
    assert one.values.tolist() != other.values.tolist()
    with pytest.raises(saywhy.extend.SaywhyError, match="background"):
        saywhy.compare(explainer, FRAME.iloc[:2], background=FRAME.iloc[8:9], resume=resume, **asked)


def test_what_cannot_stand_in_is_refused_before_the_model_is_asked(model):
    asked = []
    watched = saywhy.Explainer(lambda frame: asked.append(len(frame)) or frame["age"], labels=["x"], background=FRAME)
    with pytest.raises(OptionError, match="'age'"):
        watched(ROW, background={"city": "Rome", "note": "", "review": ""})
    with pytest.raises(OptionError, match=r"'agee'.*age"):
        saywhy.Explainer(model)(ROW, background={"agee": 3, "age": 3.0, "city": "Rome"})
    with pytest.raises(OptionError, match="mapping of column to value"):
        watched(ROW, background=7)
    with pytest.raises(OptionError, match="reads no rows"):
        saywhy.Explainer()("a good film", background={"age": 3})
    assert not asked


def test_categories_of_a_calls_background_stay_categories():
    lightgbm = pytest.importorskip("lightgbm")
    x = pd.DataFrame({"city": pd.Categorical(["Rome", "Oslo", "Lima", "Rome"] * 10), "age": np.arange(40.0) % 9})
    model = lightgbm.LGBMRegressor(n_estimators=8, min_child_samples=1, verbose=-1).fit(x, np.arange(40.0))
    row = {"city": "Oslo", "age": 4.0}
    e = saywhy.Explainer(model)(row, background=x.iloc[:3], trust="none")
    frame = pd.DataFrame([row]).astype({"city": x["city"].dtype})
    assert e.value == pytest.approx(float(model.predict(frame)[0]), abs=1e-9)


# ---- spans and focus within a text column ----------------------------------------------------------------------------


@pytest.mark.parametrize("by", [{"review": [(0, 7), (8, 18)]}, [(0, 7), (8, 18)]], ids=["named", "of the one text"])
def test_spans_of_a_text_column_are_features_beside_the_columns(model, by):
    background = FRAME.iloc[3:8]
    e = saywhy.Explainer(model, background=background)(ROW, by=by, trust="none")
    assert e.words == ("a great", "dull story", "age = 47", "city = Rome")
    np.testing.assert_allclose(e.scores, of_row(model, background, ["a great", "dull story"]), atol=1e-9)


def test_text_outside_the_spans_always_stays(model):
    background = FRAME.iloc[3:8]
    e = saywhy.Explainer(model, background=background)(ROW, by={"review": [(2, 7)]}, trust="none")
    assert e.words == ("great", "age = 47", "city = Rome")
    np.testing.assert_allclose(e.scores, of_row(model, background, ["great"]), atol=1e-9)


def test_spans_of_no_one_text_are_refused(model):
    explainer = saywhy.Explainer(lambda frame: frame["age"], labels=["x"], background=FRAME.iloc[:2])
    with pytest.raises(OptionError, match=r"which column"):
        explainer(ROW | {"note": "a"}, by=[(0, 2)])
    with pytest.raises(InputError, match="no text"):
        saywhy.Explainer(model, background=FRAME.iloc[:2])(ROW, by={"age": [(0, 1)]})
    with pytest.raises(OptionError, match="outside the text"):
        saywhy.Explainer(model, background=FRAME.iloc[:2])(ROW, by={"review": [(0, 99)]})


@pytest.mark.parametrize("by", ["focus", {"review": "focus"}, {"review": "focus", "age": "column"}])
def test_focus_within_a_text_column(model, by, monkeypatch):
    monkeypatch.setattr("saywhy.explain.focus.FOCUS", 4)  # words: those of one sentence
    text = "no no here. a good one. dull plot it was."
    background = FRAME.iloc[3:6]
    e = saywhy.Explainer(model, background=background)({**ROW, "review": text}, by=by, trust="none")
    assert e.words == ("no no here.", "a", "good", "one", ".", "dull plot it was.", "age = 47", "city = Rome")
    assert e.options["by"] == by
    assert any("focus" in note for note in e.notes)
    spans = [f.spans[0] for f in e.features if f.part == "review"]
    named = saywhy.Explainer(model, background=background)({**ROW, "review": text}, by={"review": spans}, trust="none")
    np.testing.assert_allclose(e.scores, named.scores, atol=1e-9)
    with pytest.raises(OptionError, match="focus"):
        saywhy.compare(saywhy.Explainer(model), FRAME.iloc[:2], ["occlusion"], ["removal_area"], by=by, progress=False)


# ---- rows as a corpus ------------------------------------------------------------------------------------------------


def scores_of(made):
    table = made.to_arrow(["features", "error"]).to_pylist()
    assert not [row["error"] for row in table if row["error"]]
    return [[f["score"] for f in row["features"]] for row in table]


def test_a_whole_frame_is_a_corpus(model, tmp_path):
    pytest.importorskip("pyarrow")
    made = run(saywhy.Explainer(model), FRAME, tmp_path / "why", progress=False)
    right = saywhy.Explainer(model, background=("mean", FRAME))(FRAME, trust="none")
    for mine, e in zip(scores_of(made), right, strict=True):
        np.testing.assert_allclose(mine, e.scores, atol=1e-6)
    said = made.manifest["settings"]["absent_columns"]
    assert "32 rows of the source" in said
    assert all(said in " ".join(row["notes"]) for row in made.to_arrow(["notes"]).to_pylist())
    assert made.manifest["settings"]["text"] == READ
    assert made.manifest["settings"]["keep"] == ["note"]
    again = run(saywhy.Explainer(model), FRAME, tmp_path / "why", progress=False)  # goes on from what is there
    assert again.complete


def test_a_corpus_takes_a_background_and_slices_by_what_the_model_reads(model, tmp_path):
    pytest.importorskip("pyarrow")
    settings = {"background": FRAME.iloc[:3], "by": {"review": "column"}, "keep": ["city", "note"], "progress": False}
    made = run(saywhy.Explainer(model), FRAME, tmp_path / "why", **settings)
    right = saywhy.Explainer(model)(FRAME, by={"review": "column"}, background=FRAME.iloc[:3], trust="none")
    for mine, e in zip(scores_of(made), right, strict=True):
        np.testing.assert_allclose(mine, e.scores, atol=1e-6)
    assert "Rome" in report(load(tmp_path / "why"), by_columns=["city"]).slices["city"]
    with pytest.raises(OptionError, match="background"):
        run(saywhy.Explainer(model), FRAME, tmp_path / "why", **{**settings, "background": FRAME.iloc[:4]})


def test_numbers_of_a_text_file_are_numbers(model, tmp_path):
    pytest.importorskip("pyarrow")
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    made = run(saywhy.Explainer(model), tmp_path / "rows.csv", tmp_path / "why", limit=9, progress=False)
    first = FRAME.iloc[:9]
    right = saywhy.Explainer(model, background=("mean", first))(first, trust="none")
    for mine, e in zip(scores_of(made), right, strict=True):
        np.testing.assert_allclose(mine, e.scores, atol=1e-6)


def test_an_empty_text_of_a_file_is_no_missing_value(tmp_path):
    pytest.importorskip("pyarrow")
    columns = ColumnTransformer([("t", CountVectorizer(), "review"), ("n", "passthrough", ["age"])])
    model = make_pipeline(columns, LogisticRegression()).fit(FRAME, FRAME["city"] == "Rome")
    (tmp_path / "rows.csv").write_text("review,age\n,20\ngood film,30\nbad,41\n", encoding="utf-8")
    made = run(saywhy.Explainer(model), tmp_path / "rows.csv", tmp_path / "why", progress=False)
    assert [len(each) for each in scores_of(made)] == [2, 3, 2]


def test_a_report_on_rows_names_columns_and_draws_them(model, tmp_path):
    """A column is one thing whatever its value, and what is drawn has the numbers of the explanations themselves."""
    pytest.importorskip("pyarrow")
    frame = pd.concat([FRAME] * 3, ignore_index=True).assign(age=np.arange(96.0) % 41 + 20)
    made = run(saywhy.Explainer(model), frame, tmp_path / "why", progress=False)
    found = report(made)
    right = saywhy.Explainer(model)(frame, trust="none")
    ours = {word.label: word for word in found.classes[0].words}
    summary = right.summary()
    for name in ("age", "city", "good"):
        assert ours[name].count == summary[name].inputs
        assert ours[name].mean == pytest.approx(summary[name].mean, abs=1e-5)
    np.testing.assert_allclose(found.drawn.values, right.values, atol=1e-5)
    assert found.drawn.feature_names == right.feature_names
    assert found.drawn.data[:, right.feature_names.index("age")].tolist() == frame["age"].tolist()
    page = found.save(tmp_path / "report.html").read_text("utf-8")
    assert 'aria-label="Mean |score|' in page
    assert "One text, feature by feature" in page


def test_a_report_draws_a_fixed_sample_of_many(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    texts = [f"good {'bad ' * (i % 3)}w{i}" for i in range(60)]
    tone = saywhy.Explainer(lambda batch: [[t.count("good") - 2.0 * t.count("bad")] for t in batch], labels=["tone"])
    one = run(tone, texts, tmp_path / "one", progress=False, shard_rows=7)
    other = run(tone, texts, tmp_path / "other", progress=False, shard_rows=50)
    monkeypatch.setattr("saywhy.corpus.sample.Sample.__init__.__defaults__", (20,))
    drawn = [[e.text for e in report(made).drawn] for made in (one, other)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 20
    places = [texts.index(text) for text in drawn[0]]
    assert places == sorted(places)
    assert places[0] < 15
    assert places[-1] > 45
    for e in report(one).drawn:
        assert e.scores[e.words.index("good")] == pytest.approx(1.0, abs=1e-5)
        assert e.texts["text"][slice(*e.features[0].span)] == "good"


def test_workers_are_told_of_a_background(tmp_path):
    pytest.importorskip("pyarrow")
    skops_io = pytest.importorskip("skops.io")
    columns = ColumnTransformer([("t", TfidfVectorizer(), "review"), ("n", "passthrough", ["age"])])
    model = make_pipeline(columns, LogisticRegression()).fit(FRAME, FRAME["city"] == "Rome")
    skops_io.dump(model, tmp_path / "model.skops")
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    settings = {"shard_rows": 10, "limit": 20, "progress": False, "background": FRAME.iloc[:2]}
    by_two = run(tmp_path / "model.skops", tmp_path / "rows.csv", tmp_path / "two", workers=2, **settings)
    alone = run(tmp_path / "model.skops", tmp_path / "rows.csv", tmp_path / "one", **settings)
    assert scores_of(by_two) == scores_of(alone)


def test_a_served_question_has_a_background(model):
    from saywhy.serve.questions import Subject, explain, question

    asked = question(
        {"input": ROW, "background": {"age": 30.0, "city": "Lima"}, "trust": "none", "method": "shapley_values"}
    )
    e = explain(Subject(saywhy.Explainer(model), "rows"), asked)
    np.testing.assert_allclose(e.scores, of_row(model, [{"review": "", "age": 30.0, "city": "Lima"}], WORDS), atol=1e-9)
    with pytest.raises(OptionError, match="100 rows"):
        question({"input": ROW, "background": [{"age": 1.0, "city": "Rome"}] * 101})
