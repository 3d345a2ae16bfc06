"""Models as people bring them: their own settings, wrappers and classes answer as they do when they are asked directly."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import _bert, headed, tiny, word_piece
from saywhy import Explainer
from saywhy.core.errors import InputError, ModelError, OptionError

TEXT = "I love you, I like you, I also kinda dislike you"


def fresh(name: str, head: str = "labels") -> Any:
    """A copy of a tiny model and of its tokenizer, to change."""
    return copy.deepcopy(headed(name, head))


def said(model: Any, tokenizer: Any, *texts: str) -> Tensor:
    """[labels]: the logits that the model itself gives to a text or a pair."""
    with torch.no_grad():
        return model(**tokenizer(*texts, return_tensors="pt")).logits[0]


# ---- names of the outputs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [dict, lambda names: json.loads(json.dumps(names)), lambda names: list(names.values())])
def test_names_of_outputs_stand_in_the_order_of_their_numbers_however_the_config_writes_them(write: Any) -> None:
    torch.manual_seed(0)
    model = _bert(num_labels=12).eval()
    names = {i: f"topic {letter}" for i, letter in enumerate("ABCDEFGHIJKL")}
    model.config.id2label = write(names)
    logits = said(model, word_piece(), TEXT)
    explainer = Explainer(model, word_piece())
    [(label, share)] = explainer.predict([TEXT])
    assert label == names[int(logits.argmax())]
    assert share == pytest.approx(float(logits.softmax(-1).max()), abs=1e-5)
    for i in (1, 2, 10):
        assert explainer(TEXT, target=names[i], trust="none").value == pytest.approx(float(logits[i]), abs=1e-5)


def test_a_name_that_two_outputs_have_is_asked_for_by_its_index() -> None:
    model, tokenizer = fresh("bert")
    model.config.id2label = {0: "neg", 1: "neg", 2: "pos"}
    explainer = Explainer(model, tokenizer)
    with pytest.raises(OptionError, match=r"'neg' is the name of the outputs \[0, 1\]"):
        explainer(TEXT, target="neg")
    value = explainer(TEXT, target=1, trust="none").value
    assert value == pytest.approx(float(said(model, tokenizer, TEXT)[1]), abs=1e-5)


def test_names_of_outputs_without_numbers_are_refused_in_words() -> None:
    model, tokenizer = fresh("bert")
    model.config.id2label = {"neg": "a", "pos": "b", "other": "c"}
    with pytest.raises(OptionError, match="id2label is"):
        Explainer(model, tokenizer)
