"""Features of several spans, spans finer than words, and scripts without blanks: in models, files and drawings."""

from __future__ import annotations

import json

import numpy as np
import pytest
import regex
import torch

import saywhy
from conftest import byte_level, tiny, word_piece
from saywhy.core.errors import OptionError
from saywhy.core.features import own, removed, words
from saywhy.core.types import Feature
from saywhy.render import content
from saywhy.storage.explanations import from_dict

TEXT = "good film, good cast, not a dull movie"


def test_one_feature_in_several_places_is_masked_in_all_of_them():
    model, tokenizer = tiny("bert")
    e = saywhy.Explainer(model, tokenizer)(TEXT, by=[[(0, 4), (11, 15)], (22, 25)], method="occlusion", target=0)
    assert e.words == ("good", "not")
    encoded = tokenizer(TEXT, return_offsets_mapping=True)
    for feature, score in zip(e.features, e.scores, strict=True):
        ids = torch.tensor([encoded["input_ids"]])
        for i, (start, end) in enumerate(encoded["offset_mapping"]):
            if any(a <= start < end <= b for a, b in feature.spans):
                ids[0, i] = tokenizer.mask_token_id
        with torch.no_grad():
            logit = float(model(input_ids=ids).logits[0, 0])
        assert score == pytest.approx(e.value - logit, abs=1e-5)


def test_one_feature_in_several_places_by_part():
    by = {"first": [[(0, 4), (9, 13)]], "second": [(0, 4)]}
    features, owner = own("good day good", [(0, 4), (5, 8), (9, 13)], by, "first")
    assert [(f.label, f.spans) for f in features] == [("good", ((0, 4), (9, 13))), ("day", ((5, 8),))]
    assert owner.tolist() == [0, 1, 0]


def test_features_given_by_part_that_share_a_token_are_one():
    features, owner = own("abcdef gh", [(0, 4), (4, 6), (7, 9)], {"text": [[(0, 2), (7, 9)], (2, 4), (4, 6)]})
    assert [f.spans for f in features] == [((0, 4), (7, 9)), ((4, 6),)]
    assert owner.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ([(0, 2)], r"span \(0, 2\) \('th'\) cuts the token 'the' at \(0, 3\).*use \(0, 3\)"),
        ([(1, 9)], r"span \(1, 9\).*cuts the token 'the' at \(0, 3\).*use \(0, 9\)"),
        (
            [(0, 2), (2, 3)],
            r"token 'the' at \(0, 3\) lies in two .*move their border to 0 or 3.*\[\(0, 2\), \(2, 3\)\]",
        ),
        ([[(0, 1), (2, 3)]], r"cuts the token 'the'"),
    ],
)
def test_a_cut_token_is_named_with_what_to_do(by, said):
    assert word_piece().tokenize("the night")[0] == "the"
    with pytest.raises(OptionError, match=said):
        saywhy.Explainer(*tiny("bert"))("the night", by=by, method="occlusion")


def test_spans_that_together_hold_a_token_are_one_feature():
    features, owner = own("abcdef", [(0, 4), (4, 6)], [[(0, 2), (2, 4)]])
    assert features[0].spans == ((0, 2), (2, 4))
    assert owner.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ([[(0, 4), (2, 6)]], r"\(0, 4\) and \(2, 6\) overlap"),
        ([[(0, 4), (5, 99)]], "outside the text"),
        ([[]], "list of such pairs"),
        ([(0.0, 4.0)], "whole numbers"),
        ([[(0, 4), 5]], "whole numbers"),
        (["ab"], "whole numbers"),
    ],
)
@pytest.mark.parametrize("kind", ["callable", "model"])
def test_features_that_are_no_spans_are_refused(kind, by, said):
    given = (lambda texts: [[0.0]] * len(texts),) if kind == "callable" else tiny("bert")
    explainer = saywhy.Explainer(*given, labels=["a"]) if kind == "callable" else saywhy.Explainer(*given)
    with pytest.raises(OptionError, match=said):
        explainer(TEXT, by=by, method="occlusion")


def test_whole_numbers_of_any_type_are_spans():
    explainer = saywhy.Explainer(lambda texts: [[float(len(text))] for text in texts], labels=["length"])
    for by in (list(np.array([[0, 4], [5, 9]])), [[np.int32(0), np.int64(4)], (5, 9)], ((0, 4), (5, 9))):
        assert explainer(TEXT, by=by, method="occlusion").words == ("good", "film")


@pytest.fixture
def several():
    explainer = saywhy.Explainer(lambda texts: [[float(text.count("good"))] for text in texts], labels=["times"])
    return explainer(TEXT, by=[[(0, 4), (11, 15)], (5, 9)], method="occlusion")


def test_several_spans_in_files(several, tmp_path):
    path = several.save(tmp_path / "why.json")
    assert saywhy.load(path).features == several.features
    data = several.to_dict()["features"]
    assert data[0] == {"label": "good", "span": [0, 4], "part": "text", "spans": [[0, 4], [11, 15]]}
    assert data[1] == {"label": "film", "span": [5, 9], "part": "text"}  # as files were before
    old = several.to_dict() | {"features": [{"label": "good", "span": [0, 4], "part": "text"}] * 2}
    assert from_dict(json.loads(json.dumps(old))).features == (Feature("good", (0, 4)),) * 2
    assert several.to_pandas()["start"].tolist() == [0, 5]


def test_several_spans_are_drawn_at_each_place(several):
    [part] = content.parts(several)
    assert "".join(text for text, _ in part.pieces) == TEXT
    assert [(text, i) for text, i in part.pieces if i is not None] == [("good", 0), ("film", 1), ("good", 0)]
    assert part.loose == []
    html = several._repr_html_()
    assert html.count(">good<") == 3  # twice in the text, once in the table
    assert str(several)


def test_a_text_is_shown_without_every_place(several):
    assert removed(several.texts, several.features[0]) == "film, cast, not a dull movie"
    assert removed(several.texts, several.features[0], "[MASK]") == "[MASK] film, [MASK] cast, not a dull movie"


BLANKLESS = {
    "Thai": "ภาษาไทยไม่มีช่องว่าง",
    "Lao": "ພາສາລາວບໍ່ມີຊ່ອງ",
    "Khmer": "ភាសាខ្មែរមិនមាន",
    "Burmese": "မြန်မာစာသည်",
    "Japanese kana": "これはとてもおもしろいです",
}


@pytest.mark.parametrize("script", BLANKLESS)
def test_scripts_without_blanks_fall_back_to_grapheme_clusters(script):
    text = BLANKLESS[script]
    explainer = saywhy.Explainer(lambda texts: [[float(len(t))] for t in texts], labels=["length"])
    e = explainer(text, method="occlusion")
    assert e.words == tuple(regex.findall(r"\X", text))
    np.testing.assert_allclose(e.scores, [len(word) for word in e.words])
    [note] = [note for note in e.notes if "blanks" in note]
    assert note.startswith(script)
    assert "grapheme cluster" in note
    assert not any("blanks" in note for note in explainer(text, by=[(0, 2)], method="occlusion").notes)


def test_mixed_scripts_and_tibetan_syllables():
    def cut(text):
        return [text[a:b] for a, b in words(text)]

    assert cut("ok ไทย2024 ๒๕ ok") == ["ok", "ไ", "ท", "ย", "2024", "๒๕", "ok"]
    assert cut("食べる テレビ") == ["食", "べ", "る", "テ", "レ", "ビ"]
    assert cut("བཀྲ་ཤིས་བདེ།") == ["བཀྲ་", "ཤིས་", "བདེ", "།"]
    assert cut("हिन्दी한국어") == ["हिन्दी한국어"]


def test_scripts_without_blanks_are_tokens_where_tokens_are_larger():
    text = "ภาษาไทย"
    features, _ = own(text, [(0, 4), (4, 7)], "word")
    assert [f.label for f in features] == ["ภาษา", "ไทย"]
    explainer = saywhy.Explainer(*tiny("roberta"))
    e = explainer(text, method="occlusion")
    offsets = byte_level()(text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    assert 1 < len(e.features) <= len(offsets)
    assert [note for note in e.notes if note.startswith("Thai") and "tokens" in note]
    assert not [note for note in explainer("good film", method="occlusion").notes if "blanks" in note]
