"""Functions as people write them: what they return, how their outputs are named, and several threads on one of them."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import saywhy
from saywhy import Explainer
from saywhy.core.errors import FileError, InputError, ModelError, OptionError

WEIGHTS = {"good": 2.0, "not": -1.0, "film": 0.5}
TEXT = "not a good film"
RIGHT = [-1.0, 0.0, 2.0, 0.5]  # an additive function: each word's Shapley value is its weight


def sums(texts):
    return np.array([sum(WEIGHTS.get(word, 0) for word in text.split()) for text in texts])


def both(texts):
    return np.stack([-sums(texts), sums(texts)], axis=1)


def frame(texts, **given):
    return pd.DataFrame(both(texts), columns=["neg", "pos"], **given)


def positive(function, labels=("neg", "pos")):
    found = Explainer(function, labels=labels)(TEXT, target="pos", trust="none")
    return found.value, found.scores


RETURNED = {
    "rows as Series": lambda texts: [pd.Series(row[::-1], index=["pos", "neg"]) for row in both(texts)],
    "rows as mappings": lambda texts: [{"pos": p, "neg": n} for n, p in both(texts)],
    "rows of labels and scores": lambda texts: [
        [{"label": "pos", "score": p}, {"label": "neg", "score": n}] for n, p in both(texts)
    ],
    "columns in a mapping": lambda texts: {"pos": sums(texts), "neg": -sums(texts)},
    "a frame sorted by a column": lambda texts: frame(texts).sort_values("pos"),
    "a frame whose index is the texts, sorted": lambda texts: frame(texts, index=list(texts)).sort_index(),
    "a frame with the columns turned round": lambda texts: frame(texts)[["pos", "neg"]],
    "a sparse matrix": lambda texts: sparse.csr_matrix(both(texts)),
    "a generator": lambda texts: (row for row in both(texts)),
    "an output with logits": lambda texts: SimpleNamespace(logits=torch.tensor(both(texts))),
    "a tuple of one array": lambda texts: (both(texts),),
    "a list of bfloat16 tensors": lambda texts: [torch.tensor(row, dtype=torch.bfloat16) for row in both(texts)],
}


@pytest.mark.parametrize("form", RETURNED)
def test_whatever_form_the_numbers_come_in_they_are_read_by_name_and_input(form):
    value, scores = positive(RETURNED[form])
    assert value == pytest.approx(1.5)
    np.testing.assert_allclose(scores, RIGHT, atol=1e-6)


def test_an_arrow_table_is_read_by_its_names():
    pa = pytest.importorskip("pyarrow")
    value, scores = positive(lambda texts: pa.table({"pos": both(texts)[:, 1], "neg": both(texts)[:, 0]}))
    assert value == pytest.approx(1.5)
    np.testing.assert_allclose(scores, RIGHT, atol=1e-6)


def test_columns_called_by_numbers_that_are_the_labels_go_by_name_and_those_of_an_array_by_place():
    named = Explainer(lambda texts: pd.DataFrame(both(texts), columns=[0, 1]), labels=[1, 0])
    assert named(TEXT, target="1", method="random", trust="none").value == pytest.approx(1.5)
    placed = Explainer(lambda texts: pd.DataFrame(both(texts)), labels=["neg", "pos"])
    assert placed(TEXT, target="pos", method="random", trust="none").value == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda texts: [{"pos": 1.0} for _ in texts], "all of them for each input"),
        (lambda texts: pd.DataFrame(both(texts), columns=["pos", "other"]), "named \\['pos', 'other'\\]"),
        (lambda texts: both(texts)[:, :1], "a column for each of the labels"),
    ],
)
def test_what_cannot_be_read_by_the_labels_is_refused(answer, said):
    with pytest.raises(ModelError, match=said):
        positive(answer)


def test_an_async_function_is_refused_with_the_way_out():
    async def model(texts):
        return both(texts)

    with pytest.raises(ModelError, match=r"asyncio\.run\(model\(texts\)\)"):
        positive(model)


def test_percentages_are_no_probabilities():
    with pytest.raises(ModelError, match=r"from 40 to 60.*Divide percentages by 100"):
        Explainer(lambda texts: [[40, 60] for _ in texts], labels=["neg", "pos"], output="probability")(TEXT)


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(["pos", "neg"], index=[1, 0]),
        pd.Series([1, 0], index=["pos", "neg"]),
        {"neg": 0, "pos": 1}.keys(),
        pd.Series(["neg", "pos"], index=["a", "b"]),
    ],
)
def test_a_series_of_labels_is_read_by_its_index_where_that_numbers_the_outputs(labels):
    assert positive(both, labels)[0] == pytest.approx(1.5)


def test_a_set_of_labels_has_no_order_and_is_refused():
    with pytest.raises(OptionError, match="a set has no order"):
        Explainer(both, labels={"neg", "pos"})


@pytest.mark.parametrize("labels", [["Pos", "Neu", "Neg"], ["pos\n", "neu", "neg"], ["pos", "neutral", "neg"]])
def test_a_name_of_another_output_is_refused_whatever_its_case_and_blanks(labels):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipe = make_pipeline(CountVectorizer(), LogisticRegression()).fit(["good", "bad", "so"], ["pos", "neg", "neu"])
    for given in (pipe, pipe.predict_proba):
        with pytest.raises(OptionError, match=r"at another place than Pipeline.classes_ has it"):
            Explainer(given, labels=labels)
    renamed = Explainer(pipe, labels=["bad", "so so", "good"]).predict(["good"])[0]
    assert renamed[0] == "good"


def test_other_names_of_the_models_own_outputs_must_keep_their_places():
    own = Explainer().model
    with pytest.raises(OptionError, match="'Positive' at another place"):
        Explainer(own.model, own.tokenizer, labels=["Positive", "Negative"])


def test_threads_on_one_function_that_fills_its_own_buffer_get_the_serial_answer():
    buffer = np.zeros((4096, 1))

    def model(texts):
        buffer[: len(texts), 0] = sums(texts)
        time.sleep(0.001)  # so that another thread gets its turn while the answer stands in the buffer
        return buffer[: len(texts)]

    texts = ["good film", "not good", "film good not", "not not film"] * 4
    explainers = [Explainer(model, labels=["score"]) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: explainers[i % 2](texts[i], trust="none").scores, range(len(texts))))
    for text, scores in zip(texts, found, strict=True):
        np.testing.assert_allclose(scores, [WEIGHTS[word] for word in text.split()], atol=1e-6)


def test_threads_on_one_function_of_rows_get_the_serial_answer():
    buffer = np.zeros((4096, 1))

    def model(frame):
        buffer[: len(frame), 0] = 2 * frame["a"] - frame["b"]
        time.sleep(0.001)
        return buffer[: len(frame)]

    explainer = Explainer(model, labels=["score"], background={"a": 0.0, "b": 0.0})
    rows = [{"a": float(i), "b": float(i % 3)} for i in range(1, 17)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: explainer(row, trust="none").scores, rows))
    np.testing.assert_allclose(found, [[2 * row["a"], -row["b"]] for row in rows], atol=1e-6)


def test_a_function_whose_answers_are_its_own_is_asked_by_all_threads_at_once():
    explainer = Explainer(lambda texts: gate(texts), labels=["score"])
    meeting = threading.Barrier(3, timeout=20)
    gathering = False

    def gate(texts):
        if gathering and list(texts) == [TEXT]:
            meeting.wait()  # broken after 20 seconds if they may not all be inside
        return sums(texts)

    explainer(TEXT)
    gathering = True
    with ThreadPoolExecutor(3) as pool:
        assert [value for _, value in pool.map(lambda _: explainer.predict([TEXT])[0], range(3))] == [1.5] * 3


def test_a_method_may_ask_about_its_own_object_from_another_thread():
    class Model:
        def length(self, texts):
            return [float(len(text)) for text in texts]

        def both(self, texts):
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(lambda: [Explainer(self.length, labels=["n"])("a b").value] * len(texts)).result()

    assert Explainer(Model().both, labels=["n"])("c d", trust="none").value == 3.0


@pytest.mark.parametrize("columns", [[1, 0], range(1, -1, -1)])
def test_columns_that_count_down_are_names(columns):
    explainer = Explainer(lambda texts: pd.DataFrame(both(texts), columns=columns), labels=[0, 1])
    assert explainer(TEXT, target="0", method="random", trust="none").value == pytest.approx(1.5)


def test_a_label_may_be_called_as_a_member_of_an_output_is():
    explainer = Explainer(
        lambda texts: pd.DataFrame(both(texts), columns=["logits", "scores"]), labels=["scores", "logits"]
    )
    assert explainer(TEXT, target="logits", method="random", trust="none").value == pytest.approx(-1.5)


def test_names_of_encoded_classes_may_be_numbers():
    from sklearn.ensemble import RandomForestClassifier

    rows = np.random.default_rng(0).normal(size=(60, 2))
    forest = RandomForestClassifier(3, random_state=0).fit(rows, np.arange(60) % 3)
    assert Explainer(forest, labels=np.array([2, 1, 9])).model.labels == ("2", "1", "9")
    with pytest.raises(OptionError, match="at another place"):
        Explainer(forest, labels=["2", "1", "0"])


def test_functions_of_their_own_do_not_wait_for_each_other():
    meeting = threading.Barrier(2, timeout=20)

    def waits(texts):
        if list(texts) == [TEXT]:
            meeting.wait()  # broken after 20 seconds if the other function may not run meanwhile
        return sums(texts)

    def other(texts):
        return waits(texts)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda f: Explainer(f, labels=["score"]).predict([TEXT]), (waits, other)))


def test_a_function_of_a_kind_that_takes_no_weak_reference_is_asked_too():
    class Slotted:
        __slots__ = ()

        def __call__(self, texts):
            return sums(texts)

    assert Explainer(Slotted(), labels=["score"])(TEXT, trust="none").value == pytest.approx(1.5)


def test_a_name_twice_in_one_object_of_json_lines_is_that_rows_fault(tmp_path):
    table = tmp_path / "rows.jsonl"
    table.write_text('{"text": "a good film", "text": "an awful film"}\n{"text": "a good film"}\n')
    saywhy.corpus.run(Explainer(), str(table), str(tmp_path / "out"), text="text", method="libra")
    errors = pd.read_parquet(tmp_path / "out")["error"]
    assert [isinstance(error, str) and "'text' stands twice" in error for error in errors] == [True, False]


def test_a_column_name_twice_in_parquet_is_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.Table.from_arrays([pa.array(["a good film"]), pa.array(["an awful film"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises((InputError, FileError), match="'text' stands over the columns 1, 2"):
        saywhy.corpus.run(Explainer(), str(tmp_path / "rows.parquet"), str(tmp_path / "out"), text="text")


@pytest.mark.parametrize("text", ["ꦱꦸꦒꦼꦁꦲꦺꦚ꧀ꦗꦁ", "ᬒᬁᬲ᭄ᬯᬲ᭄ᬢ᭄ᬬᬲ᭄ᬢᬸ", "ᦀᦂᦃᦄ", "ᨠᨡᨢᨣ", "ꪀꪁꪂꪃ", "ꆈꌠꁱꂷ"])
def test_a_sentence_in_a_script_without_blanks_is_several_features_and_a_note_says_so(text):
    found = Explainer(lambda texts: [len(t) for t in texts], labels=["length"])(text, trust="none")
    assert len(found.features) > 2
    assert any("puts no blanks between words" in note for note in found.notes)


def test_an_explanation_is_taken_apart_copied_and_written_as_any_other_data():
    found = Explainer(both, labels=["neg", "pos"])(TEXT, target="pos")
    parts = dataclasses.asdict(found)
    assert parts["texts"] == {"text": TEXT}
    assert json.loads(json.dumps(found.options)) == dict(found.options)
    for copied in (copy.deepcopy(found), pickle.loads(pickle.dumps(found)), dataclasses.replace(found)):
        assert copied.options == found.options
        for change in (lambda m: m.update(a=1), lambda m: m.pop("method", None), lambda m: m.__setitem__("a", 1)):
            with pytest.raises(TypeError, match="read-only"):
                change(copied.options)
        with pytest.raises(ValueError, match="read-only"):
            copied.scores[0] = 1.0
