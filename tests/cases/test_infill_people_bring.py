"""Likely words in the place of absent ones: in every part of an input, in no gap that the text has itself, by the same ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import saywhy
from conftest import headed, tiny
from saywhy.comparison.infill import Infill
from saywhy.core.errors import OptionError
from saywhy.extend import EncodingOptions


def parts(row: Any) -> tuple[Any, ...]:
    return row if isinstance(row, tuple) else (row,)


@pytest.mark.parametrize("given", ["windows", "hypotheses", "pair"])
def test_absent_words_are_filled_in_in_every_part_of_an_input(given: str) -> None:
    masked, _ = headed("bert", "blanks")
    model, tokenizer = headed("bert", "labels") if given == "hypotheses" else tiny("bert")
    task = "zero-shot-classification" if given == "hypotheses" else None
    explainer = saywhy.Explainer(model, tokenizer, task=task)
    asked: Any = {
        "windows": "I love you, I like you and the good film. " * 40,
        "hypotheses": {"text": "I love you", "labels": ["good", "a bad film"]},
        "pair": ("I love you", "the film was dull"),
    }[given]
    options = EncodingOptions(absent="mask", overlong="window")
    plain = explainer.task.encode(explainer.model, asked, options)
    filled = Infill(masked, explainer.model).encoding(plain)
    keep = np.ones((2, len(plain.features)), dtype=bool)
    keep[1, ::2] = False
    count = 0
    for before, after in zip(plain.at(keep), filled.at(keep), strict=True):
        assert len(parts(before)) == len(parts(after))
        for one, other in zip(parts(before), parts(after), strict=True):
            gone = one.ids == tokenizer.mask_token_id
            count += int(gone.sum())
            assert not (other.ids == tokenizer.mask_token_id).any()
            np.testing.assert_array_equal(one.ids[~gone], other.ids[~gone])
    assert count


def test_a_gap_of_the_text_itself_stays_a_gap() -> None:
    masked, tokenizer = headed("bert", "blanks")
    explainer = saywhy.Explainer(masked, tokenizer)
    plain = explainer.task.encode(explainer.model, f"I love {tokenizer.mask_token} you", EncodingOptions(absent="mask"))
    filled = Infill(masked, explainer.model).encoding(plain)
    nothing = filled.at(np.zeros((1, len(plain.features)), dtype=bool))[0]
    at = [i for i, token in enumerate(plain.tokens) if token.label == tokenizer.mask_token]
    assert np.flatnonzero(nothing.ids == tokenizer.mask_token_id).tolist() == at


def test_a_model_with_as_many_ids_that_are_other_tokens_is_refused(tmp_path: Any) -> None:
    import json

    masked, tokenizer = headed("bert", "blanks")
    for folder in ("same", "other"):
        masked.save_pretrained(tmp_path / folder)
        tokenizer.save_pretrained(tmp_path / folder)
    file = tmp_path / "other" / "tokenizer.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    words = told["model"]["vocab"]
    free = [word for word in words if not word.startswith("[")]
    words |= dict(zip(free, [words[word] for word in reversed(free)], strict=True))
    file.write_text(json.dumps(told), encoding="utf-8")
    explainer = saywhy.Explainer(*tiny("bert"))
    Infill(str(tmp_path / "same"), explainer.model)
    with pytest.raises(OptionError, match="other tokens by them"):
        Infill(str(tmp_path / "other"), explainer.model)
