"""`e.pairs()`: from the explainer to files and the terminal."""

from __future__ import annotations

import json

import numpy as np
import pytest

import saywhy
from saywhy.core.errors import FileError, MethodError, OptionError

TEXT = "the film is not bad at all but far too long for most people"


def opinion(texts):
    """A word count with a negation: "not" turns what "bad" says."""
    rows = []
    for text in texts:
        words = text.split()
        bad = "bad" in words
        rows.append([(-2.0 if bad else 0.0) + (3.0 if bad and "not" in words else 0.0) - 0.5 * ("long" in words), 0.0])
    return np.array(rows)


@pytest.fixture(scope="module")
def explained():
    return saywhy.Explainer(opinion, labels=["good", "other"])(TEXT, target="good", progress=False)


def test_the_strongest_pair_is_the_negation(explained):
    assert explained.method == "kernel_shap"
    for index in ("SII", "FSII", "Banzhaf"):
        first, second = explained.pairs(2, index=index)
        assert first.words == ("not", "bad")
        assert first.indexes == (3, 4)
        assert first.score == pytest.approx(3, abs=0.1)
        assert abs(second.score) < 0.1
        assert first.stderr >= 0
    assert len(explained.pairs(None)) == 14 * 13 // 2
    assert "not + bad +3.0" in str(explained)


def test_pairs_of_few_features_are_exact():
    e = saywhy.Explainer(opinion, labels=["good", "other"])("not a bad film", target="good", method="shapley_values")
    assert e.pairs(1) == [((0, 2), ("not", "bad"), pytest.approx(3), None)]


def test_pairs_go_to_json_and_back_and_into_tables(explained, tmp_path):
    saved = saywhy.load(explained.save(tmp_path / "e.json"))
    assert saved.pairs(None) == explained.pairs(None)
    with pytest.raises(ValueError, match="read-only"):
        saved.interactions.scores["SII"][0] = 1.0
    table = explained.to_arrow().to_pylist()
    assert [pair["feature"] for pair in table[0]["pairs"]] == list(range(1, 14))
    assert table[13]["pairs"] == []
    assert table[3]["pairs"][0]["score"] == pytest.approx(explained.pairs(1)[0].score)
    assert list(explained.to_pandas().columns) == explained.to_arrow().column_names


@pytest.mark.parametrize("damage", ["fewer", "word", "errors"])
def test_damaged_pairs_are_refused(explained, tmp_path, damage):
    path = explained.save(tmp_path / "e.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    pairs = data["explanations"][0]["pairs"]
    if damage == "fewer":
        pairs["scores"]["SII"] = [0.0]
    elif damage == "word":
        pairs["stderr"]["FSII"] = "none"
    else:
        del pairs["stderr"]["FSII"]
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(FileError, match="is damaged"):
        saywhy.load(path)


def test_what_tells_nothing_of_pairs_says_what_does(explained):
    e = saywhy.Explainer(opinion, labels=["good", "other"])(TEXT, target="good", method="occlusion", progress=False)
    with pytest.raises(MethodError, match="kernel_shap"):
        e.pairs()
    with pytest.raises(OptionError, match="SII"):
        explained.pairs(index="sii")


def test_pairs_of_baselines_that_are_drawn_are_means_over_the_draws():
    import torch

    from saywhy.core.types import PairScores, Scores
    from saywhy.explain.pipeline import over_draws

    draw = torch.Generator().manual_seed(0)
    each = torch.randn(4, 2, 3, generator=draw, dtype=torch.float64)  # draws, targets, pairs
    pairs = torch.cat([each.mean(0), each.flatten(0, 1)])
    values = torch.zeros(10, 3, dtype=torch.float64)
    found = over_draws(Scores(values, pairs=PairScores({"SII": pairs})), 4).pairs
    torch.testing.assert_close(found.values["SII"], each.mean(0))
    torch.testing.assert_close(found.stderr["SII"], each.std(0) / 2)
