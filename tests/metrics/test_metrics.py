"""Every metric against its definition, written out slowly: in closed form on an additive game, and on a tangled one."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from saywhy.core.errors import OptionError
from saywhy.methods import METHODS
from saywhy.metrics import METRICS, Candidate
from saywhy.metrics.fidelity import HELD_OUT, drawn
from saywhy.metrics.ranks import average_precision, kendall, places, spearman
from saywhy.metrics.removal import best_known, chain, levels, searched
from saywhy.metrics.stability import shaken
from toys import additive, tangled


def claimed(game, seed=1, **more):
    scores = torch.randn(2, game.n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Candidate(scores, **more)


def measured(game, name, candidate, **options):
    return game.drive(METRICS[name].function(game.problem, candidate, **options))


def play(game, present):
    return float(game.play(torch.tensor([[float(i in present) for i in range(game.n)]], dtype=torch.float64))[0, 0])


# ---- ranks -------------------------------------------------------------------------------------------------------------


def test_ranks_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    for _ in range(20):
        a, b = draw.integers(0, 5, 9).astype(float), draw.integers(0, 5, 9).astype(float)
        assert spearman(torch.tensor(a), torch.tensor(b)) == pytest.approx(stats.spearmanr(a, b).statistic)
        assert kendall(torch.tensor(a), torch.tensor(b)) == pytest.approx(stats.kendalltau(a, b).statistic)
        np.testing.assert_allclose(places(torch.tensor(a)), stats.rankdata(a) - 1)


def test_average_precision_is_scikit_learns():
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(0)
    for _ in range(20):
        scores, marked = draw.integers(0, 6, 12).astype(float), draw.random(12) < 0.4
        marked[0] = True
        expected = average_precision_score(marked, scores)
        assert average_precision(torch.tensor(scores), torch.tensor(marked)) == pytest.approx(expected)


def test_ranks_of_what_ranks_nothing():
    flat, steep = torch.ones(4), torch.arange(4.0)
    assert spearman(flat, steep) == kendall(flat, steep) == 0.0


# ---- removal -----------------------------------------------------------------------------------------------------------


def by_hand(game, order):
    """The target with the first k of the order gone, k = 0 … n."""
    return [play(game, set(order[k:])) for k in range(game.n + 1)]


@pytest.mark.parametrize("make", [lambda: additive(5)[0], lambda: tangled(6)], ids=["additive", "tangled"])
def test_removal_metrics_are_their_definitions(make):
    game = make()
    candidate, n = claimed(game), game.n
    order = [int(i) for i in np.argsort(-candidate.scores[0].numpy(), kind="stable")]
    down, up = by_hand(game, order), by_hand(game, order[::-1])
    full = down[0]
    kept = [play(game, set(order[:k])) for k in range(n + 1)]
    area = lambda curve: np.trapezoid(curve, dx=1 / n)  # noqa: E731
    expected = {
        "comprehensiveness": full - np.mean(down[1:]),
        "sufficiency": full - np.mean(kept[1:]),
        "deletion": area(down),
        "insertion": area(kept),
        "removal_area": area(up) - area(down),
    }
    for name, value in expected.items():
        assert measured(game, name, candidate).value == pytest.approx(value), name
    backwards = replace(candidate, scores=-candidate.scores)
    for name in expected:
        assert measured(game, name, candidate).reverse == pytest.approx(measured(game, name, backwards).value), name


def test_an_additive_game_in_closed_form():
    game, weights = additive(5)
    candidate = Candidate(weights)
    ranked = sorted(weights[0].tolist(), reverse=True)
    falls = np.cumsum(ranked)
    assert measured(game, "comprehensiveness", candidate).value == pytest.approx(falls.mean())
    assert measured(game, "sufficiency", candidate).value == pytest.approx(sum(ranked) - falls.mean())
    for name in ("infidelity", "scaled_infidelity", "completeness_gap"):
        assert measured(game, name, candidate).value == pytest.approx(0, abs=1e-12)
    assert measured(game, "leave_one_out_correlation", candidate).value == pytest.approx(1)
    assert measured(game, "monotonicity", candidate).value == 1
    assert measured(game, "normalised_comprehensiveness", candidate).value == pytest.approx(1)
    assert measured(game, "normalised_comprehensiveness", candidate).reverse == pytest.approx(0)
    assert measured(game, "normalised_sufficiency", candidate).value == pytest.approx(0)
    assert measured(game, "completeness_gap", Candidate(2 * weights)).value == pytest.approx(
        abs(weights[0].sum()) / (2 * weights[0].abs().sum())
    )


def test_normalised_comprehensiveness_lies_between_all_orders():
    game = tangled(5)
    candidate = claimed(game)
    fall = {o: play(game, set(range(5))) - np.mean(by_hand(game, o)[1:]) for o in itertools.permutations(range(5))}
    own = tuple(int(i) for i in candidate.order)
    expected = (fall[own] - min(fall.values())) / (max(fall.values()) - min(fall.values()))
    found = measured(game, "normalised_comprehensiveness", candidate, budget=2_000)
    assert found.value == pytest.approx(expected, abs=1e-9)
    best = tuple(int(i) for i in game.drive(best_known(game.problem, candidate, 2_000)))
    assert fall[best] == pytest.approx(max(fall.values()))


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 57])
def test_long_inputs_go_in_ten_steps(n):
    at = levels(n)
    assert (at[0], at[-1], len(at)) == (0, n, min(n, 10) + 1)
    rows = chain(torch.randperm(n))
    assert (rows.sum(1) == n - at).all()
    assert (rows[1:] <= rows[:-1]).all()


@pytest.mark.parametrize(("n", "budget"), [(4, 128), (30, 128), (60, 200), (7, 10)])
def test_the_search_keeps_to_its_budget(n, budget):
    game = tangled(n)
    order = game.drive(searched(game.problem, budget, 1))
    assert sorted(order.tolist()) == list(range(n))
    assert game.evaluations <= max(budget // 2, n)


def test_what_one_search_finds_beats_chance():
    game = tangled(12)
    order = game.drive(searched(game.problem, 500, 1)).tolist()
    fall = lambda o: play(game, set(range(12))) - np.mean(by_hand(game, o)[1:])  # noqa: E731
    draw = np.random.default_rng(0)
    assert fall(order) > max(fall([int(i) for i in draw.permutation(12)]) for _ in range(50))


# ---- fidelity ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["half", "sizes"])
def test_infidelity_is_its_definition(law):
    game = tangled(6)
    candidate = claimed(game)
    sets = drawn(6, 32, law, 3)
    assert torch.equal(sets[:16], ~sets[16:])
    full = play(game, set(range(6)))
    pairs = []
    for gone in sets:
        left = {i for i in range(6) if not gone[i]}
        pairs.append((float(candidate.scores[0][gone].sum()), full - play(game, left)))
    expected = np.mean([(said - fell) ** 2 for said, fell in pairs])
    assert measured(game, "infidelity", candidate, samples=32, law=law, seed=3).value == pytest.approx(expected)
    said, fell = map(np.array, zip(*pairs, strict=True))
    scale = (said @ fell) / (said @ said)
    scaled = ((scale * said - fell) ** 2).sum() / (fell @ fell)
    found = measured(game, "scaled_infidelity", candidate, samples=32, law=law, seed=3).value
    assert found == pytest.approx(scaled)
    again = measured(
        game, "scaled_infidelity", replace(candidate, scores=7 * candidate.scores), samples=32, law=law, seed=3
    )
    assert again.value == pytest.approx(found)


def shapley_and_faithful_pairs(game):
    """From all coalitions, by their definitions; both are least squares under the Shapley kernel."""
    n, rest = game.n, list(range(game.n))
    value = {s: play(game, set(s)) for k in range(n + 1) for s in itertools.combinations(rest, k)}
    weight = [math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n) for k in range(n)]
    scores = [
        sum(
            weight[len(s)] * (value[tuple(sorted((*s, i)))] - value[s])
            for k in range(n)
            for s in itertools.combinations([j for j in rest if j != i], k)
        )
        for i in rest
    ]
    pairs = list(itertools.combinations(rest, 2))
    rows, out, weights = [], [], []
    for s, v in value.items():
        rows.append([*(float(i in s) for i in rest), *(float(i in s and j in s) for i, j in pairs)])
        out.append(v - value[()])
        weights.append(1e9 if len(s) in (0, n) else 1 / (math.comb(n, len(s)) * len(s) * (n - len(s))))
    root = np.sqrt(weights)
    fitted = np.linalg.lstsq(np.array(rows) * root[:, None], np.array(out) * root, rcond=None)[0]
    return torch.tensor([scores], dtype=torch.float64), torch.tensor(fitted[n:]), fitted


def test_held_out_r2_is_its_definition_alone_and_with_pairs():
    game = tangled(6)
    scores, pairs, fitted = shapley_and_faithful_pairs(game)
    rows = ~drawn(6, 40, "sizes", HELD_OUT + 3)
    kept = [{i for i in range(6) if row[i]} for row in rows]
    truth = np.array([play(game, each) for each in kept])
    spread = ((truth - truth.mean()) ** 2).sum()
    first = play(game, set()) + np.array([sum(float(scores[0, i]) for i in each) for each in kept])
    both = itertools.combinations(range(6), 2)
    inside = np.array([[*(i in each for i in range(6)), *(0,) * 15] for each in kept], dtype=float)
    for place, (i, j) in enumerate(both):
        inside[:, 6 + place] = [i in each and j in each for each in kept]
    second = play(game, set()) + inside @ fitted
    candidate = Candidate(scores, pairs=pairs)
    alone = measured(game, "held_out_r2", candidate, samples=40, seed=3).value
    joined = measured(game, "held_out_r2_with_pairs", candidate, samples=40, seed=3).value
    assert alone == pytest.approx(1 - ((truth - first) ** 2).sum() / spread)
    assert joined == pytest.approx(1 - ((truth - second) ** 2).sum() / spread, abs=1e-6)
    assert joined > alone
    assert measured(game, "held_out_r2_with_pairs", Candidate(scores)).value is None


def test_held_out_r2_is_one_where_the_model_is_additive():
    game, weights = additive(5)
    assert measured(game, "held_out_r2", Candidate(weights)).value == pytest.approx(1)
    assert measured(game, "held_out_r2", Candidate(0 * weights)).value < 0


def test_set_sizes_of_the_law_of_sizes_are_even():
    sizes = torch.bincount(drawn(6, 4_000, "sizes", 0).sum(1), minlength=7)
    assert sizes[0] == sizes[6] == 0
    assert sizes[1:6].min() > 700


# ---- stability -----------------------------------------------------------------------------------------------------------


def asked(name, **options):
    return lambda problem, seed: METHODS[name].function(
        problem, **options, **({"seed": seed} if "seed" in METHODS[name].options else {})
    )


def test_max_sensitivity_is_the_greatest_move_of_the_scores():
    game = tangled(5)
    scores = game.drive(METHODS["input_x_gradient"].function(game.problem)).values
    candidate = Candidate(scores, asked("input_x_gradient"))
    found = measured(game, "max_sensitivity", candidate, samples=4, radius=0.2, seed=5).value
    moves = []
    for noise in shaken(game.problem.path, 4, 0.2, 5):
        moved = replace(game.problem, path=replace(game.problem.path, input=game.problem.path.input + noise))
        again = game.drive(METHODS["input_x_gradient"].function(moved)).values
        moves.append(float((again[0] - scores[0]).norm() / scores[0].norm()))
    assert found == pytest.approx(max(moves))
    assert found > 0


def test_coalition_methods_are_shaken_through_embeddings():
    game = tangled(5)
    candidate = Candidate(game.drive(METHODS["occlusion"].function(game.problem)).values, asked("occlusion"))
    found = measured(game, "max_sensitivity", candidate, samples=2, radius=0.2).value
    assert 0 < found < 1
    assert measured(game, "max_sensitivity", candidate, samples=2, radius=1e-9).value < 1e-6


def test_attention_cannot_be_shaken_and_given_scores_cannot_be_asked_again():
    game = tangled(5)
    assert measured(game, "max_sensitivity", Candidate(torch.ones(2, 5), asked("attention_rollout"))).value is None
    assert measured(game, "max_sensitivity", Candidate(torch.ones(2, 5))).value is None
    assert measured(game, "seed_spread", Candidate(torch.ones(2, 5))).value is None


def test_seed_spread():
    game = tangled(7)
    assert measured(game, "seed_spread", Candidate(torch.ones(2, 7), asked("occlusion"))).value == 0
    few, many = (
        measured(game, "seed_spread", Candidate(torch.ones(2, 7), asked("shapley_sampling", permutations=p))).value
        for p in (2, 64)
    )
    assert 0 < many < few


def test_randomisation_metrics():
    game = tangled(4)
    same, other = torch.tensor([[4.0, -3, 2, 1]]), torch.tensor([[1.0, 2, -3, 4]])
    candidate = Candidate(same, randomised=torch.cat([same, other]), smoothed=torch.cat([same, other]))
    assert measured(game, "parameter_randomisation", candidate).value == pytest.approx((1 - 1) / 2)
    assert measured(game, "smooth_parameter_randomisation", candidate).value == pytest.approx(-1)
    flat = replace(candidate, randomised=torch.ones(1, 4))
    entropy = lambda p: -(p * np.log(p)).sum()  # noqa: E731
    before = entropy(np.array([4, 3, 2, 1]) / 10)
    expected = (np.log(4) - before) / before
    assert measured(game, "efficient_parameter_randomisation", flat).value == pytest.approx(expected)
    assert measured(game, "parameter_randomisation", Candidate(same)).value is None


def test_random_logit_and_agreement():
    game = tangled(4)
    up, down = torch.arange(4.0), -torch.arange(4.0)
    assert measured(game, "random_logit", Candidate(torch.stack([up, down]))).value == pytest.approx(1)
    assert measured(game, "random_logit", Candidate(up[None])).value is None
    assert measured(game, "agreement", Candidate(up[None], others=[up, down, up])).value == pytest.approx(1 / 3)
    assert measured(game, "agreement", Candidate(up[None])).value is None


# ---- plausibility --------------------------------------------------------------------------------------------------------


def test_plausibility_by_hand():
    game = tangled(5)
    candidate = Candidate(torch.tensor([[3.0, -9, 2, 1, 0]]), human=np.array([True, True, False, True, False]))
    assert measured(game, "token_f1", candidate).value == pytest.approx(
        2 * 2 / (3 + 3)
    )  # 0, 2, 3 chosen; 0, 1, 3 marked
    assert measured(game, "intersection_over_union", candidate).value == pytest.approx(2 / 4)
    assert measured(game, "rationale_precision", candidate).value == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert measured(game, "precision_at_one", candidate).value == 1
    assert (
        measured(game, "precision_at_one", replace(candidate, scores=-candidate.scores)).value == 1
    )  # feature 1 is marked too
    assert measured(game, "precision_at_one", replace(candidate, human=np.arange(5) == 2)).value == 0
    nothing = replace(candidate, human=np.zeros(5, dtype=bool))
    assert measured(game, "token_f1", nothing).value is None
    negative = Candidate(-torch.ones(1, 5), human=candidate.human)
    assert measured(game, "token_f1", negative).value == 0


# ---- contract ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", METRICS.values(), ids=lambda row: row.name)
@pytest.mark.parametrize("n", [1, 2, 13])
def test_every_metric_answers_on_any_length_and_twice_alike(row, n):
    def once():
        game = tangled(n)
        candidate = claimed(
            game,
            again=asked("occlusion"),
            others=[torch.arange(n).double()],
            randomised=torch.ones(2, n, dtype=torch.float64),
            smoothed=torch.ones(3, n, dtype=torch.float64),
            human=np.arange(n) % 2 == 0,
        )
        return measured(game, row.name, candidate)

    first = once()
    assert first.value is None or np.isfinite(first.value)
    assert first == once() or vars(first) == vars(once())
    assert row.better in ("higher", "lower", "")
    assert row.family in ("removal", "scores", "stability", "human")
    assert row.blind
    assert row.summary


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("infidelity", {"samples": 3}, "even"),
        ("infidelity", {"law": "shapley"}, "half, sizes"),
        ("seed_spread", {"seeds": 1}, "at least 2"),
        ("max_sensitivity", {"radius": 0}, "above 0"),
    ],
)
def test_bad_options_are_refused(name, options, said):
    game = tangled(4)
    with pytest.raises(OptionError, match=said):
        measured(game, name, claimed(game, again=asked("occlusion")), **options)
