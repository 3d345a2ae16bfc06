"""Tokenizers: every token's place in the text as given, its word, and back from plain JSON."""

from __future__ import annotations

import json

import pytest

from conftest import CORPUS, byte_level, word_piece as bert_like  # isort: skip
from saywhy.classifier import hugging_face, ngrams, word_piece
from saywhy.classifier.tokenizers import restored
from saywhy.core.errors import FileError, InputError, ModelError, OptionError

ODD = ["   Hello,   World", "Größe café 😀 naïve", "don't — U.S.", "", "   ", "我爱你 movie", "ＦＵＬＬ ﬁne İstanbul"]


@pytest.fixture(scope="module")
def made():
    corpus = [*CORPUS * 2, "hello world world"]
    return {
        "word_piece": word_piece(corpus, size=200),
        "ngrams": ngrams(corpus, buckets=500),
        "hugging_face": hugging_face(bert_like()),
        "byte_level": hugging_face(byte_level()),
    }


@pytest.mark.parametrize("name", ["word_piece", "ngrams", "hugging_face", "byte_level"])
def test_ids_spans_and_words_stand_side_by_side(made, name):
    tokenizer = made[name]
    encoded = tokenizer.encode(ODD)
    assert [list(t.ids) for t in encoded] == [list(ids) for ids in tokenizer.ids(ODD)]
    for text, tokens in zip(ODD, encoded, strict=True):
        assert len(tokens.ids) == len(tokens.spans) == len(tokens.words) >= 1
        assert all(0 <= i < tokenizer.size for i in tokens.ids)
        for (start, end), word in zip(tokens.spans, tokens.words, strict=True):
            assert 0 <= start <= end <= len(text)
            assert (word is None) <= ((start, end) == (0, 0))
        covered = {i for start, end in tokens.spans for i in range(start, end)}
        missing = [c for i, c in enumerate(text) if i not in covered and not c.isspace()]
        assert not missing


@pytest.mark.parametrize("name", ["word_piece", "ngrams", "hugging_face", "byte_level"])
def test_there_and_back_through_json(made, name):
    tokenizer = made[name]
    again = restored(json.loads(json.dumps(tokenizer.to_json())))
    assert again.encode(ODD) == tokenizer.encode(ODD)
    assert (again.size, again.padding, again.unknown, again.mask) == (
        tokenizer.size,
        tokenizer.padding,
        tokenizer.unknown,
        tokenizer.mask,
    )


def test_word_piece_begins_with_cls_and_ends_with_sep(made):
    tokens = made["word_piece"].encode(["the movie"])[0]
    names = [made["word_piece"].inner.id_to_token(i) for i in tokens.ids]
    assert (names[0], names[-1]) == ("[CLS]", "[SEP]")
    assert (tokens.words[0], tokens.words[-1], tokens.spans[0]) == (None, None, (0, 0))
    assert made["word_piece"].padding != made["word_piece"].unknown


def test_word_piece_cuts_to_its_longest():
    short = word_piece(CORPUS, size=100, longest=5)
    assert [len(ids) for ids in short.ids([CORPUS[0], "a"])] == [5, 3]


def test_ngrams_mark_characters_words_and_neighbours():
    made = ngrams(["naïve cafés"] * 2, buckets=10_000, shortest=3, longest=3, word_ngrams=2)
    text = " Naïve  cafés "
    tokens = made.encode([text])[0]
    slices = [text[a:b] for a, b in tokens.spans]
    assert slices == [
        "Naïve",
        "Na",
        "Naï",
        "aïv",
        "ïve",
        "ve",
        "cafés",
        "ca",
        "caf",
        "afé",
        "fés",
        "és",
        "Naïve  cafés",
    ]
    assert tokens.words == [0] * 6 + [1] * 6 + [0]
    assert tokens.ids[0] == made.vocabulary["naive"]
    assert tokens.ids == made.encode(["naive CAFES"])[0].ids  # case and accents alike, in training and after
    other = made.encode(["cafés naïve"])[0]
    assert sorted(other.ids[:-1]) == sorted(tokens.ids[:-1])
    assert other.ids[-1] != tokens.ids[-1]  # the order of words is seen by the word n-gram
    assert 1 in made.encode(["unheard"])[0].ids


def test_ngrams_of_one_length_have_no_neighbours():
    made = ngrams(["a b c"] * 2, word_ngrams=1, buckets=10)
    assert [end - start for start, end in made.encode(["a b"])[0].spans] == [1, 1]
    assert len(ngrams(["a b c"] * 2, word_ngrams=3, buckets=10).encode(["a b c"])[0].ids) == 3 + 2 + 1


def test_ngrams_keep_every_setting_in_json():
    made = ngrams(CORPUS, buckets=77, shortest=2, longest=4, word_ngrams=3, min_count=1, lowercase=False, most=9)
    again = restored(made.to_json())
    assert vars(again) | {"_known": None} == vars(made) | {"_known": None}
    assert len(again.ids([CORPUS[0]])[0]) == 9


def test_hugging_face_leaves_the_callers_tokenizer_alone():
    theirs = bert_like()
    before = theirs.backend_tokenizer.to_str()
    ours = hugging_face(theirs, longest=4)
    assert len(ours.ids([CORPUS[0]])[0]) == 4
    assert theirs.backend_tokenizer.to_str() == before
    assert hugging_face(theirs).ids([CORPUS[0]])[0] == theirs(CORPUS[0])["input_ids"]


def test_refusals():
    with pytest.raises(OptionError, match="more than 5 ids"):
        word_piece(CORPUS, size=5)
    with pytest.raises(InputError, match="row 1 is not a string but int"):
        word_piece(["a", 3])
    for train in (word_piece, ngrams):
        with pytest.raises(InputError, match="empty"):
            train([])
    with pytest.raises(InputError, match="one string"):
        ngrams(CORPUS).ids("text")
    with pytest.raises(OptionError, match="shortest"):
        ngrams(CORPUS, shortest=4, longest=3)
    with pytest.raises(OptionError, match="padding"):
        hugging_face(byte_level(None))
    with pytest.raises(ModelError, match="fast"):
        hugging_face(object())
    with pytest.raises(FileError, match="abacus"):
        restored({"kind": "abacus"})


def test_the_same_corpus_gives_the_same_ids():
    made = [word_piece(CORPUS * 3, size=size).to_json() for size in (60, 90, 60, 90, 60, 90)]
    assert all(made[i] == made[i % 2] for i in range(6))
    assert made[0] != made[1]
