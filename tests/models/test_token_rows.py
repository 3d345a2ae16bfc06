"""Taking tokens away from rows: one function for the rows of texts, of prompts and of classifiers."""

from __future__ import annotations

import numpy as np
import pytest

from saywhy.classifier.adapter import Row as ClassifierRow
from saywhy.models.causal.prompts import Scored
from saywhy.models.text.tokens import Absence, Row, blank_id, without

IDS = [5, 6, 7, 8]
ROWS = {
    "text": Row(np.array(IDS), {"token_type_ids": np.array([0, 0, 1, 1])}),
    "prompt": Scored(np.array(IDS), np.array([3]), 1),
    "classifier": ClassifierRow(np.array(IDS), np.array([2, -1])),
}
GONE = ([0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1])


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("gone", GONE)
def test_dropped_tokens_are_left_out_and_one_blank_stays(kind, gone):
    [left] = without(ROWS[kind], np.array([gone], bool), Absence("drop", blank=1))
    assert left.ids.tolist() == ([i for i, g in zip(IDS, gone, strict=True) if not g] or [1])
    if kind == "text":
        kinds = [t for t, g in zip([0, 0, 1, 1], gone, strict=True) if not g]
        assert left.extras["token_type_ids"].tolist() == (kinds or [0])
    if kind == "prompt":
        assert left.goal.tolist() == [3]
    if kind == "classifier":
        assert left.codes.tolist() == [2, -1]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("gone", GONE)
def test_another_id_takes_the_place(kind, gone):
    [left] = without(ROWS[kind], np.array([gone], bool), Absence("mask", blank=1, replacement_id=9))
    assert left.ids.tolist() == [9 if g else i for i, g in zip(IDS, gone, strict=True)]
    assert ROWS[kind].ids.tolist() == IDS


@pytest.mark.parametrize("kind", ["text", "prompt"])
@pytest.mark.parametrize(
    "absence", [Absence("pad", blank=1, replacement_id=0, in_ids=False), Absence("zero", blank=1)], ids=["pad", "zero"]
)
def test_an_embedding_takes_the_place_while_the_id_stays(kind, absence):
    [left] = without(ROWS[kind], np.array([GONE[1]], bool), absence)
    assert left.ids.tolist() == IDS
    assert left.absent.tolist() == [False, True, False, True]
    assert left.replacement_id == absence.replacement_id


def test_hidden_tokens_stay_and_are_not_looked_at():
    [left] = without(ROWS["text"], np.array([GONE[1]], bool), Absence("hide", blank=1))
    assert (left.ids.tolist(), left.hidden.tolist(), left.absent) == (IDS, [False, True, False, True], None)


def test_nothing_gone_is_the_row_itself():
    for way in ("drop", "hide", "mask", "zero"):
        assert without(ROWS["text"], np.zeros((1, 4), bool), Absence(way, 1, 9)) == [ROWS["text"]]


def test_the_blank_is_the_first_special_token_that_there_is():
    class Named:
        bos_token_id = None
        eos_token_id = 0
        unk_token_id = 7

    assert (blank_id(Named()), blank_id(object())) == (0, 0)
    Named.eos_token_id = None
    assert blank_id(Named()) == 7
