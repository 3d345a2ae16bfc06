"""A problem put to a model, and what the model has answered about it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import ModelError
from ..core.types import Cost, Encoding, Problem


@dataclass(eq=False)
class OutputCache:
    """What the model has answered about one input so far: no row is sent twice, whichever method asks."""

    outputs: dict[Hashable, Tensor] = field(default_factory=dict)  # float64, on the CPU
    cost: Cost = field(default_factory=Cost)
    keep: Callable[[Tensor], Tensor] | None = None  # what of a row's output is worth keeping; None is all of it

    def hold(self, keep: Callable[[Tensor], Tensor]) -> None:
        """From now on keep only this of every output, also of those already here."""
        self.keep = keep
        self.outputs = {name: keep(output) for name, output in self.outputs.items()}


@dataclass(frozen=True, eq=False)
class BoundProblem:
    """A problem together with what answers it: the encoding, and how an output becomes the targets' numbers."""

    problem: Problem
    encoding: Encoding
    score: Callable[[Tensor], Tensor]  # [B, ...], what is kept of the outputs -> [B, K]
    cache: OutputCache


def whole(encoding: Encoding) -> Any:
    """The row with everything present."""
    return encoding.at(np.ones((1, len(encoding.features)), dtype=bool))[0]


def finite(bound: BoundProblem, numbers: Tensor) -> None:
    """Refuses numbers that are not all finite, with the target and the text. Raises ModelError."""
    bad = ~torch.isfinite(numbers)
    if bool(bad.any()):
        label = bound.problem.targets[int(bad.any(0).nonzero()[0])].label
        text = next(iter(bound.encoding.texts.values()), "an image")
        raise ModelError(
            f"The model answered {float(numbers[bad][0])} for {label!r} on {int(bad.any(1).sum())} of {len(numbers)} inputs "
            f"made from {text!r:.60}. Check the weights, or load the model in float32: half precision overflows."
        )
