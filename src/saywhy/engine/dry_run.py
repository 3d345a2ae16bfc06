"""Methods and metrics driven without a model: what they would ask, and whether they refuse to."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..core.types import (
    AttentionMaps,
    AttentionWeights,
    EmbeddingPath,
    Feature,
    Gradients,
    LabelAttentions,
    MethodGenerator,
    Problem,
    Question,
    Target,
    Values,
)

if TYPE_CHECKING:
    from ..core.shapes import Bool


def first_coalitions(
    method: Callable[..., MethodGenerator], features: Sequence[Feature], options: Mapping[str, Any]
) -> Bool[Tensor, "N n"]:
    """The coalitions that a method asks about first; none where its first question is another, or it asks nothing.

    Raises what the method raises of these features and options.
    """
    n = len(features)
    path = EmbeddingPath(
        torch.zeros(n, 1), torch.zeros(n, 1), np.arange(n), n
    )  # for methods that ask for gradients as well
    generator = method(Problem(tuple(features), (Target("", (0,)),), path), **options)
    try:
        question = next(generator)
    except StopIteration:
        question = None
    finally:
        generator.close()
    if isinstance(question, Values):
        return question.coalitions.bool()
    return torch.zeros(0, len(features), dtype=torch.bool)


def dry_run(generator: Generator[Question, Any, Any], problem: Problem) -> None:
    """Answers every question with zeros."""
    answer: Any = None
    k, n = len(problem.targets), problem.n
    while True:
        try:
            question = generator.send(answer)
        except StopIteration:
            return
        if isinstance(question, Values):
            answer = torch.zeros(len(question.coalitions), k, dtype=torch.float64)
        elif isinstance(question, Gradients):
            wanted = k if question.only is None else len(question.only)
            many, length = question.points.shape[:2]
            zeros = torch.zeros(many, k, dtype=torch.float64)
            answer = (zeros, torch.zeros(wanted, many, length, dtype=torch.float64))
        elif isinstance(question, LabelAttentions):
            answer = torch.zeros(1, k, n, dtype=torch.float64)
        elif isinstance(question, AttentionMaps):
            weights = torch.zeros(1, 1, n, n, dtype=torch.float64)
            answer = AttentionWeights(
                weights, torch.zeros(k, n, dtype=torch.float64), np.arange(n), weights.expand(k, 1, 1, n, n)
            )
