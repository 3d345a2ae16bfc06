"""Contract over METHODS on toy games, and each formula again, slowly, from its paper."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from saywhy.core.errors import MethodError, OptionError
from saywhy.core.types import Scores, Values
from saywhy.methods import METHODS, checked_options, method_named
from saywhy.methods.coalitions import shapley_of_table
from saywhy.methods.gaussian_process import DECAYS, LEVELS, TYPICAL_LEVEL
from saywhy.methods.walsh import every_coalition, krawtchouk
from toys import Game, additive, tangled

ATTRIBUTIONS = [row for row in METHODS.values() if row.family not in ("control", "attention")]


def ends(game: Game) -> tuple[torch.Tensor, torch.Tensor]:
    base, full = game.play(torch.tensor([[0.0] * game.n, [1.0] * game.n], dtype=torch.float64))
    return base, full


@pytest.mark.parametrize("row", ATTRIBUTIONS, ids=lambda row: row.name)
def test_an_additive_game_gives_its_weights_back(row):
    game, weights = additive()
    scores = game.drive(row.function(game.problem))
    if row.name == "saliency":  # noqa: SIM108  a norm: the weight over the length of the way, without sign
        expected = (weights / game.direction.double().norm(dim=-1)).abs()
    else:
        expected = weights
    torch.testing.assert_close(scores.values, expected, rtol=2e-3, atol=2e-3)
    if scores.stderr is not None:
        assert scores.stderr.shape == weights.shape
        fewest = row.name == "guided_shap"  # one row more than weights, so nothing is quite sure
        assert scores.stderr.abs().max() < (1e-3 if fewest else 1e-5)


@pytest.mark.parametrize("row", [row for row in METHODS.values() if row.complete], ids=lambda row: row.name)
def test_complete_methods_leave_no_gap(row):
    game = tangled()
    base, full = ends(game)
    scores = game.drive(row.function(game.problem)).values
    gap = (full - base - scores.sum(1)).abs()
    assert (gap <= 0.01 * scores.abs().sum(1)).all()
    if row.coalitions:
        assert gap.max() < 1e-9


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_the_same_seed_gives_the_same_scores_and_another_does_not(row):
    def scores(**options):
        game = tangled(n=9)
        return game.drive(row.function(game.problem, **options))

    first, second = scores(), scores()
    assert torch.equal(first.values, second.values)
    if "seed" in row.options:
        assert not torch.equal(first.values, scores(seed=1).values)


@pytest.mark.parametrize(
    ("name", "options", "evaluations", "bends"),
    [
        ("occlusion", {}, 10, 0),
        ("shapley_values", {}, 512, 0),
        ("shapley_sampling", {"permutations": 4}, 40, 0),
        ("kernel_shap", {"budget": 100}, 100, 0),
        ("kernel_shap", {"budget": 600}, 512, 0),
        ("guided_shap", {}, 20, 4),
        ("guided_shap", {"budget": 8, "guide": "libra"}, 8, 1),
        ("guided_shap", {"budget": 600}, 512, 0),
        ("lime", {"samples": 50}, 51, 0),
        ("saliency", {}, 0, 1),
        ("input_x_gradient", {}, 0, 1),
        ("smoothgrad", {"samples": 6}, 0, 6),
        ("noisy_integrated_gradients", {"samples": 6, "steps": 3}, 0, 18),
        ("gradient_shap", {"samples": 6}, 0, 6),
        ("integrated_gradients", {"steps": 11}, 0, 11),
        ("libra", {}, 0, 1),
        ("attn_lrp", {}, 0, 1),
        ("detach_attention", {}, 0, 1),
        ("integrated_rules", {}, 0, 2),
        ("integrated_rules", {"steps": 4, "rules": "detach_attention"}, 0, 4),
        ("label_attention", {}, 0, 0),
        ("raw_attention", {}, 0, 0),
        ("attention_rollout", {}, 0, 0),
        ("gradient_rollout", {}, 0, 0),
        ("random", {}, 0, 0),
    ],
)
def test_the_cost_is_as_promised(name, options, evaluations, bends):
    game = tangled(n=9)
    game.drive(METHODS[name].function(game.problem, **options))
    assert (game.evaluations, game.bends) == (evaluations, bends)


@pytest.mark.parametrize("row", [row for row in METHODS.values() if row.gradients], ids=lambda row: row.name)
def test_gradient_methods_refuse_politely_where_there_is_no_gradient(row):
    game = Game(4, lambda presence: presence[:, :1], path=False)
    with pytest.raises(MethodError, match="kernel_shap"):
        game.drive(row.function(game.problem))


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_one_and_two_features_work(row):
    for n in (1, 2):
        game, weights = additive(n=n)
        scores = game.drive(row.function(game.problem))
        assert scores.values.shape == weights.shape
        assert torch.isfinite(scores.values).all()
        if row.complete:
            torch.testing.assert_close(scores.values, weights, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_every_row_says_what_it_is(row):
    assert row.summary
    assert row.cost
    assert row.source
    assert "Source" in (row.function.__doc__ or "") or row.family == "control"
    assert method_named(row.name) is row


def test_shapley_values_are_the_mean_over_all_orders():
    game = tangled(n=5)
    expected = torch.zeros(2, 5, dtype=torch.float64)
    for order in itertools.permutations(range(5)):
        here = torch.zeros(1, 5, dtype=torch.float64)
        for i in order:
            before = game.play(here)[0]
            here[0, i] = 1
            expected[:, i] += (game.play(here)[0] - before) / math.factorial(5)
    torch.testing.assert_close(game.drive(METHODS["shapley_values"].function(game.problem)).values, expected)


def test_shapley_sampling_over_its_own_orders():
    game = tangled(n=5)
    scores = game.drive(METHODS["shapley_sampling"].function(game.problem, permutations=6, seed=3))
    draw = torch.Generator().manual_seed(3)
    orders = [torch.randperm(5, generator=draw).tolist() for _ in range(3)]
    pairs = torch.zeros(3, 2, 5, dtype=torch.float64)
    for p, order in enumerate(orders):
        for one in (order, order[::-1]):
            here = torch.zeros(1, 5, dtype=torch.float64)
            for i in one:
                before = game.play(here)[0]
                here[0, i] = 1
                pairs[p, :, i] += (game.play(here)[0] - before) / 2
    torch.testing.assert_close(scores.values, pairs.mean(0))
    torch.testing.assert_close(scores.stderr, pairs.std(0) / math.sqrt(3))


def test_kernel_shap_is_the_bayesian_regression_on_walsh_functions():
    """The same fit written out: a coefficient for every odd set under each prior, and the mean of the posteriors."""
    game = tangled(n=7)
    asking = METHODS["kernel_shap"].function(game.problem, budget=60, seed=1)
    coalitions = next(asking).coalitions.double()
    values = game.play(coalitions)
    with pytest.raises(StopIteration) as end:
        asking.send(values)
    scores = end.value.value
    signs, odd = coalitions[:30] * 2 - 1, (values[:30] - values[30:]) / 2
    sets = [a for k in (1, 3, 5, 7) for a in itertools.combinations(range(7), k)]
    walsh = torch.stack([signs[:, list(a)].prod(1) for a in sets], 1)
    share = torch.tensor([[2 / len(a) if i in a else 0.0 for a in sets] for i in range(7)], dtype=torch.float64)
    for k in range(2):
        weights, means, squares = [], [], []
        for decay, level in itertools.product(DECAYS, LEVELS[16:].tolist()):  # smaller ones weigh nothing here
            spread = {1: 1.0, 3: level, 5: level * decay, 7: level * decay**2}
            prior = torch.tensor([spread[len(a)] / math.comb(7, len(a)) for a in sets], dtype=torch.float64)
            jitter = 1e-8 * level * (1 + decay + decay**2) * torch.eye(30, dtype=torch.float64)
            cover = walsh * prior @ walsh.T + jitter
            fitted = torch.linalg.solve(cover, odd[:, k])
            size = odd[:, k] @ fitted / 28  # an inverse gamma posterior with 30 degrees of freedom has this mean
            weights.append(-15 * size.log() - torch.logdet(cover) / 2)
            away = (math.log10(level) - TYPICAL_LEVEL[0]) / TYPICAL_LEVEL[1]
            weights[-1] += max(-3.0, -(away**2) / 2) if away < 0 else -(away**2) / 2
            posterior = prior.diag() - (walsh * prior).T @ torch.linalg.solve(cover, walsh * prior)
            means.append(share @ (prior * (walsh.T @ fitted)))
            squares.append(means[-1] ** 2 + (size * share @ posterior @ share.T).diag())
        shares = torch.stack(weights).softmax(0)
        mean = shares @ torch.stack(means)
        torch.testing.assert_close(scores.values[k], mean, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            scores.stderr[k], (shares @ torch.stack(squares) - mean**2).sqrt(), rtol=3e-3, atol=1e-4
        )


def test_kernel_shap_of_an_additive_game_needs_the_least_budget_only():
    game, weights = additive(n=9)
    scores = game.drive(METHODS["kernel_shap"].function(game.problem, budget=20))
    torch.testing.assert_close(scores.values, weights, rtol=1e-3, atol=1e-4)


def test_kernel_shap_beats_plain_weighted_least_squares_on_the_same_budget():
    """Against the regression of Lundberg & Lee over as many random pairs, drawn by its own kernel, on tangled games."""
    ours, theirs = [], []
    for seed in range(6):
        game = tangled(n=10, k=1, seed=seed)
        exact = shapley_of_table(game.play(every_coalition(10).double()), 10)[0]
        ours.append(
            (game.drive(METHODS["kernel_shap"].function(game.problem, budget=128)).values[0] - exact).norm()
            / exact.norm()
        )
        draw = torch.Generator().manual_seed(seed)
        sizes = (
            torch.multinomial(
                torch.tensor([1 / (s * (10 - s)) for s in range(1, 10)]), 63, replacement=True, generator=draw
            )
            + 1
        )
        half = (torch.rand(63, 10, generator=draw).argsort(1).argsort(1) < sizes[:, None]).double()
        z = torch.cat([half, 1 - half])
        base, full = ends(game)
        kkt = torch.zeros(11, 11, dtype=torch.float64)
        kkt[:10, :10], kkt[:10, 10], kkt[10, :10] = 2 * z.T @ z, 1, 1
        right = torch.cat([2 * z.T @ (game.play(z)[:, 0] - base), full - base])
        theirs.append((torch.linalg.solve(kkt, right)[:10] - exact).norm() / exact.norm())
    assert sum(ours) < 0.7 * sum(theirs)


@pytest.mark.parametrize(("n", "most"), [(1, 1), (4, 3), (7, 7), (30, 7)])
def test_krawtchouk_polynomials_count_signs(n, most):
    table = krawtchouk(n, most)
    for k in range(most + 1):
        for d in range(n + 1):
            expected = sum((-1) ** j * math.comb(d, j) * math.comb(n - d, k - j) for j in range(k + 1)) / math.comb(
                n, k
            )
            assert float(table[k, d]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "budget"), [(10, 64), (10, 300), (13, 120), (33, 68), (40, 500), (100, 400)])
def test_kernel_shap_never_asks_a_coalition_twice(n, budget):
    game = tangled(n=n)
    asking = METHODS["kernel_shap"].function(game.problem, budget=budget)
    question = next(asking)
    assert isinstance(question, Values)
    assert len(question.coalitions) == budget
    assert len({row.numpy().tobytes() for row in question.coalitions}) == budget


def test_standard_errors_cover_the_error():
    """Over seeds, the exact value lies within 3 standard errors nearly always, and the errors are not overstated tenfold."""
    for name, options in (("kernel_shap", {"budget": 80}), ("shapley_sampling", {"permutations": 16})):
        game = tangled(n=9)
        exact = game.drive(METHODS["shapley_values"].function(game.problem)).values
        z = []
        for seed in range(40):
            scores = game.drive(METHODS[name].function(game.problem, seed=seed, **options))
            z.append(((scores.values - exact).abs() / scores.stderr).flatten())
        z = torch.cat(z)
        assert (z < 3).double().mean() > 0.9, name
        assert z.nanmedian() > 0.2, name


def test_lime_is_weighted_ridge_regression():
    sklearn = pytest.importorskip("sklearn.linear_model")
    game = tangled(n=6, k=1)
    asking = METHODS["lime"].function(game.problem, samples=40, seed=2)
    kept = next(asking).coalitions.double()
    with pytest.raises(StopIteration) as end:
        asking.send(game.play(kept))
    weight = torch.exp(-((1 - kept.mean(1).sqrt()) ** 2) / 0.25**2)
    model = sklearn.Ridge(alpha=1e-3).fit(kept.numpy(), game.play(kept)[:, 0].numpy(), sample_weight=weight.numpy())
    np.testing.assert_allclose(end.value.value.values[0], model.coef_, rtol=1e-6)


def test_integrated_gradients_equal_a_fine_riemann_sum():
    game = tangled(n=5)
    fine = game.drive(METHODS["integrated_gradients"].function(game.problem, steps=200)).values
    rows = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None].expand(-1, 5)
    jacobian = torch.stack(
        [torch.autograd.functional.jacobian(lambda x: game.play(x[None])[0], row) for row in rows[::40]]
    )
    riemann = torch.trapezoid(jacobian, dx=0.01, dim=0)
    torch.testing.assert_close(fine, riemann, rtol=1e-3, atol=1e-3)
    adaptive = game.drive(METHODS["integrated_gradients"].function(game.problem)).values
    assert ((adaptive - fine).abs().sum(1) <= 0.02 * fine.abs().sum(1)).all()


def test_integrated_gradients_follow_a_sharp_step():
    """A target that jumps within 1 % of the path: fifty fixed steps miss it, the adaptive rule does not."""
    game = Game(3, lambda presence: torch.sigmoid(400 * (presence.mean(1, keepdim=True) - 0.777)))
    base, full = ends(game)
    fixed = game.drive(METHODS["integrated_gradients"].function(game.problem, steps=50)).values
    game.bends = 0
    adaptive = game.drive(METHODS["integrated_gradients"].function(game.problem))
    assert (full - base - fixed.sum(1)).abs() > 0.03
    assert (full - base - adaptive.values.sum(1)).abs() < 0.01
    assert not adaptive.notes
    assert game.bends < 60


def test_integrated_gradients_say_when_they_did_not_converge():
    game = Game(3, lambda presence: torch.sigmoid(4e6 * (presence.mean(1, keepdim=True) - 0.7771)))
    scores = game.drive(METHODS["integrated_gradients"].function(game.problem, budget=15))
    assert game.bends <= 15
    assert "did not converge" in scores.notes[0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shapley_sampling", {"permutations": 3}),
        ("kernel_shap", {"budget": 5}),
        ("kernel_shap", {"budget": 9000}),
        ("guided_shap", {"budget": 5}),
        ("guided_shap", {"budget": 9000}),
        ("guided_shap", {"guide": "saliency"}),
        ("lime", {"samples": 1}),
        ("lime", {"width": 0}),
        ("smoothgrad", {"samples": 3}),
        ("smoothgrad", {"noise": 0.0}),
        ("smoothgrad", {"of": "median"}),
        ("noisy_integrated_gradients", {"samples": 3}),
        ("noisy_integrated_gradients", {"steps": 0}),
        ("gradient_shap", {"samples": 1}),
        ("integrated_gradients", {"tolerance": 0}),
        ("integrated_gradients", {"budget": 2}),
        ("integrated_gradients", {"steps": 0}),
    ],
)
def test_bad_options_are_refused_before_any_question(name, options):
    game = tangled(n=14)
    with pytest.raises(OptionError, match=str(next(iter(options.values())))):
        game.drive(METHODS[name].function(game.problem, **options))
    assert game.evaluations == game.bends == 0


def test_too_many_features_for_exact_shapley_names_the_cost():
    game = tangled(n=13)
    with pytest.raises(MethodError, match="8,192"):
        game.drive(METHODS["shapley_values"].function(game.problem))
    assert game.evaluations == 0


def test_an_option_of_another_method_names_its_owner():
    with pytest.raises(OptionError, match="is an option of integrated_gradients"):
        checked_options(METHODS["occlusion"], {"steps": 50})
    with pytest.raises(OptionError, match="Did you mean 'steps'"):
        checked_options(METHODS["integrated_gradients"], {"step": 50})
    with pytest.raises(OptionError, match="Did you mean 'kernel_shap'"):
        method_named("kernelshap")


def test_a_method_of_the_callers_own_needs_no_registration():
    def keep_one(problem):
        values = yield Values(torch.eye(problem.n).bool())
        return Scores(values.T)

    row = method_named(keep_one)
    game, weights = additive()
    torch.testing.assert_close(game.drive(row.function(game.problem)).values, weights + 0.3)


def test_integrated_gradients_stop_at_a_jump():
    """A model that jumps on the path: no piece is cut for ever, and a note says why the scores do not add up."""
    game = Game(3, lambda presence: (presence.sum(-1, keepdim=True) > 1.7).double() + presence[:, :1])
    scores = game.drive(METHODS["integrated_gradients"].function(game.problem))
    assert game.bends < 60
    assert "jumps" in scores.notes[0]
    torch.testing.assert_close(scores.values, torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64), atol=1e-3, rtol=0)


def test_kernel_shap_of_sixteen_features_needs_little_memory():
    """Subsets of eight of sixteen are 12,870; a grid of 16^8 would not fit into any memory."""
    from saywhy.methods.design import _subsets

    rows = _subsets(16, 8, math.comb(16, 8) // 2, 400, torch.Generator().manual_seed(0))
    assert rows.shape == (400, 16)
    assert (rows.sum(1) == 8).all()
    assert len(torch.unique(torch.cat([rows, ~rows]), dim=0)) == 800


@pytest.mark.parametrize("n", [33, 47, 100])
def test_coalitions_of_many_features_begin_with_a_hadamard_design(n):
    """Every feature is present half of the time, every two agree half of the time; then each feature is absent alone."""
    from saywhy.methods.design import design

    coalitions, _ = design(n, 3 * n, 0)
    signs = coalitions[:n].double() * 2 - 1
    agreement = (signs.T @ signs / n).fill_diagonal_(0)
    assert agreement.abs().max() <= 4 * (n**0.5) / n
    assert (coalitions[n : 2 * n].sum(1) == 1).sum() >= n - 1
    assert 0 < coalitions.sum(1).min() <= coalitions.sum(1).max() <= n // 2


def test_seeds_share_one_design_and_differ_in_the_places_of_the_features():
    from saywhy.methods.design import design

    (first, place), (second, other) = design(40, 100, 0), design(40, 100, 1)
    assert first is second
    assert not torch.equal(place, other)


def test_kernel_shap_of_many_features_asks_in_random_orders_and_says_so():
    weights = torch.linspace(-1, 1, 1001, dtype=torch.float64)[:, None]
    game = Game(1001, lambda presence: presence @ weights, path=False)
    scores = game.drive(METHODS["kernel_shap"].function(game.problem))
    assert game.evaluations <= 8192 + 8
    assert any("random orders" in note for note in scores.notes)
    torch.testing.assert_close(scores.values, weights.T)
    with pytest.raises(OptionError, match="2004 to 8192"):
        game.drive(METHODS["kernel_shap"].function(game.problem, budget=2000))


def test_kernel_shap_of_a_hundred_features_is_near_what_many_orders_say():
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(100, 8, generator=draw, dtype=torch.float64) / 10
    game = Game(100, lambda presence: torch.tanh((presence - 0.5) @ a).sum(1, keepdim=True), path=False)
    many = game.drive(METHODS["shapley_sampling"].function(game.problem, permutations=2000)).values
    scores = game.drive(METHODS["kernel_shap"].function(game.problem))
    assert (scores.values - many).norm() < 0.06 * many.norm()
    covered = ((scores.values - many).abs() < 3 * scores.stderr + 1e-3 * many.abs().max()).double().mean()
    assert covered > 0.95
