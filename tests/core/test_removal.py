"""What is left of a text when some of its spans are removed reads as a person would write it."""

from __future__ import annotations

import itertools
import random
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import saywhy
from saywhy.core.features import remover, text_features, without_spans, words

MANY = settings(max_examples=2_500, deadline=None, derandomize=True, database=None)


def left(text: str, *gone: str, filler: str | None = None) -> str:
    """The text without some of its words."""
    spans = words(text)
    return without_spans(text, spans, [text[a:b] not in gone for a, b in spans], filler)


@pytest.mark.parametrize(
    ("text", "gone", "expected"),
    [
        ("a (good) film", "a", "(good) film"),
        ("a (good) film", "(", "a good) film"),
        ("a (good) film", "good", "a () film"),
        ("a (good) film", ")", "a (good film"),
        ("a (good) film", "( good", "a ) film"),
        ("a (good) film", "good )", "a ( film"),
        ("a (good) film", "( good )", "a film"),
        ("a (very good) film", "very", "a (good) film"),
        ("a (very good) film", "good", "a (very) film"),
        ("Costs $5 only", "$", "Costs 5 only"),
        ("Costs $5 only", "5", "Costs $ only"),
        ('He said "great" today', "said", 'He "great" today'),
        ('He said "great" today', "great", 'He said "" today'),
        ('He said "great" today', "today", 'He said "great"'),
        ('He said "so great" today', "so", 'He said "great" today'),
        ('He said "so great" today', "great", 'He said "so" today'),
        ("Er sagte „sehr gut“ dazu", "sehr", "Er sagte „gut“ dazu"),
        ("Er sagte „sehr gut“ dazu", "gut", "Er sagte „sehr“ dazu"),
        ("on Monday #promo", "#", "on Monday promo"),
        ("on Monday #promo", "promo", "on Monday #"),
        ("ask @bob now", "@", "ask bob now"),
        ("ask @bob now", "bob", "ask @ now"),
        ("I like it. You do?", "it", "I like. You do?"),
        ("I like it. You do?", "do", "I like it. You?"),
        ("I like it. You do?", ".", "I like it You do?"),
        ("so 😀!", "😀", "so!"),
        ("nice :) film", ":", "nice ) film"),
        ("use well.known names", "well", "use .known names"),
        ("我爱你。好", "爱", "我你。好"),
        ("日本 語", "本", "日 語"),
        ("ภาษา ไทย", "ไ", "ภาษา ทย"),
        ("one\ntwo\n\nthree four", "two", "one\n\nthree four"),
        ("one\ntwo\n\nthree four", "three", "one\ntwo\n\nfour"),
        ("one\n    two\nthree", "two", "one\nthree"),
        ("The end\nfine.", "fine", "The end\n."),
        ("  good\n bad ", "good", "bad "),
        ("  good\n bad ", "bad", "  good "),
        ("  good\n bad ", "good bad", ""),
        ("a b", "b", "a"),
        ("a  b\tc", "b", "a\tc"),
        ("", "", ""),
    ],
)
def test_what_is_left_reads_as_a_person_would_write_it(text, gone, expected):
    assert left(text, *gone.split()) == expected


def test_parts_of_a_word_close_up():
    text = "I don't know"
    parts = [(2, 4), (4, 7)]
    assert without_spans(text, parts, [False, True]) == "I n't know"
    assert without_spans(text, parts, [True, False]) == "I do know"
    assert without_spans(text, parts, [False, False]) == "I know"
    letters = [(i, i + 1) for i in range(len(text))]
    assert without_spans(text, letters, [c != "o" for c in text]) == "I dn't knw"
    assert without_spans(text, letters, [c != " " for c in text]) == "Idon'tknow"  # blanks themselves can be removed


def test_white_space_inside_the_spans_parts_too():
    assert without_spans("a good film", [(0, 2), (2, 7), (7, 11)], [True, False, True]) == "a film"
    assert without_spans("a good film", [(0, 2), (2, 7), (7, 11)], [True, True, False]) == "a good"
    assert without_spans("one \ntwo three", [(0, 4), (4, 9), (9, 14)], [True, False, True]) == "one \nthree"
    assert without_spans("x(a b)y", [(1, 6)], [False]) == "x y"
    assert without_spans("(a b)", [(1, 4)], [False]) == "()"


def test_a_filler_takes_the_place_of_what_is_removed():
    assert left("Ah,  well (done)!", "well", "(", filler="…") == "Ah,  … …done)!"
    assert without_spans("good film", [(0, 5), (5, 9)], [False, True], "[MASK]") == "[MASK] film"
    assert left("a\nb", "a", "b", filler="_") == "_\n_"


PIECES = (
    *("a", "film", "Good", "it's", "I", "5", "3,5", "U.S.", "well-known", "straße", "ﬁ", "e\u0301te\u0301"),
    *("кино", "хорошо", "מילה", "جيد", "अच्छा", "ดี", "ไทย", "ກາ", "ខ្មែរ", "မြန်", "བོད་", "映", "画", "い", "テスト", "한국"),
    *(".", ",", "!", "?", "...", "…", ":", ";", "-", "–", "'", '"', "“", "”", "„", "«", "»", "¿"),
    *("。", "、", "।", "؟", "#", "@", "$", "%", "&", "/", "_"),
    *("(", ")", "[", "]", "{", "}", "「", "」", "<", ">", ":)", "()", "😀", "👍🏽", "👩‍👩‍👧", "🇩🇪", "\u0301", "\u200b"),
    *(" ", " ", " ", " ", " ", " ", "  ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u3000", "\u2028", "\x1c"),
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=24).map("".join)


@st.composite
def cut_texts(draw, finer: bool = False):
    """A text, some disjoint spans of it, and which of them stay."""
    text = draw(TEXTS)
    spans = words(text)
    if finer:
        borders = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=12)))
        spans = list(itertools.pairwise(borders))
        spans = [span for span in spans if draw(st.booleans())]
    return text, spans, [draw(st.booleans()) for _ in spans]


def wordy(sign: str) -> bool:
    return sign == "_" or unicodedata.category(sign)[0] in "LMN"


def check(text: str, spans: list[tuple[int, int]], keep: list[bool]) -> None:
    """What remains, sign by sign, against what stood between each two neighbours in the text."""
    result = without_spans(text, spans, keep)
    gone = {i for (a, b), stays in zip(spans, keep, strict=True) if not stays for i in range(a, b)}
    blanks = {i for (a, b), s in zip(spans, keep, strict=True) if not s and text[a:b].isspace() for i in range(a, b)}
    remain = [i for i, sign in enumerate(text) if i not in gone and not sign.isspace()]
    places = [i for i, sign in enumerate(result) if not sign.isspace()]
    assert [text[i] for i in remain] == [result[i] for i in places]
    for (i, j), (p, q) in zip(itertools.pairwise(remain), itertools.pairwise(places), strict=True):
        between, became = text[i + 1 : j], result[p + 1 : q]
        if not gone & set(range(i + 1, j)):
            assert became == between
            continue
        spaces = "".join(text[k] if text[k].isspace() and k not in blanks else "|" for k in range(i + 1, j)).split("|")
        spaces = [space for space in spaces if space]
        if blanks & set(range(i + 1, j)) and gone & set(range(i + 1, j)) == blanks & set(range(i + 1, j)):
            assert became == "".join(spaces)  # nothing but blanks was removed
            continue
        if not spaces:
            assert not became
        elif wordy(text[i]) and wordy(text[j]):
            assert became
        if became:
            assert became in (
                *spaces,
                " ",
                *("".join(spaces[k:n]) for k in range(len(spaces)) for n in range(len(spaces) + 1)),
            )
    if not remain:
        assert not result.strip()
    elif not blanks:
        first, last = remain[0], remain[-1]
        whole = text.strip()
        leads = text[: len(text) - len(text.lstrip())] if text.index(whole[0]) == first else ""
        assert result[: places[0]] == leads
        ends = text[len(text.rstrip()) :]
        assert result[places[-1] + 1 :] == ends or (last < len(text.rstrip()) - 1 and result.endswith(ends))


@MANY
@given(cut_texts())
def test_any_words_of_any_text(case):
    text, spans, keep = case
    check(text, spans, keep)
    assert without_spans(text, spans, [True] * len(spans)) == text
    result = without_spans(text, spans, keep)
    assert without_spans(result, words(result), [True] * len(words(result))) == result


@MANY
@given(cut_texts(finer=True))
def test_any_spans_of_any_text(case):
    text, spans, keep = case
    check(text, spans, keep)
    assert without_spans(text, spans, [True] * len(spans)) == text


@MANY
@given(cut_texts())
def test_white_space_parts_two_remaining_words_exactly_where_it_did(case):
    """Also where signs remain between them."""
    text, spans, keep = case
    result = without_spans(text, spans, keep)
    stay = [span for span, stays in zip(spans, keep, strict=True) if stays]
    at, places = 0, []
    for a, b in stay:
        found = result.index(text[a:b], at)
        places.append((found, found + b - a))
        at = found + b - a
    real = [k for k, (a, _) in enumerate(stay) if wordy(text[a])]
    for k, m in itertools.pairwise(real):
        before = any(sign.isspace() for sign in text[stay[k][1] : stay[m][0]])
        after = any(sign.isspace() for sign in result[places[k][1] : places[m][0]])
        assert after == before, (text, result)


def test_the_work_grows_with_the_text_not_with_its_square():
    def steps(n: int) -> int:
        text = "(word " * n + ")." * n
        spans, count = words(text), 0

        def counted(frame, event, arg):
            nonlocal count
            count += frame.f_code.co_filename.endswith("features.py")
            return counted

        keep = [i % 3 > 0 for i in range(len(spans))]
        before = sys.gettrace()
        sys.settrace(counted)
        try:
            without_spans(text, spans, keep)
        finally:
            sys.settrace(before)
        return count

    assert steps(400) < 2.1 * steps(200)


def test_callables_are_asked_about_what_a_person_would_write():
    heard = set()

    def spy(texts):
        heard.update(texts)
        return [[float("good" in text)] for text in texts]

    explainer = saywhy.Explainer(spy, labels=["good"])
    for method in ("occlusion", "kernel_shap"):
        heard.clear()
        e = explainer("a (good) film on Monday #promo", method=method)
        assert dict(zip(e.words, e.scores, strict=True))["#"] == pytest.approx(0, abs=1e-8)
        assert not any(
            bad in text for text in heard for bad in ("a(", "agood", "afilm", "Monday#", "Mondaypromo", "  ")
        )


def test_spans_finer_than_words_for_callables():
    """The score of each letter is what its own removal changes."""

    def count(texts):
        return [[float(text.count("o")), float(len(text))] for text in texts]

    explainer = saywhy.Explainer(count, labels=["o", "length"])
    text = "I don't know"
    e = explainer(text, by=[(i, i + 1) for i in range(len(text))], method="occlusion", target="o")
    assert e.words == tuple(text)
    np.testing.assert_allclose(e.scores, [c == "o" for c in text])
    parts = explainer(text, by=[(2, 4), (4, 7)], method="occlusion", target="length")
    assert parts.words == ("do", "n't")
    np.testing.assert_allclose(parts.scores, [2, 3])


def test_all_places_of_a_word_as_one_feature():
    def heard(texts):
        return [[float(text.count("good") == 1), float(text.count("good"))] for text in texts]

    explainer = saywhy.Explainer(heard, labels=["once", "times"])
    text = "good film, good cast, bad end"
    e = explainer(text, by=[(5, 9), [(11, 15), (0, 4)], [(16, 20), (22, 25)]], method="shapley_values", target="times")
    assert e.words == ("good", "film", "cast … bad")
    assert [f.spans for f in e.features] == [((0, 4), (11, 15)), ((5, 9),), ((16, 20), (22, 25))]
    np.testing.assert_allclose(e.scores, [2, 0, 0], atol=1e-9)
    assert explainer(text, by=[[[0, 4], [11, 15]]], method="occlusion", target="once").scores == pytest.approx([0])
    assert [f.label for f in text_features(text, np.array([[0, 4], [5, 9]]))] == ["good", "film"]


@pytest.mark.parametrize("signs", ["ab1 ", "ab1 ,.('\\n", "aé中_ -"])
def test_many_subsets_of_one_text_are_as_each_alone(signs):
    draw = random.Random(0)
    for _ in range(300):
        text = "".join(draw.choices(signs, k=draw.randrange(1, 24)))
        spans = words(text)
        left = remover(text, spans)
        for _ in range(6):
            keep = [draw.random() < 0.5 for _ in spans]
            assert left(keep) == without_spans(text, spans, keep), (text, keep)
        assert left([True] * len(spans)) == text


def test_subsets_of_a_callers_own_spans_are_as_each_alone():
    draw, text = random.Random(1), 'He said, "a (very) good film"; and - no more.  So: fine!'
    for _ in range(200):
        ends = sorted(draw.sample(range(len(text) + 1), 2 * draw.randrange(1, 9)))
        spans = [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True)]
        left = remover(text, spans)
        for _ in range(6):
            keep = [draw.random() < 0.5 for _ in spans]
            assert left(keep) == without_spans(text, spans, keep), (spans, keep)
