"""Estimators on disk: read back with the same numbers, or refused with what to do."""

from __future__ import annotations

import io
import pickle
import threading
import time

import numpy as np
import pytest
from typer.testing import CliRunner

import saywhy
from saywhy.cli import app, streams
from saywhy.core import progress
from saywhy.extend import FileError, ModelError, OptionError

pytest.importorskip("sklearn")

from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

TEXTS = ["good film", "bad film", "a great good story", "a bad dull story", "great", "dull plot"] * 3
LABELS = ["pos", "neg", "pos", "neg", "pos", "neg"] * 3
ASKED = "great plot bad film"


@pytest.fixture(scope="module")
def pipe():
    return make_pipeline(TfidfVectorizer(lowercase=False), LogisticRegression()).fit(TEXTS, LABELS)


@pytest.mark.parametrize("ending", ["pkl", "pickle", "joblib"])
def test_pickles_are_refused_unopened(pipe, ending, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    path = tmp_path / f"model.{ending}"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match=r"pickle.*skops\.io\.dump"):
        saywhy.Explainer(path)
    assert not (tmp_path / "run").exists()
    done = CliRunner().invoke(app.app, ["explain", "good", "--model", str(path)])
    assert isinstance(done.exception, ModelError)


def test_a_skops_file(pipe, tmp_path):
    skops_io = pytest.importorskip("skops.io")
    path = tmp_path / "model.skops"
    skops_io.dump(pipe, path)
    here, there = (saywhy.Explainer(m)(ASKED, target="pos", trust="none") for m in (pipe, str(path)))
    np.testing.assert_array_equal(here.scores, there.scores)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="no sound skops"):
        saywhy.Explainer(path)
    with pytest.raises(FileError, match="no such file"):
        saywhy.Explainer(tmp_path / "other.skops")


def squared(x):
    return x


def test_a_skops_file_of_unknown_types_is_refused(tmp_path):
    skops_io = pytest.importorskip("skops.io")
    from sklearn.preprocessing import FunctionTransformer

    made = make_pipeline(FunctionTransformer(squared), CountVectorizer(), LogisticRegression()).fit(TEXTS, LABELS)
    skops_io.dump(made, tmp_path / "own.skops")
    with pytest.raises(ModelError, match="squared"):
        saywhy.Explainer(tmp_path / "own.skops")


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_of_texts(pipe, zipmap, tmp_path):
    pytest.importorskip("onnxruntime")
    skl2onnx = pytest.importorskip("skl2onnx")
    from skl2onnx.common.data_types import StringTensorType

    options = {id(pipe): {"zipmap": zipmap}}
    made = skl2onnx.to_onnx(pipe, initial_types=[("t", StringTensorType([None, 1]))], options=options, target_opset=18)
    path = tmp_path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    explainer = saywhy.Explainer(path)
    target = "pos" if zipmap else 1
    e, right = explainer(ASKED, target=target, trust="none"), saywhy.Explainer(pipe)(ASKED, target="pos", trust="none")
    assert e.target.unit == "prob"
    assert e.options["model"] == "model.onnx"
    np.testing.assert_allclose(e.scores, right.scores, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_of_columns(tmp_path):
    pytest.importorskip("onnxruntime")
    skl2onnx = pytest.importorskip("skl2onnx")
    x = np.random.default_rng(0).normal(size=(40, 3))
    model = LinearRegression().fit(x, x @ [1.0, -2.0, 3.0])
    path = tmp_path / "model.onnx"
    path.write_bytes(skl2onnx.to_onnx(model, x[:1].astype(np.float32), target_opset=18).SerializeToString())
    e = saywhy.Explainer(path, background={"x0": 0.0, "x1": 0.0, "x2": 0.0})(x[:1], trust="none")[0]
    np.testing.assert_allclose(e.scores, model.coef_ * x[0], atol=1e-5)
    path.write_bytes(b"no such thing")
    with pytest.raises(FileError, match="could not be opened"):
        saywhy.Explainer(path)


# ---- other libraries' text classifiers --------------------------------------------------------------------------------


def test_a_pipeline_of_spacy():
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    with pytest.raises(OptionError, match="no component"):
        saywhy.Explainer(nlp)
    nlp.add_pipe("sentencizer")
    bag = {
        "@architectures": "spacy.TextCatBOW.v3",
        "exclusive_classes": True,
        "ngram_size": 1,
        "no_output_layer": False,
    }
    nlp.add_pipe("textcat", config={"model": bag})
    from spacy.training import Example

    cats = [{"pos": float(label == "pos"), "neg": float(label == "neg")} for label in LABELS]
    examples = [Example.from_dict(nlp.make_doc(t), {"cats": c}) for t, c in zip(TEXTS, cats, strict=True)]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(20):
        nlp.update(examples, sgd=optimizer)
    e = saywhy.Explainer(nlp)(ASKED, target="pos", unit="log-odds", trust="none")
    p = nlp(ASKED).cats["pos"]
    assert e.value == pytest.approx(np.log(p / (1 - p)), abs=1e-5)
    assert e.top(2)[0][0] in ("great", "bad")


class Language:
    """What of spaCy's `Language` is read: components by name, their factories and labels, and documents with `cats`."""

    pipe_names = ("tagger", "kind")

    def get_pipe_meta(self, name):
        return type("Meta", (), {"factory": {"kind": "textcat_multilabel"}.get(name, name)})

    def get_pipe(self, name):
        return type("Component", (), {"labels": ("a", "b")})

    def __call__(self, text):
        return next(iter(self.pipe([text])))

    def pipe(self, texts):
        return [type("Doc", (), {"cats": {"b": 0.25, "a": 0.9 if "a" in t.split() else 0.3}}) for t in texts]


def test_labels_of_spacy_are_read_by_name():
    e = saywhy.Explainer(Language())("a b c", target="a", trust="none")
    assert (e.value, e.target.unit) == (pytest.approx(0.9), "prob")
    assert [round(float(s), 9) for s in e.scores] == [0.6, 0, 0]
    with pytest.raises(OptionError, match="at another place"):
        saywhy.Explainer(Language(), labels=["b", "a"])


def test_a_model_with_the_methods_of_setfit():
    import torch

    class SetFitLike:
        labels = ("neg", "pos")

        def predict_proba(self, texts):
            return torch.tensor([[0.2, 0.8] if "good" in t else [0.6, 0.4] for t in texts])

    e = saywhy.Explainer(SetFitLike())("a good film", trust="none")
    assert e.prediction == "pos"
    np.testing.assert_allclose(e.scores, [0, 0.4, 0], atol=1e-6)


# ---- the command -----------------------------------------------------------------------------------------------------


def run(*words):
    return run_any("explain", *words)


def run_any(*words):
    done = CliRunner().invoke(app.app, [*map(str, words)])
    return done.exit_code, done.output, done.exception


def test_a_table_of_texts(pipe, tmp_path):
    skops_io = pytest.importorskip("skops.io")
    skops_io.dump(pipe, tmp_path / "model.skops")
    table = tmp_path / "rows.csv"
    table.write_text("review,stars\ngood film,5\nbad film,1\n", encoding="utf-8")
    common = ["--model", tmp_path / "model.skops", "--table", table, "--text", "review", "--trust", "none"]
    code, said, _ = run(*common)
    assert code == 0
    assert "2 inputs" in said
    code, said, _ = run(*common, "--summary", "--target", "pos")
    assert code == 0
    right = saywhy.Explainer(pipe)(["good film", "bad film"], target="pos", trust="none").summary()
    assert said.strip() == str(right).strip()
    assert "'review'" in str(run(*common[:4], "--text", "revue")[2])
    assert run("a text", *common)[0] == 2
    assert run("a text", "--text", "review")[0] == 2


def test_a_table_of_columns(tmp_path):
    skops_io = pytest.importorskip("skops.io")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [20.0, 30.0, 45.0, 60.0], "size": [1.0, 3.0, 2.0, 5.0]})
    model = LinearRegression().fit(frame, [1.0, 2.0, 4.0, 5.0])
    skops_io.dump(model, tmp_path / "model.skops")
    frame.assign(name="x").to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "why.json"
    code, _, error = run(
        "--model", tmp_path / "model.skops", "--table", tmp_path / "rows.csv", "-o", out, "--trust", "none"
    )
    assert code == 0, error
    found = saywhy.load(out)
    right = model.coef_ * (frame - frame.mean()).to_numpy()
    np.testing.assert_allclose([e.scores for e in found], right, atol=1e-9)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_loading_is_said_when_nothing_else_shows(monkeypatch):
    monkeypatch.setattr(streams, "SILENCE", 0.0)
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with streams.loading("the model"):
        for _ in range(500):
            if stream.getvalue():
                break
            time.sleep(0.01)
    assert stream.getvalue().startswith("loading the model …")
    assert stream.getvalue().endswith("\x1b[K")
    assert not [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    with streams.loading("the model"):
        time.sleep(0.02)
    assert pipe.getvalue() == ""


def test_progress_shows_in_a_notebook_and_not_in_a_pipe(monkeypatch):
    with progress.progress(3, None) as tick:
        assert tick is None  # standard error of a test is no terminal
    kernel = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(
        __import__("sys").modules, "IPython", type("IPython", (), {"get_ipython": staticmethod(lambda: kernel)})
    )
    assert progress.in_notebook()
    with progress.progress(3, None) as tick:
        assert tick is not None
    with progress.progress(3, False) as tick:
        assert tick is None


def test_a_background_from_a_file(tmp_path):
    skops_io = pytest.importorskip("skops.io")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [20.0, 30.0, 45.0, 60.0], "size": [1.0, 3.0, 2.0, 5.0]})
    model = LinearRegression().fit(frame, [1.0, 2.0, 4.0, 5.0])
    skops_io.dump(model, tmp_path / "model.skops")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.iloc[:3].assign(name="x").to_csv(tmp_path / "others.csv", index=False)
    common = ["--model", tmp_path / "model.skops", "--table", tmp_path / "rows.csv", "--limit", "1", "--trust", "none"]
    out = tmp_path / "why.json"
    code, _, error = run(*common, "-o", out, "--background", tmp_path / "others.csv")
    assert code == 0, error
    [e] = saywhy.load(out)
    np.testing.assert_allclose(e.scores, model.coef_ * (frame.iloc[0] - frame.iloc[:3].mean()).to_numpy(), atol=1e-9)
    code, said, _ = run(*common, "--background", tmp_path / "others.csv", "--background-rows", "2")
    assert code == 0
    assert "averaged over 2 rows of the background" in " ".join(said.split())
    code, _, error = run(*common, "--background-rows", "2")
    assert code == 2
    code, said, error = run_any(
        *("compare", tmp_path / "rows.csv", "--model", tmp_path / "model.skops", "--methods", "occlusion"),
        *("--metrics", "completeness_gap", "--background", tmp_path / "others.csv"),
    )
    assert code == 0, error
    assert "occlusion" in said
    (tmp_path / "less.csv").write_text("age\n3\n", encoding="utf-8")
    assert "'size'" in str(run(*common, "--background", tmp_path / "less.csv")[2])
    assert run("a good film", "--background", tmp_path / "others.csv")[0] == 2
