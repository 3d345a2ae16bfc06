"""Words, sentences, spans and tokens of any script, and who owns which token."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import saywhy
from conftest import TEXTS, byte_level, roberta_like, sentence_piece, tiny, word_piece
from saywhy.core.errors import InputError, MethodError, OptionError
from saywhy.core.features import own, removed, segments, sentences, words
from saywhy.core.types import Feature

HARD = [
    *TEXTS,
    "I don't like it... at all!!",
    "日本語のテキスト。中文也可以！ And English?",
    "👩‍👩‍👧 family, cafe\u0301 ne\u0301",
    "مرحبا بالعالم",
    "tabs\tand\r\nnewlines\n\n\nend ",
    "  leading spaces",
    "U.S. inflation was 3,520.31 % in well-known cases (see [1]).",
    "<script>alert('x')</script> [SEP] [MASK] </s>",
    "ﬁne ligature, İstanbul, ß",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't like it...", ["I", "don't", "like", "it", "..."]),
        ("well-known (3,520.31) U.S. no!!", ["well-known", "(", "3,520.31", ")", "U.S.", "no", "!!"]),
        ("我爱你 ok", ["我", "爱", "你", "ok"]),
        ("👩‍👩‍👧👍🏽 hi", ["👩‍👩‍👧", "👍🏽", "hi"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("a\n\nb\t c", ["a", "b", "c"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        (" ", []),
    ],
)
def test_words(text, expected):
    assert [text[a:b] for a, b in words(text)] == expected


def test_sentences():
    text = "Hello there. How are you?  Fine!\nNew line “quoted.” J. Smith came。好。End"
    assert [text[a:b] for a, b in sentences(text)] == [
        "Hello there.", "How are you?", "Fine!", "New line “quoted.”", "J. Smith came。", "好。", "End"
    ]  # fmt: skip


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("tokenizer", [word_piece, byte_level, roberta_like, sentence_piece], ids=lambda t: t.__name__)
@pytest.mark.parametrize("by", ["word", "token", "sentence"])
def test_every_token_of_the_text_has_one_owner_and_spans_cut_the_original(text, tokenizer, by):
    encoded = tokenizer()(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    spans = [
        None if s else o
        for o, s in zip(encoded["offset_mapping"], encoded.sequence_ids(), strict=True)
        for s in [s is None]
    ]
    features, owner = own(text, spans, by)
    assert [o >= 0 for o in owner] == [span is not None for span in spans]
    assert sorted(set(owner[owner >= 0])) == list(range(len(features)))
    assert all(text[slice(*f.span)] == f.label for f in features)
    if by != "token":
        order = [f.span for f in features]
        assert order == sorted(order)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(order))
        assert list(owner[owner >= 0]) == sorted(owner[owner >= 0])


def test_spans_of_the_callers_own():
    text = "a dull film, not good"
    e = saywhy.Explainer(*tiny("bert"))(text, by=[(13, 21), (0, 6)], method="occlusion")
    assert e.words == ("a dull", "not good")
    assert [f.span for f in e.features] == [(0, 6), (13, 21)]
    shapley = saywhy.Explainer(*tiny("bert"))(text, by=[(13, 21), (0, 6)], method="shapley_values")
    assert abs(shapley.gap) < 1e-9  # the base keeps what lies outside the spans


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("words", "Did you mean 'word'"),
        ([(0, 99)], "outside the text"),
        ([(3, 3)], "empty or outside"),
        ([(0, 4), (2, 6)], "overlap"),
        ([], "empty list"),
        (7, "list of"),
        ([(0, 1, 2)], "list of"),
    ],
)
def test_bad_granularity_is_refused(by, said):
    with pytest.raises(OptionError, match=said):
        segments("a dull film", by, "text")


def test_a_span_that_cuts_a_token_in_two_is_refused():
    text = "I love a movie in the night"
    start, end = max(word_piece()(text, return_offsets_mapping=True)["offset_mapping"], key=lambda s: s[1] - s[0])
    assert end - start > 1
    with pytest.raises(OptionError, match="move their border"):
        saywhy.Explainer(*tiny("bert"))(text, by=[(start, start + 1), (start + 1, end)], method="occlusion")


def test_removed_takes_one_space_with_it():
    text = {"text": "I really like it"}
    assert removed(text, Feature("really", (2, 8))) == "I like it"
    assert removed(text, Feature("I", (0, 1))) == "really like it"
    assert removed(text, Feature("it", (14, 16))) == "I really like"
    assert removed(text, Feature("really", (2, 8)), "[MASK]") == "I [MASK] like it"
    assert removed({"a": "x y", "b": "x y"}, Feature("x", (0, 1), "b")) == "x y\ny"


def test_variants_tell_text_drop_and_label():
    model, tokenizer = tiny("bert")
    explainer = saywhy.Explainer(model, tokenizer)
    e = explainer("I also kinda dislike you", method="occlusion", absent="drop")
    table = e.variants
    assert [v.drop for v in table] == sorted((float(s) for s in e.scores), reverse=True)
    assert {v.removed for v in table} == set(e.words)
    for v in table:
        label, _ = explainer.predict([v.text])[0]
        assert v.label == label
        assert v.flips == (label != e.prediction)
        assert v.drop == pytest.approx(
            e.value - explainer(v.text, method="random", target=e.target.label).value, abs=1e-5
        )
    with pytest.raises(MethodError, match="occlusion"):
        _ = explainer("good film", method="kernel_shap").variants


@pytest.mark.parametrize("text", ["", "   \n", None, 7, b"bytes"])
def test_blank_or_not_text_is_refused(text):
    explainer = saywhy.Explainer(*tiny("bert"))
    with pytest.raises(InputError):
        explainer(text)
    with pytest.raises(InputError, match="Input 1 of 3"):
        explainer(["good", text, "bad"])


def test_overlong_texts_are_refused_or_truncated_and_it_is_said():
    model, tokenizer = tiny("bert")
    explainer = saywhy.Explainer(model, tokenizer)
    text = "good film " * 60
    with pytest.raises(InputError, match=r"64.*truncate"):
        explainer(text)
    e = explainer(text, overlong="truncate", method="occlusion")
    assert any("first 64 of" in note for note in e.notes)
    assert e.text == text
    assert len(e.features) < len(words(text))
    assert e.value == pytest.approx(
        float(model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0].max().detach()), abs=1e-5
    )


def test_nothing_is_lost_of_words_by_tokens():
    """Word scores are the sums of their tokens' scores for methods that follow one path."""
    explainer = saywhy.Explainer(*tiny("roberta"))
    text = "naïve café 😀 dislike"
    by_token = explainer(text, by="token", steps=8)
    by_word = explainer(text, by="word", steps=8)
    spans = [f.span for f in by_word.features]
    sums = np.zeros(len(spans))
    for f, score in zip(by_token.features, by_token.scores, strict=True):
        sums[[a <= f.span[0] and f.span[1] <= b for a, b in spans].index(True)] += score
    np.testing.assert_allclose(sums, by_word.scores, atol=1e-6)
