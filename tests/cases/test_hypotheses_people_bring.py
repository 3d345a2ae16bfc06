"""Candidate labels as the transformers pipeline takes them: a list as it stands, a text taken apart at its commas."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import pipeline

import saywhy
from conftest import headed

TEXT = "I love you"


@pytest.mark.parametrize("name", ["roberta", "bart"])
@pytest.mark.parametrize(
    "labels", [["  good", "a bad film "], ["Apple", "apple"], "good,, bad film ,", ["good,bad", "x"]]
)
@pytest.mark.parametrize("made", [True, False])
def test_labels_are_asked_as_they_are_written(name: str, labels: Any, made: bool) -> None:
    model, tokenizer = headed(name, "labels")
    settings = {"candidate_labels": labels} if made else {}
    pipe = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer, multi_label=True, **settings)
    told = pipe(TEXT, **({} if made else {"candidate_labels": labels}))
    right = dict(zip(told["labels"], told["scores"], strict=True))
    given = TEXT if made else {"text": TEXT, "labels": labels}
    found = saywhy.Explainer(pipe).each_target(given, method="random", unit="prob", trust="none")
    assert {e.target.label: e.value for e in found} == pytest.approx(right, abs=1e-6)
    first = next(iter(right))
    e = saywhy.Explainer(pipe)(given, target=first, method="random", unit="prob", trust="none")
    assert e.value == pytest.approx(right[first], abs=1e-6)
