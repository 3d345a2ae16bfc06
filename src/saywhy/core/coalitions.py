"""Coalitions that several rooms ask about, and how many of them fit the memory."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import MethodError

MOST_CELLS = 2**30  # rows x features of one question: one byte each


def refuse_too_many(rows: int, n: int) -> None:
    """Raises MethodError where `rows` coalitions of n features would fill the memory, before any of them is made."""
    if rows * n > MOST_CELLS:
        raise MethodError(
            f"{rows:,} evaluations of {n:,} features take {rows * n / 2**30:.1f} GiB at once; the limit is 1 GiB. "
            "Take coarser features (by='sentence' or spans), a shorter text, or fewer samples."
        )


def each_absent(n: int) -> Tensor:
    """bool [n + 1, n]: everything present, then each feature alone absent. Raises MethodError above 32,767 features."""
    refuse_too_many(n + 1, n)
    return ~torch.cat([torch.zeros(1, n, dtype=torch.bool), torch.eye(n, dtype=torch.bool)])
