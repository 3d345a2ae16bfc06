"""Plausibility: do the scores point where people point? That is no proof of faithfulness, and is never averaged with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.types import Problem
from .candidate import NOT_APPLICABLE, Candidate, Judgement, Judging
from .ranks import average_precision

if TYPE_CHECKING:
    from ..core.shapes import Bool


def precision_at_one(problem: Problem, candidate: Candidate) -> Judging:
    """1 where the feature that scores highest is marked, else 0. No evaluation. Source: Bastings et al. 2022."""
    if candidate.human is None or not candidate.human.any():
        return NOT_APPLICABLE
    return Judgement(float(candidate.human[int(candidate.order[0])]))
    yield


def token_f1(problem: Problem, candidate: Candidate) -> Judging:
    """F1 of the k highest scores above zero against k marked features. No evaluation. Source: DeYoung et al. 2020."""
    found = _both(candidate)
    if found is None:
        return NOT_APPLICABLE
    chosen, marked = found
    return Judgement(2 * int((chosen & marked).sum()) / int(chosen.sum() + marked.sum()))
    yield


def intersection_over_union(problem: Problem, candidate: Candidate) -> Judging:
    """How many of the k highest scores above zero and of the k marked features are both. No evaluation.

    Source: DeYoung et al. 2020.
    """
    found = _both(candidate)
    if found is None:
        return NOT_APPLICABLE
    chosen, marked = found
    return Judgement(int((chosen & marked).sum()) / int((chosen | marked).sum()))
    yield


def rationale_precision(problem: Problem, candidate: Candidate) -> Judging:
    """The area under precision and recall (AUPRC) for the marked features. No evaluation. Source: DeYoung et al. 2020."""
    found = _both(candidate)
    return NOT_APPLICABLE if found is None else Judgement(average_precision(candidate.scores[0], found[1]))
    yield


def _both(candidate: Candidate) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]] | None:
    """As many features as are marked, of those that score highest and above zero; and those marked."""
    if candidate.human is None or not candidate.human.any():
        return None
    marked = torch.as_tensor(candidate.human)
    chosen = torch.zeros(len(marked), dtype=torch.bool)
    chosen[candidate.order[: int(marked.sum())]] = True
    return chosen & (candidate.scores[0] > 0), marked
