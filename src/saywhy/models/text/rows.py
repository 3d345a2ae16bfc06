"""Rows of token ids, how they are padded together, and a long one cut into overlapping windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.types import Bools, Ints

OVERLAP = 4  # neighbouring windows share one part in so many of what they hold


@dataclass(frozen=True, eq=False)
class Row:
    """One input: ids, what else goes with each position, and the positions whose embedding is replaced by `replacement_id`'s."""

    ids: Ints  # [S]
    extras: Mapping[str, Ints] = field(default_factory=dict)  # each [S]
    absent: Bools | None = None  # [S]
    hidden: Bools | None = None  # [S] positions that the attention mask hides
    replacement_id: int | None = None  # the id whose embedding fills the absent positions; None is the zero vector
    embedding: str = "word"  # which embeddings are looked at: "word", "position" or "token_type"
    read: Ints | None = None  # the positions whose outputs are wanted; None is all of them
    places: Ints | None = None  # [S] where each position stands in the whole input, of which this row is a window
    whole: int = 0  # how many positions that whole input has

    def only(self, kept: Any) -> Row:
        """The row of these positions alone: a boolean mask, or indices in order."""
        extras = {name: values[kept] for name, values in self.extras.items()}
        return replace(self, ids=self.ids[kept], extras=extras)


def padded(rows: Sequence[np.ndarray[Any, Any]], value: Any, left: bool) -> Tensor:
    """[B, longest], filled up with `value`."""
    longest = max(len(row) for row in rows)
    out = np.full((len(rows), longest), value, dtype=rows[0].dtype)
    for b, row in enumerate(rows):
        out[b, longest - len(row) if left else 0 : longest if left else len(row)] = row
    return torch.as_tensor(out)


def together(points: Sequence[Tensor], left: bool = False) -> Tensor:
    """[B, longest, D]: rows of vectors [S, D], filled up with zeros.

    As torch's pad_sequence; but that writes row after row into one tensor, and its way back copies all of it for each row.
    """
    longest = max(len(point) for point in points)
    gaps = [longest - len(point) for point in points]
    return torch.stack(
        [
            nn.functional.pad(point, (0, 0, gap, 0) if left else (0, 0, 0, gap)) if gap else point
            for point, gap in zip(points, gaps, strict=True)
        ]
    )


def windows(parts: Sequence[int | None], limit: int) -> list[Ints]:
    """The positions of each window: all but the longest part whole, and of that a stretch; neighbours overlap by a quarter.

    `parts` says for each position which part of the input it is of, None for a special token; no window is longer than
    `limit`. The last window ends where the input does.
    """
    of = np.array([-1 if part is None else part for part in parts])
    longest = int(np.bincount(of[of >= 0]).argmax())
    moving = np.flatnonzero(of == longest)
    first, last = int(moving[0]), int(moving[-1])
    room = limit - (len(of) - (last + 1 - first))
    if room < OVERLAP:
        return []
    starts = list(range(first, max(first + 1, last + 2 - room), room - room // OVERLAP))
    if starts[-1] + room < last + 1:
        starts.append(last + 1 - room)
    ends = np.arange(last + 1, len(of))
    return [
        np.concatenate([np.arange(first), np.arange(start, min(start + room, last + 1)), ends]).astype(np.int64)
        for start in starts
    ]
