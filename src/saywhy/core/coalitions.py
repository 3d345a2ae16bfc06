"""Coalitions that several rooms ask about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .errors import MethodError

if TYPE_CHECKING:
    from .shapes import Bool

MOST = 32_767  # features, each of which is absent once: one byte a cell, 1 GiB


def each_absent(n: int) -> Bool[Tensor, "{n}+1 {n}"]:
    """Everything present, then each feature alone absent. Raises MethodError above 32,767 features."""
    if n > MOST:
        raise MethodError(
            f"To take away each of {n:,} features alone would fill the memory; the limit is {MOST:,}. Take coarser ones (`by`)."
        )
    return ~torch.cat([torch.zeros(1, n, dtype=torch.bool), torch.eye(n, dtype=torch.bool)])


def ends(n: int) -> Bool[Tensor, "2 {n}"]:
    """Everything present, everything absent."""
    return torch.tensor([[True] * n, [False] * n])
