"""Metrics that ask the method again: with noise, with another seed, for another label, of another model."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import OptionError
from ..core.types import EmbeddingPath, Gradients, Problem, Question, Scores, Values
from .candidate import NOT_APPLICABLE, Candidate, Judgement, Judging
from .ranks import spearman

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float


def max_sensitivity(
    problem: Problem, candidate: Candidate, *, samples: int = 10, radius: float = 0.1, seed: int = 0
) -> Judging:
    """How far the scores move, at most, when the embeddings are shaken, over their length. `samples` times the method's cost.

    Noise is uniform within `radius` standard deviations of the text's embeddings, on the features' positions. It does not apply
    to methods that read attention weights, or where the embeddings cannot be reached. Source: Yeh et al. 2019.
    """
    if problem.path is None or candidate.again is None:
        return NOT_APPLICABLE
    size = float(candidate.scores[0].norm())
    moved = []
    for noise in shaken(problem.path, samples, radius, seed):
        scores = yield from under_noise(problem, candidate, noise)
        if scores is None:
            return NOT_APPLICABLE
        moved.append(float((scores.values[0] - candidate.scores[0]).norm()))
    return Judgement(max(moved) / size if size else None)


def shaken(path: EmbeddingPath, samples: int, radius: float, seed: int) -> list[Float[Tensor, "S D"]]:
    """Noise for the embeddings of the features' positions, `samples` times."""
    if samples < 1 or radius <= 0:
        raise OptionError(f"`samples` must be at least 1 and `radius` above 0, not {samples} and {radius}.")
    draw = torch.Generator().manual_seed(seed)
    mine = torch.as_tensor(path.owner >= 0)[:, None]
    width = radius * float(path.input[mine[:, 0]].std())
    size = tuple(path.input.shape)
    return [
        (torch.rand(size, generator=draw) * 2 - 1).to(path.input) * width * mine.to(path.input) for _ in range(samples)
    ]


def under_noise(
    problem: Problem, candidate: Candidate, noise: Float[Tensor, "S D"]
) -> Generator[Any, Any, Scores | None]:
    """The scores of the same method where present features carry noise; None for one that looks at attention."""
    path = problem.path
    if path is None or candidate.again is None:
        return None
    moved = replace(path, input=path.input + noise)
    asking = candidate.again(replace(problem, path=moved), 0)
    answer: Any = None
    while True:
        try:
            question: Question = asking.send(answer)
        except StopIteration as end:
            scores: Scores = end.value
            return scores
        if isinstance(question, Values):
            answer, _ = yield Gradients(_points(moved, question.coalitions), direction="norm", only=())
        elif isinstance(question, Gradients):
            answer = yield question
        else:
            asking.close()
            return None


def _points(path: EmbeddingPath, coalitions: Bool[Tensor, "N n"]) -> Float[Tensor, "N S D"]:
    """The embeddings of each coalition, its absent features at the baseline."""
    owner = np.maximum(path.owner, 0)
    present = torch.as_tensor(coalitions[:, owner]) | torch.as_tensor(path.owner < 0)
    return torch.where(present[..., None].to(path.input.device), path.input, path.baseline)


def seed_spread(problem: Problem, candidate: Candidate, *, seeds: int = 3) -> Judging:
    """How far the scores move with the seed: their standard deviation over the scores' size. `seeds` times the method's cost.

    0 for a method without chance.
    """
    if seeds < 2:
        raise OptionError(f"`seeds` must be at least 2, not {seeds}.")
    if candidate.again is None:
        return NOT_APPLICABLE
    found = []
    for seed in range(seeds):
        scores = yield from candidate.again(problem, seed)
        found.append(scores.values[0])
    every = torch.stack(found)
    size = float(every.square().mean().sqrt())
    return Judgement(float(every.var(0).mean().sqrt()) / size if size else None)


def random_logit(problem: Problem, candidate: Candidate) -> Judging:
    """How alike the scores of the explained and of another target are: |Spearman|. No evaluation.

    High values are right where the two targets are two sides of one choice. Source: Sixt, Granz & Landgraf 2020.
    """
    if len(candidate.scores) < 2:
        return NOT_APPLICABLE
    return Judgement(abs(spearman(candidate.scores[0], candidate.scores[1])))
    yield  # a metric is a generator, also one that asks nothing


def agreement(problem: Problem, candidate: Candidate) -> Judging:
    """The mean Spearman correlation with the other methods compared. No evaluation. To agree is not to be right."""
    if not candidate.others:
        return NOT_APPLICABLE
    return Judgement(float(np.mean([spearman(candidate.scores[0], other) for other in candidate.others])))
    yield


def parameter_randomisation(problem: Problem, candidate: Candidate) -> Judging:
    """How alike the scores stay while the weights are made random from the top down: mean Spearman of |scores|. No evaluation.

    The explanations of the randomised models are the comparison's to make. Source: Adebayo et al. 2018 (MPRT). It favours
    noisy methods; see `smooth_parameter_randomisation`.
    """
    return _alike(None if candidate.randomised is None else torch.cat([candidate.scores[:1], candidate.randomised]))
    yield


def smooth_parameter_randomisation(problem: Problem, candidate: Candidate) -> Judging:
    """The same for explanations that are each the mean over noisy embeddings. No evaluation. Source: Hedström et al. 2023."""
    return _alike(candidate.smoothed)
    yield


def _alike(scores: Float[Tensor, "models n"] | None) -> Judgement:
    """The mean likeness of the first to the others."""
    if scores is None:
        return NOT_APPLICABLE
    return Judgement(float(np.mean([spearman(scores[0].abs(), each.abs()) for each in scores[1:]])))


def efficient_parameter_randomisation(problem: Problem, candidate: Candidate) -> Judging:
    """The relative rise of the scores' complexity once all weights are random. No evaluation.

    Complexity is the entropy of the |scores| as shares. Source: Hedström et al. 2023 (eMPRT).
    """
    if candidate.randomised is None:
        return NOT_APPLICABLE
    before, after = _complexity(candidate.scores[0]), _complexity(candidate.randomised[-1])
    return Judgement((after - before) / before if before else None)
    yield


def _complexity(scores: Float[Tensor, " n"]) -> float:
    shares = scores.abs() / scores.abs().sum().clamp(min=1e-300)
    return float(-(shares * shares.clamp(min=1e-300).log()).sum())
