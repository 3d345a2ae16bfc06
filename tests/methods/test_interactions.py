"""Interactions of pairs: against their definitions over all coalitions, and against a Bayesian regression written out."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from saywhy.core.errors import OptionError
from saywhy.methods import METHODS
from saywhy.methods.interactions import DECAY, LEVELS, exact_pairs, pairs_of_even_part
from saywhy.methods.walsh import every_coalition
from toys import Game, additive, tangled

INDICES = ("SII", "FSII", "Banzhaf")


def table_of(game: Game) -> torch.Tensor:
    return game.play(every_coalition(game.n).double())


def averaged(values: torch.Tensor, n: int, weight) -> torch.Tensor:
    """[K, pairs]: the mean discrete derivative of each pair over the sets of the others, weighed by their size."""
    found = []
    for i, j in itertools.combinations(range(n), 2):
        others = [p for p in range(n) if p not in (i, j)]
        total = torch.zeros(values.shape[1], dtype=torch.float64)
        for size in range(n - 1):
            for t in itertools.combinations(others, size):
                row, a, b = sum(2**p for p in t), 2**i, 2**j
                total += weight(size, n) * (values[row + a + b] - values[row + a] - values[row + b] + values[row])
        found.append(total)
    return torch.stack(found, 1)


def test_exact_shapley_interactions_and_banzhafs_are_mean_derivatives():
    values = table_of(tangled(n=6))
    found = exact_pairs(values, 6).values
    sii = averaged(values, 6, lambda t, n: math.factorial(t) * math.factorial(n - t - 2) / math.factorial(n - 1))
    torch.testing.assert_close(found["SII"], sii)
    torch.testing.assert_close(found["Banzhaf"], averaged(values, 6, lambda t, n: 1 / 2 ** (n - 2)))


def test_exact_faithful_interactions_are_the_best_fit_of_order_two():
    """Tsai, Yeh & Ravikumar: least squares with the Shapley kernel's weights, both ends kept exactly."""
    n = 6
    values = table_of(tangled(n=n))
    members = every_coalition(n).double()
    pairs = list(itertools.combinations(range(n), 2))
    columns = torch.cat(
        [torch.ones(2**n, 1), members, torch.stack([members[:, i] * members[:, j] for i, j in pairs], 1)], 1
    )
    columns = columns.double()
    sizes = members.sum(1).long().tolist()
    weights = [1e9 if s in (0, n) else (n - 1) / (math.comb(n, s) * s * (n - s)) for s in sizes]
    root = torch.tensor(weights, dtype=torch.float64).sqrt()[:, None]
    fitted = torch.linalg.lstsq(root * columns, root * values, driver="gelsd").solution
    torch.testing.assert_close(exact_pairs(values, n).values["FSII"], fitted[1 + n :].T, rtol=1e-5, atol=1e-5)


def test_pairs_are_the_bayesian_regression_on_even_walsh_functions():
    n, rows = 6, 14
    draw = torch.Generator().manual_seed(2)
    signs = (torch.rand(rows, n, generator=draw) < 0.5).double() * 2 - 1
    even = torch.randn(rows, 1, generator=draw, dtype=torch.float64)
    found = pairs_of_even_part("a test", signs, even, torch.arange(n))
    sets = [a for k in (0, 2, 4, 6) for a in itertools.combinations(range(n), k)]
    walsh = torch.stack([signs[:, list(a)].prod(1) if a else torch.ones(rows).double() for a in sets], 1)
    shares = {
        "SII": lambda k: 4 / (k - 1),
        "FSII": lambda k: 12 / ((k - 1) * (k + 1)),
        "Banzhaf": lambda k: 4.0 * (k == 2),
    }
    for index, share_of in shares.items():
        share = torch.tensor(
            [
                [share_of(len(a)) if {i, j} <= set(a) else 0.0 for a in sets]
                for i, j in itertools.combinations(range(n), 2)
            ],
            dtype=torch.float64,
        )
        weights, means, squares = [], [], []
        for level in LEVELS.tolist():
            spread = {0: 1.0, 2: 1.0, 4: level, 6: level * DECAY}
            prior = torch.tensor([spread[len(a)] / math.comb(n, len(a)) for a in sets], dtype=torch.float64)
            cover = walsh * prior @ walsh.T + 1e-9 * sum(spread.values()) * torch.eye(rows, dtype=torch.float64)
            centred = even[:, 0] - even.mean()
            fitted = torch.linalg.solve(cover, centred)
            size = centred @ fitted / (rows - 2)
            weights.append(-rows / 2 * size.log() - torch.logdet(cover) / 2)
            posterior = prior.diag() - (walsh * prior).T @ torch.linalg.solve(cover, walsh * prior)
            means.append(share @ (prior * (walsh.T @ fitted)))
            squares.append(means[-1] ** 2 + size * (share @ posterior @ share.T).diag())
        chances = torch.stack(weights).softmax(0)
        mean = chances @ torch.stack(means)
        error = (chances @ torch.stack(squares) - mean**2).sqrt()
        torch.testing.assert_close(found.values[index][0], mean, rtol=0.05, atol=0.02 * float(mean.abs().max()))
        torch.testing.assert_close(found.stderr[index][0], error, rtol=0.05, atol=1e-6)


@pytest.mark.parametrize("budget", [64, 200])
def test_kernel_shap_tells_of_pairs_without_a_row_more(budget):
    """Near the exact ones, more so than nothing told; and the budget is what it was."""
    for seed in range(3):
        game = tangled(n=9, seed=seed)
        scores = game.drive(METHODS["kernel_shap"].function(game.problem, budget=budget, seed=seed))
        assert game.evaluations == budget
        exact = exact_pairs(table_of(game), 9).values
        for index in INDICES:
            assert (scores.pairs.values[index] - exact[index]).norm() < (0.8 if budget == 64 else 0.4) * exact[
                index
            ].norm()
            z = (scores.pairs.values[index] - exact[index]).abs() / scores.pairs.stderr[index]
            assert (z < 3).double().mean() > 0.9


def test_an_additive_game_has_no_pairs_and_one_product_has_its_own():
    game, _ = additive(n=14)
    pairs = game.drive(METHODS["kernel_shap"].function(game.problem)).pairs
    assert all(pairs.values[index].abs().max() < 1e-6 for index in INDICES)
    game = Game(14, lambda p: p.sum(1, keepdim=True) - 3 * p[:, 2:3] * p[:, 7:8])
    pairs = game.drive(METHODS["kernel_shap"].function(game.problem, seed=4)).pairs
    place = list(itertools.combinations(range(14), 2)).index((2, 7))
    for index in INDICES:
        expected = torch.zeros(1, 91, dtype=torch.float64)
        expected[0, place] = -3
        torch.testing.assert_close(pairs.values[index], expected, atol=0.02, rtol=0)


def test_exclusive_or_of_two_features_is_found_first():
    found = 0
    for seed in range(8):
        draw = torch.Generator().manual_seed(seed)
        weights = torch.randn(18, 1, generator=draw, dtype=torch.float64) / 3
        i, j = torch.randperm(18, generator=draw)[:2].sort().values.tolist()
        game = Game(18, lambda p, i=i, j=j, w=weights: torch.tanh(p @ w) + (p[:, [i]] - p[:, [j]]).abs())
        pairs = game.drive(METHODS["kernel_shap"].function(game.problem)).pairs
        place = list(itertools.combinations(range(18), 2)).index((i, j))
        found += int(pairs.values["SII"][0].abs().argmax()) == place
    assert found == 8


def test_pairs_can_be_left_out_and_asked_for():
    game = tangled(n=44, k=1)
    function = METHODS["kernel_shap"].function
    assert game.drive(function(game.problem, budget=100)).pairs is None
    assert game.drive(function(game.problem, budget=100, pairs=True)).pairs.values["SII"].shape == (1, 44 * 43 // 2)
    game = tangled(n=10, k=1)
    assert game.drive(function(game.problem, budget=100, pairs=False)).pairs is None
    many = tangled(n=129, k=1)
    with pytest.raises(OptionError, match="up to 128 features, and here are 129"):
        many.drive(function(many.problem, pairs=True))
    assert many.evaluations == 0


def test_exact_shapley_values_come_with_exact_pairs():
    game = tangled(n=5)
    scores = game.drive(METHODS["shapley_values"].function(game.problem))
    assert scores.pairs.stderr is None
    torch.testing.assert_close(scores.pairs.values["SII"], exact_pairs(table_of(game), 5).values["SII"])
