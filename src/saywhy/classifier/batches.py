"""Rows in memory to batches: padded on the right, of like length, in a seeded order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.types import Ints
from .encoders import Targets

POOL = 32  # batches that are drawn together and sorted by length


@dataclass(frozen=True, eq=False)
class Rows:
    """Texts as ids, with their codes and targets; what a training run reads."""

    ids: Sequence[Sequence[int]]
    codes: Any  # int64 [N, V] or None
    targets: Targets
    padding: int

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return self.__getitems__([i])

    def __getitems__(self, which: Sequence[int]) -> dict[str, Tensor]:
        """One batch: ids, mask, codes if there are any, and targets."""
        ids, mask = padded([self.ids[i] for i in which], self.padding)
        batch = {"ids": ids, "mask": mask, "targets": self.targets.batch(which)}
        if self.codes is not None:
            batch["codes"] = torch.as_tensor(self.codes[list(which)])
        return batch


def padded(rows: Sequence[Sequence[int] | Ints], padding: int) -> tuple[Tensor, Tensor]:
    """ids int64 [B, T] filled up on the right, and their mask bool [B, T]."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max())[None, :] < lengths[:, None]
    ids = np.full(mask.shape, padding, dtype=np.int64)
    ids[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return torch.from_numpy(ids), torch.from_numpy(mask)


class Order:
    """Which rows make up each batch of an epoch: shuffled, then sorted by length within pools, then shuffled as batches."""

    def __init__(self, lengths: Sequence[int], size: int, seed: int | None):
        self.lengths, self.size = np.asarray(lengths), size
        self.draw = None if seed is None else np.random.default_rng(seed)

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.size)

    def __iter__(self) -> Iterator[list[int]]:
        if self.draw is None:
            order = np.argsort(self.lengths, kind="stable")
            yield from (order[a : a + self.size].tolist() for a in range(0, len(order), self.size))
            return
        order = self.draw.permutation(len(self.lengths))
        for a in range(0, len(order), self.size * POOL):
            pool = order[a : a + self.size * POOL]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches = [pool[b : b + self.size] for b in range(0, len(pool), self.size)]
            for b in self.draw.permutation(len(batches)):
                yield batches[b].tolist()
