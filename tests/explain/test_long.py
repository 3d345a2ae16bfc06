"""Texts longer than the model reads, the words that matter of a long text, and embeddings other than the words'."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import saywhy
from conftest import headed, tiny
from saywhy.core.errors import InputError, OptionError
from saywhy.models.text.tokens import windows

LONG = " ".join(f"{word} movie , not {word} at all ." for word in ("good", "dull", "lovely", "terrible") * 6)


@pytest.mark.parametrize(
    ("before", "length", "after", "limit"), [(1, 100, 1, 30), (9, 57, 2, 64), (0, 65, 0, 64), (3, 1000, 1, 17)]
)
def test_windows_hold_every_position_and_overlap_by_a_quarter(before, length, after, limit):
    parts = [None] * before + [0] * length + [None] * after
    cut = windows(parts, limit)
    assert all(len(w) <= limit for w in cut)
    assert set(np.concatenate(cut).tolist()) == set(range(len(parts)))
    outside = [*range(before), *range(before + length, len(parts))]
    assert all(set(outside) <= set(w.tolist()) for w in cut)
    room = limit - before - after
    for one, two in itertools.pairwise(cut):
        shared = len(set(one.tolist()) & set(two.tolist()) - set(outside))
        assert shared >= room // 4
    assert windows([None, 0, 0, None, *[1] * 90, None], 3) == []


def test_a_long_text_is_the_mean_of_its_windows():
    model, tokenizer = tiny("bert")
    explainer = saywhy.Explainer(model, tokenizer)
    with pytest.raises(InputError, match="overlong='window'"):
        explainer(LONG)
    e = explainer(LONG, overlong="window", method="occlusion", target=1)
    ids = np.array(tokenizer(LONG, verbose=False)["input_ids"])
    cut = windows([None] + [0] * (len(ids) - 2) + [None], 64)
    assert len(cut) > 2
    assert f"read {len(cut)} overlapping windows" in e.notes[0]

    def mean(changed):
        with torch.no_grad():
            return float(np.mean([float(model(input_ids=torch.tensor(changed[w])[None]).logits[0, 1]) for w in cut]))

    assert e.value == pytest.approx(mean(ids), abs=1e-5)
    offsets = tokenizer(LONG, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    for feature in (0, 17, len(e.features) - 1):
        start, end = e.features[feature].span
        gone = [i for i, (a, b) in enumerate(offsets) if start <= a < b <= end]
        masked = ids.copy()
        masked[gone] = tokenizer.mask_token_id
        assert e.scores[feature] == pytest.approx(e.value - mean(masked), abs=1e-5)


@pytest.mark.parametrize("name", ["bert", "gpt2", "gpt2-no-pad", "xlnet"])
def test_windows_add_up_for_every_method(name):
    if name == "xlnet":
        model, tokenizer = tiny(name)
        text = LONG * 3
    else:
        model, tokenizer = tiny(name)
        text = LONG
    explainer = saywhy.Explainer(model, tokenizer)
    shapley = explainer(text, overlong="window", by="sentence", method="shapley_sampling", permutations=2, target=0)
    gradients = explainer(text, overlong="window", by="sentence", budget=400, target=0)
    assert abs(shapley.gap) < 1e-9
    assert (gradients.value, gradients.base) == pytest.approx((shapley.value, shapley.base), abs=1e-5)
    assert abs(gradients.gap) < 0.02 * np.abs(gradients.scores).sum() + 1e-5


def test_only_windows_that_hold_a_word_are_asked_again():
    explainer = saywhy.Explainer(*tiny("bert"))
    e = explainer(LONG, overlong="window", method="occlusion", target=1)
    read = int(e.notes[0].split("it read ")[1].split()[0])
    assert e.cost.rows < 2 * (len(e.features) + read) + read


def test_a_pair_keeps_its_shorter_part_whole():
    model, tokenizer = tiny("bert")
    e = saywhy.Explainer(model, tokenizer)(("what a night", LONG), overlong="window", method="occlusion", target=0)
    assert [f.part for f in e.features[:3]] == ["first"] * 3
    assert "Characters of the second by window" in e.notes[0]
    with pytest.raises(InputError, match="no room for windows"):
        saywhy.Explainer(model, tokenizer)((LONG, LONG), overlong="window")


def test_tokens_of_a_long_text_are_read_where_most_is_around_them():
    model, tokenizer = headed("bert", "tokens")
    explainer = saywhy.Explainer(model, tokenizer)
    found = explainer.each_target(LONG, overlong="window", method="random")
    assert len(found) > 10
    ids = np.array(tokenizer(LONG, verbose=False)["input_ids"])
    cut = windows([None] + [0] * (len(ids) - 2) + [None], 64)
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor(ids[w])[None]).logits[0] for w in cut]
    for e in found:  # of the windows that hold a token, the one with most on its shorter side; the first of two alike
        place, label = e.target.index
        around = [min((w < place).sum(), (w > place).sum()) if place in w else -1 for w in cut]
        best = int(np.argmax(around))
        assert e.value == pytest.approx(float(logits[best][list(cut[best]).index(place), label]), abs=1e-5)


def test_a_text_that_fits_is_one_window():
    explainer = saywhy.Explainer(*tiny("bert"))
    a, b = (explainer("I dislike you", overlong=how, method="occlusion") for how in ("window", "refuse"))
    np.testing.assert_array_equal(a.scores, b.scores)
    assert a.notes == ()


class TestFocus:
    def test_words_of_the_sentences_that_matter(self):
        filler = "The day was long and the road was wet and the sky was grey . " * 12
        text = filler + "What a dull , predictable mess . " + filler
        e = saywhy.Explainer()(text, by="focus", method="shapley_sampling", permutations=2)
        assert "mess" in e.words
        assert any(len(word.split()) > 8 for word in e.words)
        assert len([word for word in e.words if " " not in word]) <= 64
        assert "by word, the other sentences whole" in e.notes[-1]
        assert e.options["by"] == "focus"
        assert abs(e.gap) < 1e-9
        covered = sorted(f.span for f in e.features)
        assert all(one[1] <= two[0] for one, two in itertools.pairwise(covered))
        assert {text[a:b] for a, b in covered} >= {"mess", "predictable", "dull"}

    def test_a_pair_and_several_inputs(self):
        explainer = saywhy.Explainer(*tiny("bert"))
        found = explainer([("good . bad .", "dull day"), ("what a night", "a mess")], by="focus", method="occlusion")
        assert [f.label for f in found[0].features] == ["good", ".", "bad", ".", "dull", "day"]
        assert found[0].cost.rows > explainer(("good . bad .", "dull day"), method="occlusion").cost.rows

    def test_spans_by_part(self):
        e = saywhy.Explainer(*tiny("bert"))(
            ("good day", "dull"), by={"first": [(0, 8)], "second": [(0, 4)]}, method="occlusion"
        )
        assert e.words == ("good day", "dull")
        with pytest.raises(OptionError, match="it names"):
            saywhy.Explainer(*tiny("bert"))(("good day", "dull"), by={"first": [(0, 8)]})


class TestEmbeddings:
    def test_positions_and_token_types_have_their_own_zero(self):
        model, tokenizer = tiny("bert")
        explainer = saywhy.Explainer(model, tokenizer)
        assert explainer.model.embeddings == ("word", "position", "token_type")
        text = "I dislike you"
        words = explainer(text, target=0)
        for embedding in ("position", "token_type"):
            e = explainer(text, embedding=embedding, target=0, budget=400)
            shapley = explainer(text, embedding=embedding, target=0, method="shapley_values")
            assert e.options["absent"] == "zero"
            assert e.value == pytest.approx(words.value, abs=1e-5)
            assert e.base == pytest.approx(shapley.base, abs=1e-5)
            assert abs(e.gap) < 0.02 * np.abs(e.scores).sum() + 1e-5
            assert not np.allclose(e.scores, words.scores)

    def test_the_base_is_the_model_without_positions(self):
        model, tokenizer = tiny("bert")
        e = saywhy.Explainer(model, tokenizer)("I dislike you", embedding="position", target=0, method="occlusion")
        table = model.bert.embeddings.position_embeddings
        hook = table.register_forward_hook(lambda m, a, out: torch.cat([out[:, :1], out[:, 1:-1] * 0, out[:, -1:]], 1))
        with torch.no_grad():
            base = float(model(**tokenizer("I dislike you", return_tensors="pt")).logits[0, 0])
        hook.remove()
        assert e.base == pytest.approx(base, abs=1e-5)

    def test_where_a_model_has_none(self):
        with pytest.raises(OptionError, match="no position embeddings; it has word"):
            saywhy.Explainer(*tiny("llama"))("I dislike you", embedding="position")
        with pytest.raises(OptionError, match="Did you mean 'position'"):
            saywhy.Explainer(*tiny("bert"))("I dislike you", embedding="positions")
        with pytest.raises(OptionError, match="absent"):
            saywhy.Explainer(*tiny("bert"))("I dislike you", embedding="position", absent="mask")
