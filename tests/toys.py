"""Toy problems with known answers, and a driver that answers a method without any model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from saywhy.core.types import (
    AttentionMaps,
    AttentionWeights,
    EmbeddingPath,
    Feature,
    Gradients,
    LabelAttentions,
    MethodGenerator,
    Problem,
    Scores,
    Target,
    Values,
)

WIDTH = 3


class Game:
    """`play(presence [N, n] in 0..1) -> [N, K]`; its smooth face has one position a feature, absent 0 and present 1."""

    def __init__(self, n: int, play: Callable[[Tensor], Tensor], path: bool = True):
        self.n, self.play, self.evaluations, self.bends = n, play, 0, 0
        k = play(torch.zeros(1, n, dtype=torch.float64)).shape[1]
        embedding = None
        if path:
            direction = torch.linspace(0.5, 1.5, n * WIDTH).reshape(n, WIDTH)
            self.baseline = torch.linspace(-1, 1, n * WIDTH).reshape(n, WIDTH)
            self.direction = direction
            embedding = EmbeddingPath(self.baseline + direction, self.baseline, np.arange(n), n)
        features = tuple(Feature(f"w{i}", (3 * i, 3 * i + 2)) for i in range(n))
        self.problem = Problem(features, tuple(Target(f"t{j}", (j,)) for j in range(k)), embedding)

    def _presence(self, points: Tensor) -> Tensor:
        """How far each position is on its way: the projection on its direction."""
        d = self.direction.double()
        return ((points.double() - self.baseline.double()) * d).sum(-1) / (d * d).sum(-1)

    def drive(self, asking: MethodGenerator) -> Scores:
        answer = None
        while True:
            try:
                question = asking.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(question, Values):
                self.evaluations += len(question.coalitions)
                answer = self.play(question.coalitions.double())
            elif isinstance(question, LabelAttentions):
                answer = torch.rand(
                    2, len(self.problem.targets), self.n + 1, generator=torch.Generator().manual_seed(0)
                )
                answer = answer.double().softmax(-1)[..., :-1]
            elif isinstance(question, AttentionMaps):
                answer = self._gaze()
            else:
                assert isinstance(question, Gradients)
                self.bends += len(question.points)
                answer = self._bend(question)

    def _gaze(self) -> AttentionWeights:
        """Two layers of three heads over the features, and a special position before them that all targets are read off."""
        draw, s, k = torch.Generator().manual_seed(0), self.n + 1, len(self.problem.targets)
        weights = torch.rand(2, 3, s, s, generator=draw, dtype=torch.float64).softmax(-1)
        gradients = torch.randn(k, 2, 3, s, s, generator=draw, dtype=torch.float64)
        reads = torch.eye(s, dtype=torch.float64)[:1].expand(k, s)
        return AttentionWeights(weights, reads, np.arange(-1, self.n), gradients)

    def _bend(self, question: Gradients) -> tuple[Tensor, Tensor]:
        points = question.points.detach().double().requires_grad_(True)
        values = self.play(self._presence(points))
        gradients = []
        for k in range(values.shape[1]) if question.only is None else question.only:
            (gradient,) = torch.autograd.grad(
                values[:, k].sum(), points, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            if isinstance(question.direction, Tensor):
                gradients.append((gradient * question.direction.double()).sum(-1))
            else:
                gradients.append(gradient.norm(dim=-1))
        return values.detach(), torch.stack(gradients) if gradients else torch.empty(0, *points.shape[:2])


def additive(n: int = 7, k: int = 2, seed: int = 0) -> tuple[Game, Tensor]:
    """A game that is the sum of its weights [K, n]."""
    weights = torch.randn(k, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Game(n, lambda presence: 0.3 + presence @ weights.T), weights


def tangled(n: int = 6, k: int = 2, seed: int = 0) -> Game:
    """A game with interactions of every order: a small network over presence."""
    draw = torch.Generator().manual_seed(seed)
    a = torch.randn(n, 8, generator=draw, dtype=torch.float64)
    b = torch.randn(8, k, generator=draw, dtype=torch.float64)
    return Game(n, lambda presence: torch.tanh(presence @ a - 0.5) @ b)
