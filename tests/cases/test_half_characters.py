"""Half an emoji, which no file, page or tokenizer takes: refused in words wherever it may stand in an input."""

from __future__ import annotations

import os
import sys

import pytest

import saywhy
from saywhy.core.errors import InputError
from saywhy.llm import Template
from saywhy.llm.citations.documents import documents_of, passed_over, read_documents
from tiny_lm import language_model

HALF = "\ud800"


@pytest.fixture(scope="module")
def writer():
    model, tokenizer = language_model("Llama")
    return saywhy.Explainer(model, tokenizer=tokenizer)


@pytest.mark.parametrize(
    "given",
    [
        {f"part {HALF}": "a good film"},
        {"first": "a good film", HALF: "another"},
        {"first": "a good film", "second": HALF},
    ],
)
def test_in_the_parts_of_an_input(given):
    with pytest.raises(InputError, match="half a character"):
        saywhy.Explainer()(given)


@pytest.mark.parametrize(
    ("text", "values", "baselines"),
    [
        ("say {a}", {"a": HALF}, {"a": "x"}),
        ("say {a}", {"a": "y"}, {"a": ["x", HALF]}),
        (f"say {HALF} {{a}}", {"a": "y"}, None),
        (f"say {{{HALF}}}", {HALF: "y"}, None),
        ([{"role": "user", "content": f"{HALF} {{a}}"}], {"a": "y"}, None),
    ],
)
def test_in_a_template(text, values, baselines, writer):
    with pytest.raises(InputError, match="half a character"):
        writer(Template(text, values, baselines), target=" a", method="occlusion")


@pytest.mark.parametrize("field", ["id", "title", "text"])
def test_in_a_document(field):
    with pytest.raises(InputError, match=f"The {field} of document 1 holds half a character"):
        documents_of(["One.", {"text": "Two.", field: f"Two {HALF}."}])


def test_in_a_row():
    pd, linear = pytest.importorskip("pandas"), pytest.importorskip("sklearn.linear_model")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    from sklearn.pipeline import make_pipeline

    frame = pd.DataFrame({"plan": ["a", "b"] * 4, "city": ["x", "y", "y", "x"] * 2})
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore")
    model = make_pipeline(encoder, linear.LogisticRegression()).fit(frame, [0, 1] * 4)
    explainer = saywhy.Explainer(model, background=frame)
    with pytest.raises(InputError, match="The column 'city' holds half a character"):
        explainer({"plan": "a", "city": HALF})


def test_the_server_says_so_too():
    pytest.importorskip("starlette")
    from starlette.testclient import TestClient

    from saywhy.serve.app import application
    from saywhy.serve.served import served

    with TestClient(
        application(list(served(()))), base_url="http://localhost", raise_server_exceptions=False
    ) as client:
        content = b'{"input": {"\\ud800": "a good film"}}'
        answer = client.post("/api/explain", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "half a character" in answer.json()["error"]["message"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_not_utf_8_is_a_document(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("One sentence.", encoding="utf-8")
    (tmp_path / os.fsdecode(b"blank\xe9.txt")).write_text(" ", encoding="utf-8")
    found = read_documents(tmp_path)
    assert [document.id for document in found] == ["caf?.txt"]
    assert passed_over(tmp_path, found) == ["blank?.txt"]
