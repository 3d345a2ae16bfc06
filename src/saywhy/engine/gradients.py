"""How the engine answers a question about gradients, and forward passes whose graph is kept until a method asks.

A method that asks for gradients at the input itself then needs no second forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import MethodError, ModelError
from ..core.types import Gradients

if TYPE_CHECKING:
    from .cache import BoundProblem, OutputCache


@dataclass(eq=False)
class RetainedGraph:
    """One batch on its way: the points it started from, and the outputs with the graph between."""

    rules: str | None
    points: Sequence[Tensor]  # [S, D] each, leaves
    outputs: Sequence[Tensor]


@dataclass(eq=False)
class RetainedGraphs:
    """The passes of a window, by what they answer."""

    passes: dict[int, tuple[RetainedGraph, int]] = field(
        default_factory=dict
    )  # id of a Seen -> its pass and its place there

    def add(self, done: RetainedGraph, cache: Sequence[OutputCache]) -> None:
        self.passes.update({id(cache): (done, place) for place, cache in enumerate(cache)})

    def take(
        self, rules: str | None, asked: Sequence[tuple[BoundProblem, Gradients]]
    ) -> list[tuple[RetainedGraph, list[tuple[int, int]]]]:
        """The passes that answer some of these questions: for each, (question, place) in the order of the questions."""
        found: dict[int, tuple[RetainedGraph, list[tuple[int, int]]]] = {}
        for j, (bound, question) in enumerate(asked):
            done, place = self.passes.get(id(bound.cache), (None, 0))
            if done is None or done.rules != rules or question.rules != rules or len(question.points) != 1:
                continue
            if torch.equal(question.points[0], done.points[place].detach()):
                del self.passes[id(bound.cache)]
                found.setdefault(id(done), (done, []))[1].append((j, place))
        return list(found.values())


def started(points: Sequence[Any]) -> list[Tensor]:
    """Leaves that gradients can be asked of, with the values of these embeddings."""
    return [point.detach().clone().requires_grad_() for point in points]


def blank(asked: Gradients, targets: int) -> tuple[Tensor, Tensor]:
    """Room for the answer: values [B, K] and gradients [K or those wanted, B, S]."""
    many, length = asked.points.shape[:2]
    wanted = targets if asked.only is None else len(asked.only)
    gradients = torch.empty(wanted, many, length, dtype=torch.float64)
    return torch.empty(many, targets, dtype=torch.float64), gradients


class Group:
    """The rows of one question within a batch: their numbers, and where the answer goes."""

    def __init__(
        self,
        bound: BoundProblem,
        asked: Gradients,
        rows: slice,
        places: list[int],
        outputs: Sequence[Tensor],
        answer: tuple[Tensor, Tensor],
    ):
        self.bound, self.asked, self.rows, self.places = bound, asked, rows, places
        keep = bound.cache.keep
        mine = outputs[rows]
        self.numbers = bound.score(torch.stack([output if keep is None else keep(output) for output in mine]))  # [b, K]
        self.wanted = range(self.numbers.shape[1]) if asked.only is None else asked.only
        self.values, self.gradients = answer

    def keep_values(self) -> None:
        self.values[self.places] = self.numbers.detach().cpu().double()

    def keep_slopes(self, k: int, gradients: Sequence[Tensor]) -> None:
        direction = self.asked.direction
        gradient = torch.stack(list(gradients[self.rows]))  # [b, S, D]
        if not isinstance(direction, Tensor):
            folded = gradient.norm(dim=-1)
        else:
            directions = direction[self.places] if direction.dim() == 3 else direction[None]
            folded = (gradient * directions.to(gradient)).sum(-1)
        if not bool(torch.isfinite(folded).all()):
            raise ModelError(
                "The gradient is not finite here. Load the model in float32 or bfloat16 (float16 overflows), take another "
                "`absent`, or use a coalition method: 'kernel_shap' or 'occlusion'."
            )
        self.gradients[k, self.places] = folded.cpu().double()


def _without_way_back(error: Exception) -> MethodError:
    """What a model says that computes forwards only: quantised layers, or layers that refuse a backward pass in eval mode."""
    said = " ".join(str(error).split())[:200]
    return MethodError(
        "This model has no gradients from its output to its embeddings (its layers are quantised, or refuse a backward pass "
        f"outside training): {said} Use a coalition method: 'kernel_shap', 'shapley_sampling' or 'occlusion'."
    )


def backward(groups: Sequence[Group], points: Sequence[Tensor]) -> int:
    """One backward pass a target, for all rows of the batch together; how many there were."""
    passes = max(len(group.wanted) for group in groups)
    for k in range(passes):
        having = [group for group in groups if len(group.wanted) > k]
        total = torch.stack([group.numbers[:, group.wanted[k]].sum() for group in having]).sum()
        try:
            gradients = torch.autograd.grad(
                total, points, retain_graph=k + 1 < passes, allow_unused=True, materialize_grads=True
            )
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error):
                raise
            raise _without_way_back(error) from error
        for group in having:
            group.keep_slopes(k, gradients)
    return passes
