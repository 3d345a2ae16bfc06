"""Where sentences end: cases cut by hand, in fifteen languages; any text; work that grows with the text."""

from __future__ import annotations

import itertools
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import saywhy
from saywhy.core.features import lines, own, paragraphs, words
from saywhy.core.sentences import sentences
from sentence_cases import BOOKS, CASES, LATER

MANY = settings(max_examples=2_000, deadline=None, derandomize=True, database=None)


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def parts(case: str) -> list[str]:
    """What a person says the sentences are."""
    return [part.strip() for part in case.split("|") if part.strip()]


@pytest.mark.parametrize("case", [case for cases in CASES.values() for case in cases])
def test_sentences_end_where_a_person_says(case):
    assert cut(case.replace("|", "")) == parts(case)


@pytest.mark.parametrize("case", [case for case in LATER if "the thing is . . ." not in case])
def test_sentences_of_later_cases(case):
    assert cut(case.replace("|", "")) == parts(case)


@pytest.mark.parametrize("width", [60, 72, 80, None])
def test_a_book_by_its_paragraphs_broken_at_a_width_or_not(width):
    """Lines that were only broken at a width do not end a sentence."""
    expected, written = [], []
    for case in BOOKS:
        text = case.replace("|", "")
        written.append(text if width is None else textwrap.fill(text, width, break_on_hyphens=False))
        expected += parts(case)
    assert [" ".join(sentence.split()) for sentence in cut("\n\n".join(written))] == expected


def test_lines_of_their_own_end_a_sentence():
    assert cut("Stocks rise\nRain falls\nWar ends") == ["Stocks rise", "Rain falls", "War ends"]
    assert cut("one\r\ntwo\rthree\u2028four") == ["one", "two", "three", "four"]


def test_sentences_are_features():
    heard = []

    def spy(texts):
        heard.extend(texts)
        return [[float(len(text))] for text in texts]

    text = "Dr. Fox came at 5 p.m. The U.S. team won!\n\nNobody saw it."
    e = saywhy.Explainer(spy, labels=["length"])(text, by="sentence", method="occlusion")
    assert e.words == ("Dr. Fox came at 5 p.m.", "The U.S. team won!", "Nobody saw it.")
    assert set(heard) == {
        text,
        "The U.S. team won!\n\nNobody saw it.",
        "Dr. Fox came at 5 p.m.\n\nNobody saw it.",
        "Dr. Fox came at 5 p.m. The U.S. team won!",
        "",
    }


SIGNS = (
    *("Dr", "J", "U.S", "e.g", "p.m", "etc", "no", "Fig", "word", "The", "the", "5", "3.5", "IV", "am"),
    *("слово", "मैं", "文", "い", "جيد"),
    *(".", ".", ".", "!", "?", "…", "...", "。", "।", "؟", "։", ";"),
    *(",", ":", "-", "–", '"', "'", "“", "”", "«", "»", "(", ")", "[1]"),
    *(" ", " ", " ", " ", " ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u3000", "\x1c", "😀", "\u0301"),
)  # fmt: skip


@MANY
@given(st.lists(st.sampled_from(SIGNS), max_size=40).map("".join))
def test_every_sign_of_any_text_is_in_one_sentence(text):
    found = sentences(text)
    assert all(0 <= start < end <= len(text) for start, end in found)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(found))
    assert all(text[start:end] == text[start:end].strip() for start, end in found)
    covered = {i for start, end in found for i in range(start, end)}
    assert all(i in covered or sign.isspace() for i, sign in enumerate(text))


def steps(function, *given) -> int:
    """How many lines of ours a call runs through."""
    count = 0

    def counted(frame, event, arg):
        nonlocal count
        count += frame.f_code.co_filename.endswith(("features.py", "sentences.py"))
        return counted

    before = sys.gettrace()
    sys.settrace(counted)
    try:
        function(*given)
    finally:
        sys.settrace(before)
    return count


LONG = (
    "word. ",
    ".",
    ". ",
    "J. ",
    "e.g. ",
    '."',
    ".)",
    "a\n",
    "1. a\n",
    "\n",
    " ",
    "     .",
    "。",
    "😀.",
    "🇩🇪",
    "1",
    "a'",
    "ก",
    "(",
)


@pytest.mark.parametrize("unit", LONG)
def test_work_grows_with_the_text_not_with_its_square(unit):
    for function in (words, sentences, lines, paragraphs):
        short, long = (steps(function, unit * n) for n in (400, 800))
        assert long <= 2.1 * short + 50, function.__name__
    for by in ("word", "sentence", "line", "paragraph"):
        short, long = (steps(own, text, words(text), by) for text in (unit * 400, unit * 800))
        assert long <= 2.3 * short + 200, by


@pytest.mark.parametrize("unit", LONG)
def test_long_texts_are_cut_at_all(unit):
    """With a pattern that looks back or ahead over a whole run, these would take hours."""
    text = unit * (200_000 // len(unit))
    for function in (words, sentences, lines, paragraphs):
        spans = function(text)
        assert sum(not sign.isspace() for sign in text) == sum(
            not sign.isspace() for start, end in spans for sign in text[start:end]
        )


def test_many_spans_among_many_tokens():
    tokens = [(2 * i, 2 * i + 1) for i in range(800)]
    by = [(4 * i, 4 * i + 3) for i in range(400)]
    short, long = (steps(own, "a " * 2 * n, tokens[: 2 * n], by[:n]) for n in (200, 400))
    assert long <= 2.3 * short
