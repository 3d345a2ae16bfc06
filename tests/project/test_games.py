"""The games of the benchmarks have the right answers they claim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.games import boosted_trees, of_table, of_trees
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier

from saywhy.methods.walsh import every_coalition


@pytest.mark.parametrize("n", [4, 9])
def test_boosted_trees_are_worked_out_leaf_by_leaf_as_from_all_coalitions(n: int):
    game = boosted_trees(n, 2)[1]
    exact = of_table(torch.from_numpy(game.play(every_coalition(n).numpy()))[:, None])
    torch.testing.assert_close(game.shapley, exact.shapley)
    assert set(game.pairs) == set(exact.pairs)
    for index, values in exact.pairs.items():
        torch.testing.assert_close(game.pairs[index], values)


def test_boosted_trees_are_played_as_the_model_predicts_mixed_rows():
    x, y = make_classification(200, 12, random_state=1)
    model = GradientBoostingClassifier(n_estimators=30, random_state=0).fit(x, y)
    game = of_trees(model, x[0], x[1])
    rows = np.random.default_rng(0).random((50, 12)) < 0.5
    np.testing.assert_allclose(game.play(rows), model.decision_function(np.where(rows, x[0], x[1])), atol=1e-9)
