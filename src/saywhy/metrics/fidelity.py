"""Metrics that hold the scores themselves against what the model says of subsets."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.coalitions import each_absent
from ..core.errors import OptionError
from ..core.types import Problem, Values
from .candidate import NOT_APPLICABLE, Candidate, Judgement, Judging
from .ranks import kendall

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float

LAWS = ("half", "sizes")
HELD_OUT = 7_919  # added to the seed, so that these are not the coalitions that infidelity asks, nor those of a method
ROUNDING = 1e-6  # of the largest value: what float32 leaves of sums over a model


def leave_one_out_correlation(problem: Problem, candidate: Candidate) -> Judging:
    """Kendall's tau-b between the scores and the fall of the target when each feature alone is gone. n + 1 evaluations.

    Source: Jain & Wallace 2019. Leave-one-out is not the truth: two words that say the same hide each other.
    """
    values = yield Values(each_absent(problem.n))
    return Judgement(kendall(candidate.scores[0], values[0, 0] - values[1:, 0]))


def infidelity(
    problem: Problem, candidate: Candidate, *, samples: int = 64, law: str = "half", seed: int = 0
) -> Judging:
    """The mean squared difference between what the scores say of a random set and the fall without it. `samples` evaluations.

    `law` draws the sets: "half" takes each feature with probability 1/2, "sizes" a size from 1 to n - 1 first, all alike. Each
    set comes with its complement. In the target's unit squared: compare only within one text. Source: Yeh et al. 2019.
    """
    said, fell = yield from _sets(problem, candidate, samples, law, seed)
    return Judgement(float(((said - fell) ** 2).mean()))


def scaled_infidelity(
    problem: Problem, candidate: Candidate, *, samples: int = 64, law: str = "half", seed: int = 0
) -> Judging:
    """Infidelity at the scale that suits the scores best, as a share of the falls' mean square: 0 to 1. `samples` evaluations.

    For methods whose scores have no unit. Source: Yeh et al. 2019; the scale as in their section on optimal scaling.
    """
    said, fell = yield from _sets(problem, candidate, samples, law, seed)
    size, square = float((said * said).mean()), float((fell * fell).mean())
    if square == 0:
        return Judgement(None)
    scale = float((said * fell).mean()) / size if size else 0.0
    return Judgement(float(((scale * said - fell) ** 2).mean()) / square)


def held_out_r2(
    problem: Problem, candidate: Candidate, *, samples: int = 64, law: str = "sizes", seed: int = 0
) -> Judging:
    """R² of base + the sum of the scores over random coalitions: how much of the model is additive. `samples` + 1 evaluations.

    1 is all of what the target does over these coalitions; 0 is no better than their mean, and below 0 is worse. `law` draws
    them as for infidelity. Source: the faithfulness of Kang et al. 2025, arXiv 2502.13870, and Muschalik et al. 2024.
    """
    kept, there = yield from _held_out(problem, samples, law, seed)
    return Judgement(_r2(there, kept.double() @ candidate.scores[0]))


def held_out_r2_with_pairs(
    problem: Problem, candidate: Candidate, *, samples: int = 64, law: str = "sizes", seed: int = 0
) -> Judging:
    """The same R² when the interactions of every two features (FSII) are added to the scores. `samples` + 1 evaluations.

    Half of each pair's interaction is taken from the scores of its two features, which have it already, and the whole of it is
    added where both are there. It does not apply to methods that tell of no pairs. Source: as for held_out_r2.
    """
    kept, there = yield from _held_out(problem, samples, law, seed)
    if candidate.pairs is None:
        return NOT_APPLICABLE
    n = problem.n
    square = candidate.scores.new_zeros(n, n)
    square[tuple(torch.triu_indices(n, n, 1))] = candidate.pairs.to(square)
    own = candidate.scores[0] - (square.sum(0) + square.sum(1)) / 2
    present = kept.double()
    return Judgement(_r2(there, present @ own + torch.einsum("ri,ij,rj->r", present, square, present)))


def _held_out(
    problem: Problem, samples: int, law: str, seed: int
) -> Generator[Any, Any, tuple[Bool[Tensor, "samples n"], Float[Tensor, " samples"]]]:
    """Random coalitions, and how far the target is above its base with each."""
    kept = ~_drawn_in_pairs(problem, samples, law, HELD_OUT + seed)
    values = yield Values(torch.cat([torch.zeros(1, problem.n, dtype=torch.bool), kept]))
    return kept, values[1:, 0] - values[0, 0]


def _r2(truth: Float[Tensor, " samples"], said: Float[Tensor, " samples"]) -> float | None:
    """None where the truth is the same everywhere, to rounding."""
    spread = float((truth - truth.mean()).square().sum())
    if spread <= len(truth) * ROUNDING**2 * float(truth.abs().amax()) ** 2:
        return None
    return 1 - float((truth - said).square().sum()) / spread


def _sets(
    problem: Problem, candidate: Candidate, samples: int, law: str, seed: int
) -> Generator[Any, Any, tuple[Float[Tensor, " samples"], Float[Tensor, " samples"]]]:
    """The sum of the scores of each set, and how far the target falls without it."""
    gone = _drawn_in_pairs(problem, samples, law, seed)
    values = yield Values(torch.cat([torch.ones(1, problem.n, dtype=torch.bool), ~gone]))
    return gone.double() @ candidate.scores[0], values[0, 0] - values[1:, 0]


def _drawn_in_pairs(problem: Problem, samples: int, law: str, seed: int) -> Bool[Tensor, "{samples} n"]:
    if samples < 2 or samples % 2:
        raise OptionError(
            f"`samples` must be an even number of at least 2 (sets come with their complement), not {samples}."
        )
    return drawn(problem.n, samples, law, seed)


def drawn(n: int, samples: int, law: str, seed: int) -> Bool[Tensor, "{samples} {n}"]:
    """Random sets of features, the second half the complements of the first."""
    if law not in LAWS:
        raise OptionError(f"`law` is one of {', '.join(LAWS)}, not {law!r}.")
    draw = torch.Generator().manual_seed(seed)
    at = torch.rand(samples // 2, n, generator=draw, dtype=torch.float64)
    if law == "half":
        half = at < 0.5
    else:
        sizes = torch.randint(1, max(2, n), (samples // 2, 1), generator=draw)
        half = at.argsort(1).argsort(1) < sizes
    return torch.cat([half, ~half])


def completeness_gap(problem: Problem, candidate: Candidate) -> Judging:
    """What the scores leave of value - base, as a share of sum |scores|; 0 where they add up. 2 evaluations."""
    n = problem.n
    values = yield Values(torch.tensor([[True] * n, [False] * n]))
    size = float(candidate.scores[0].abs().sum())
    gap = abs(float(values[0, 0] - values[1, 0] - candidate.scores[0].sum()))
    return Judgement(gap / size if size else None)
