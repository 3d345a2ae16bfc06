"""guided_shap: its priors written out set by set, and what a good, a bad and an empty guide do."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from saywhy.core.errors import MethodError, OptionError
from saywhy.core.types import Gradients, Values
from saywhy.methods import METHODS
from saywhy.methods import guided as module
from saywhy.methods.coalitions import shapley_of_table
from saywhy.methods.design import design
from saywhy.methods.gaussian_process import LEVELS
from saywhy.methods.guided import Led, factors_by_feature, shapley_with_guide
from saywhy.methods.surrogates import odd_part, paired
from saywhy.methods.walsh import every_coalition
from toys import Game, additive, tangled

N = 7
SETS = [a for k in (1, 3, 5, 7) for a in itertools.combinations(range(N), k)]


def written_out(signs: torch.Tensor, linear: torch.Tensor, variances: torch.Tensor, decay: float, level: float):
    """Walsh functions [P, sets], their prior variances [sets], and each feature's share of them [n, sets]."""
    walsh = torch.stack([signs[:, list(a)].prod(1) for a in SETS], 1)
    product = torch.stack([(linear if len(a) == 1 else variances)[list(a)].prod() for a in SETS])
    total = {k: sum(p for a, p in zip(SETS, product, strict=True) if len(a) == k) for k in (1, 3, 5, 7)}
    spread = {1: 1.0, 3: level, 5: level * decay, 7: level * decay**2}
    prior = torch.stack([spread[len(a)] * p / total[len(a)] for a, p in zip(SETS, product, strict=True)])
    share = torch.tensor([[2 / len(a) if i in a else 0.0 for a in SETS] for i in range(N)], dtype=torch.float64)
    return walsh, prior, share


def test_a_prior_with_variances_by_feature_and_a_mean_is_the_bayesian_regression_written_out():
    draw = torch.Generator().manual_seed(0)
    signs = (torch.rand(20, N, generator=draw) < 0.5).double() * 2 - 1
    signs[0] = 1
    odd = torch.randn(20, 1, generator=draw, dtype=torch.float64)
    guides = torch.randn(2, N, generator=draw, dtype=torch.float64)
    linear, higher = torch.rand(2, N, generator=draw, dtype=torch.float64) + 0.2
    linear, higher = linear / linear.mean(), higher / higher.mean()
    decay, place, reach = 0.3, 44, 10.0
    level = float(LEVELS[place])
    led = Led(factors_by_feature(signs, linear, higher, decay), odd, guides, linear)
    likelihoods, sizes = led.with_mean(reach)
    scores, variance = led.led(place, reach)

    walsh, prior, share = written_out(signs, linear, higher, decay, level)
    ways = torch.zeros(2, len(SETS), dtype=torch.float64)
    ways[:, :N] = guides / (guides**2 / linear).sum(1, keepdim=True).sqrt()
    covariance = prior.diag() + reach * ways.T @ ways
    jitter = 1e-8 * level * (1 + decay + decay**2) * torch.eye(20, dtype=torch.float64)
    cover = walsh @ covariance @ walsh.T + jitter
    solved = torch.linalg.solve(cover, odd[:, 0])
    posterior = covariance - covariance @ walsh.T @ torch.linalg.solve(cover, walsh @ covariance)
    size = odd[:, 0] @ solved / 18
    torch.testing.assert_close(scores, share @ covariance @ walsh.T @ solved, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(variance, (share @ posterior @ share.T).diag(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sizes[place], size, rtol=1e-4, atol=0)
    other = 40
    walsh, prior, _ = written_out(signs, linear, higher, decay, float(LEVELS[other]))
    jitter = jitter * float(LEVELS[other]) / level
    beside = walsh @ (prior.diag() + reach * ways.T @ ways) @ walsh.T + jitter
    difference = -10 * ((odd[:, 0] @ torch.linalg.solve(beside, odd[:, 0]) / 18).log() - size.log())
    difference -= (torch.logdet(beside) - torch.logdet(cover)) / 2
    torch.testing.assert_close(likelihoods[other] - likelihoods[place], difference, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("guide", list(module.GUIDES))
def test_every_guide_asks_at_its_places_once_and_then_coalitions_with_their_complements(guide):
    game = tangled(n=11)
    asking = METHODS["guided_shap"].function(game.problem, budget=8, guide=guide)
    question = next(asking)
    for rules, steps in module.GUIDES[guide]:
        assert isinstance(question, Gradients)
        assert (question.rules, len(question.points)) == (rules, steps)
        question = asking.send(game._bend(question))
    assert isinstance(question, Values)
    assert len(question.coalitions) == 8
    assert torch.equal(question.coalitions[:4], ~question.coalitions[4:])
    asking.close()


def test_with_a_right_guide_half_as_many_evaluations_as_features_are_enough():
    game, weights = additive(n=16)
    scores = game.drive(METHODS["guided_shap"].function(game.problem, budget=10))
    torch.testing.assert_close(scores.values, weights, rtol=0.02, atol=0.02)


def errors(guides: list[torch.Tensor], budget: int, n: int = 12, beside: torch.Tensor | None = None) -> list[float]:
    """The summed relative error of a fit with each guide, the first near the exact values; alone, or with another beside it."""
    half, _ = design(n, (budget - 2) // 2, 0)
    rows, signs = paired(half), torch.cat([torch.ones(1, n), half * 2.0 - 1]).double()
    found = [0.0] * len(guides)
    for seed in range(8):
        game = tangled(n=n, k=1, seed=seed)
        exact = shapley_of_table(game.play(every_coalition(n).double()), n)
        for g, guide in enumerate(guides):
            given = exact + 0.2 * guide if g == 0 else guide
            told = torch.stack([given] if beside is None else [beside, given], 1)
            scores, _ = shapley_with_guide((n, len(half)), signs, odd_part(game.play(rows.double())), told)
            found[g] += float((scores - exact).norm() / exact.norm())
    return found


@pytest.mark.parametrize("budget", [8, 14, 26, 50])
def test_a_good_guide_helps_and_a_bad_one_hardly_harms(budget):
    draw = torch.Generator().manual_seed(3)
    noise, wrong = torch.randn(2, 1, 12, generator=draw, dtype=torch.float64)
    good, bad, none = errors([noise, wrong, torch.zeros(1, 12, dtype=torch.float64)], budget)
    assert good < (0.8 if budget < 50 else 0.95) * none
    assert bad < 1.1 * none


def test_one_good_guide_of_two_is_enough():
    draw = torch.Generator().manual_seed(5)
    noise, wrong = torch.randn(2, 1, 12, generator=draw, dtype=torch.float64)
    good, none = errors([noise, torch.zeros(1, 12, dtype=torch.float64)], 14)
    [both] = errors([noise], 14, beside=wrong)
    assert good < both < 0.7 * none


def test_a_guide_without_numbers_leaves_the_others():
    n = 10
    game = tangled(n=n, k=1)
    half, _ = design(n, 6, 0)
    signs = torch.cat([torch.ones(1, n), half * 2.0 - 1]).double()
    odd = odd_part(game.play(paired(half).double()))
    draw = torch.Generator().manual_seed(2)
    guide = torch.randn(1, n, generator=draw, dtype=torch.float64)
    alone, errors_alone = shapley_with_guide((n, 6), signs, odd, guide[:, None])
    for empty in (torch.zeros(1, n), torch.full((1, n), math.nan), torch.full((1, n), math.inf)):
        beside, errors_beside = shapley_with_guide((n, 6), signs, odd, torch.stack([empty.double(), guide], 1))
        torch.testing.assert_close(beside, alone)
        torch.testing.assert_close(errors_beside, errors_alone)


def test_a_budget_below_half_the_features_and_an_unknown_guide_are_refused_before_any_question():
    game = tangled(n=20)
    with pytest.raises(OptionError, match="from 12 to 8192 evaluations, not 11"):
        game.drive(METHODS["guided_shap"].function(game.problem, budget=11))
    with pytest.raises(OptionError, match="Did you mean 'libra'"):
        game.drive(METHODS["guided_shap"].function(game.problem, guide="libr"))
    assert game.evaluations == game.bends == 0
    many = Game(1001, lambda presence: presence[:, :1])
    with pytest.raises(MethodError, match="up to 1,000 features, and here are 1,001"):
        many.drive(METHODS["guided_shap"].function(many.problem))
    assert many.evaluations == many.bends == 0


@pytest.mark.parametrize("n", range(3, 10))
def test_every_budget_of_few_features_gives_finite_scores_that_add_up(n):
    game = tangled(n=n)
    base, full = game.play(torch.tensor([[0.0] * n, [1.0] * n], dtype=torch.float64))
    for name, least in (("guided_shap", 2 * ((n + 3) // 4) + 2), ("kernel_shap", 2 * n + 2)):
        every = 1 if n < 6 else 5  # with more features a fifth of the budgets, odd and even
        for budget in range(least, min(2**n + 2, 70), every):
            scores = game.drive(METHODS[name].function(game.problem, budget=budget))
            torch.testing.assert_close(scores.values.sum(1), full - base)
            for each in (scores.stderr, *(scores.pairs.values.values() if scores.pairs else ())):
                assert each is None or torch.isfinite(each).all()


def test_standard_errors_cover_the_error_at_small_budgets():
    inside = []
    for seed in range(6):
        game = tangled(n=11, k=1, seed=seed)
        exact = shapley_of_table(game.play(every_coalition(11).double()), 11)
        for budget in (12, 24, 60):
            scores = game.drive(METHODS["guided_shap"].function(game.problem, budget=budget))
            inside.append(((scores.values - exact).abs() < 1.96 * scores.stderr).double().mean())
    assert 0.85 < float(torch.stack(inside).mean()) < 0.995


def test_a_game_without_gradients_is_refused_in_words():
    game = Game(6, lambda presence: presence[:, :1], path=False)
    with pytest.raises(ValueError, match="kernel_shap"):
        game.drive(METHODS["guided_shap"].function(game.problem, budget=20))
    assert math.isclose(game.evaluations, 0)
