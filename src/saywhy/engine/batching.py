"""A problem bound to a model, what the model has answered about it, and how rows are sent in batches that fit its memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import ModelError
from ..core.progress import Tick
from ..core.types import Cost, Encoding, Problem

if TYPE_CHECKING:
    from ..core.shapes import Float, Float64, Shaped
    from ..models.protocol import Model


CHUNK = 4_096  # how many rows are in memory at once, whatever was asked
WINDOW = 64  # how many inputs are in flight at once; memory is bounded by it


@dataclass(eq=False)
class OutputCache:
    """What the model has answered about one input so far: no row is sent twice, whichever method asks."""

    outputs: dict[Hashable, Float64[Tensor, "*_"]] = field(default_factory=dict)  # on the CPU
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


def refuse_non_finite(bound: BoundProblem, numbers: Float[Tensor, "N K"]) -> None:
    """Raises ModelError for numbers that are not all finite, with the target and the text."""
    bad = ~torch.isfinite(numbers)
    label = bound.problem.targets[int(bad.any(0).nonzero()[0])].label
    text = next(iter(bound.encoding.texts.values()), "an image")
    raise ModelError(
        f"The model answered {float(numbers[bad][0])} for {label!r} on {int(bad.any(1).sum())} of {len(numbers)} inputs "
        f"made from {text!r:.60}. Check the weights, or load the model in float32: half precision overflows."
    )


@dataclass(eq=False)
class Batches:
    """A model and the batch size that has proved to fit."""

    model: Model[Any]
    budget: int  # rows x longest
    tick: Tick  # how many more (inputs, rows) are done

    def send(
        self,
        sizes: Sequence[int],
        call: Callable[[Sequence[int]], None],
        batches: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Send everything in these batches, or packed ones; where memory runs out, halve the batch and go on."""
        queue = deque(
            pack(sizes, self.budget, self.model.most_rows, self.model.uniform) if batches is None else batches
        )
        with self.model.frozen():
            while queue:
                batch = queue.popleft()
                if not self.once(batch, sizes, call):
                    half = len(batch) // 2
                    queue.extendleft([batch[half:], batch[:half]])

    def once(self, batch: Sequence[int], sizes: Sequence[int], call: Callable[[Sequence[int]], None]) -> bool:
        """Send one batch; False where memory runs out, and from then on batches are half as large."""
        if self.fits(batch, sizes, call):
            if self.tick is not None:
                self.tick(0, len(batch))
            return True
        self.budget = max(1, len(batch) * max(sizes[b] for b in batch) // 2)
        return False

    def fits(self, batch: Sequence[int], sizes: Sequence[int], call: Callable[[Sequence[int]], None]) -> bool:
        """Do so with this batch; False where memory runs out. Raises ModelError where it does on a single row."""
        try:
            call(batch)
            return True
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ModelError(f"Out of memory on a single input of {sizes[batch[0]]} positions: {error}") from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return False


def attribute_cost(
    paid: Sequence[tuple[Sequence[OutputCache], int]], seconds: float, backward: int, rows: int = 1
) -> None:
    """Each input pays for its rows, for the passes it had a part in, and its share of the time by length."""
    total = sum(size for _, size in paid) or 1
    took_part: set[int] = set()
    for payers, size in paid:
        for cache in payers:
            first = id(cache) not in took_part
            took_part.add(id(cache))
            share = seconds * size / total / len(payers)
            c = cache.cost
            forwards, backwards = c.forwards + rows * int(first), c.backwards + (backward if first else 0)
            cache.cost = Cost(
                c.rows + rows, c.backward_rows + int(backward > 0), forwards, backwards, c.seconds + share
            )


def to_cpu_rows(
    outputs: Shaped[Tensor, "B ..."] | Sequence[Shaped[Tensor, "*_"]],
) -> list[Float64[Tensor, "*_"]]:
    """The outputs row by row on the CPU, in one transfer."""
    if isinstance(outputs, Tensor):
        return list(outputs.to("cpu", torch.float64, copy=True))  # a model may hand out one buffer again and again
    flat = torch.cat([output.reshape(-1) for output in outputs]).cpu().double()
    cut = torch.split(flat, [output.numel() for output in outputs])
    return [piece.reshape(output.shape) for piece, output in zip(cut, outputs, strict=True)]


def _out_of_memory(error: BaseException) -> bool:
    told = any(words in str(error).lower() for words in ("out of memory", "can't allocate memory"))
    return told or isinstance(error, torch.OutOfMemoryError | MemoryError)


def parts(row: object) -> tuple[Any, ...]:
    """What of a row the model answers one by one: the rows of a tuple, or the row itself."""
    return row if isinstance(row, tuple) else (row,)


def pack(sizes: Sequence[int], budget: int, most: int | None = None, uniform: bool = False) -> list[list[int]]:
    """Indices in batches of like length: rows x longest stays within the budget, whatever input each row comes from."""
    batches: list[list[int]] = []
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        last = batches[-1] if batches else []
        longest = sizes[last[0]] if last else 0
        fits = last and longest * (len(last) + 1) <= budget and (most is None or len(last) < most)
        if fits and (not uniform or longest == sizes[i]):
            last.append(i)
        else:
            batches.append([i])
    return batches


def pieces(counts: Sequence[int]) -> list[list[tuple[int, int, int]]]:
    """Lists of (which, start, end) slices that together hold at most CHUNK rows."""
    out: list[list[tuple[int, int, int]]] = []
    piece: list[tuple[int, int, int]] = []
    room = CHUNK
    for j, count in enumerate(counts):
        start = 0
        while start < count:
            end = min(count, start + room)
            piece.append((j, start, end))
            room -= end - start
            start = end
            if room == 0:
                out.append(piece)
                piece, room = [], CHUNK
    return [*out, piece] if piece else out


def grouped(chosen: Sequence[tuple[int, int]]) -> list[tuple[int, slice, list[int]]]:
    """(question, its rows in the batch, their places among its points); `chosen` is sorted."""
    groups: list[tuple[int, slice, list[int]]] = []
    for row, (j, b) in enumerate(chosen):
        if not groups or groups[-1][0] != j:
            groups.append((j, slice(row, row), []))
        _, begun, places = groups[-1]
        groups[-1] = (j, slice(begun.start, row + 1), [*places, b])
    return groups
