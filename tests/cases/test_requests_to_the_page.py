"""Requests to the page that look alike: each gets the answer to what it asked."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient

import saywhy
from saywhy.serve.app import application
from saywhy.serve.questions import KEPT
from saywhy.serve.served import of_explainer, served
from tiny_lm import language_model

HOME = {"base_url": "http://localhost:8765"}


@pytest.fixture(scope="module")
def page():
    with TestClient(application(list(served(()))), **HOME) as opened:
        opened.get("/api/models?wait=30")
        yield opened


def test_two_texts_in_another_order_are_another_input(page):
    explainer = saywhy.Explainer()
    given = {"premise": "I love you", "hypothesis": "so bad, I hate it"}
    inputs = [given, dict(reversed(given.items())), given]
    sets = [[], [0], [0, 1]]
    numbers = []
    for each in inputs:
        answer = page.post("/api/predict", json={"input": each, "target": "POSITIVE", "absent_features": sets})
        e = explainer(each, target="POSITIVE", method="occlusion", trust="none")
        told = answer.json()
        assert told["features"] == list(e.words)
        values = [one["value"] for one in told["numbers"]]
        assert values[:2] == pytest.approx([e.value, e.value - e.scores[0]], abs=1e-5)
        numbers.append(values)
    assert numbers[0] == pytest.approx(numbers[2], abs=1e-6)
    assert abs(numbers[0][0] - numbers[1][0]) > 0.1


def test_slots_in_another_order_are_other_features():
    """What is switched off is named by its place."""
    model, tokenizer = language_model("Llama")
    explainer = saywhy.Explainer(model, tokenizer=tokenizer)
    filled = {"template": "{a} saw {b}", "values": {"a": "cat", "b": "dog"}}
    turned = {**filled, "values": dict(reversed(filled["values"].items()))}
    with TestClient(application([of_explainer(explainer, "writer")]), **HOME) as client:
        found = [
            client.post("/api/predict", json={"input": each, "target": " a", "absent_features": [[0], [1]]}).json()
            for each in (filled, turned)
        ]
    assert [each["features"] for each in found] == [["cat", "dog"], ["dog", "cat"]]
    values = [[one["value"] for one in each["numbers"]] for each in found]
    assert values[1] == pytest.approx(values[0][::-1], abs=1e-5)
    assert abs(values[0][0] - values[0][1]) > 1e-4


def test_settings_in_another_order_are_the_same_question(page):
    desk = page.app.app.state.desk
    subject = desk.workers["sentiment"].held[0]
    settings = {"unit": "prob", "target": "POSITIVE", "absent": "mask"}
    for each in (settings, dict(reversed(settings.items()))):
        content = json.dumps({"input": "a film of its own", **each, "absent_features": [[1]]})
        assert page.post("/api/predict", content=content, headers={"content-type": "application/json"}).is_success
    assert len([key for key in subject.open if "a film of its own" in key]) == 1
    assert len(subject.open) <= KEPT
