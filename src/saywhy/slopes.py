"""How the engine answers a question about slopes: the rows of each question in a batch, and one backward pass a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .errors import MethodError, ModelError
from .types import Slopes

if TYPE_CHECKING:
    from .posed import Posed


def blank(asked: Slopes, targets: int) -> tuple[Tensor, Tensor]:
    """Room for the answer: values [B, K] and slopes [K or those wanted, B, S]."""
    many, length = asked.points.shape[:2]
    wanted = targets if asked.only is None else len(asked.only)
    slopes = torch.empty(wanted, many, length, dtype=torch.float64)
    return torch.empty(many, targets, dtype=torch.float64), slopes


class Group:
    """The rows of one question within a batch: their numbers, and where the answer goes."""

    def __init__(
        self,
        posed: Posed,
        asked: Slopes,
        rows: slice,
        places: list[int],
        outputs: Sequence[Tensor],
        answer: tuple[Tensor, Tensor],
    ):
        self.posed, self.asked, self.rows, self.places = posed, asked, rows, places
        keep = posed.seen.keep
        mine = outputs[rows]
        self.numbers = posed.score(torch.stack([output if keep is None else keep(output) for output in mine]))  # [b, K]
        self.wanted = range(self.numbers.shape[1]) if asked.only is None else asked.only
        self.values, self.slopes = answer

    def keep_values(self) -> None:
        self.values[self.places] = self.numbers.detach().cpu().double()

    def keep_slopes(self, k: int, gradients: Sequence[Tensor]) -> None:
        along = self.asked.along
        gradient = torch.stack(list(gradients[self.rows]))  # [b, S, D]
        if not isinstance(along, Tensor):
            folded = gradient.norm(dim=-1)
        else:
            directions = along[self.places] if along.dim() == 3 else along[None]
            folded = (gradient * directions.to(gradient)).sum(-1)
        if not bool(torch.isfinite(folded).all()):
            raise ModelError(
                "The gradient is not finite here. Load the model in float32 or bfloat16 (float16 overflows), take another "
                "`absent`, or use a coalition method: 'kernel_shap' or 'occlusion'."
            )
        self.slopes[k, self.places] = folded.cpu().double()


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
