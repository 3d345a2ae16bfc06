"""How rows of many inputs are put together: batches of like length, portions that fit into memory, groups of one question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

CHUNK = 4_096  # how many rows are in memory at once, whatever was asked
WINDOW = 64  # how many inputs are in flight at once; memory is bounded by it


def parts(row: Any) -> tuple[Any, ...]:
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


def pieces(counts: Sequence[int]) -> Iterator[list[tuple[int, int, int]]]:
    """(which, start, end) slices that together hold at most CHUNK rows."""
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
                yield piece
                piece, room = [], CHUNK
    if piece:
        yield piece


def grouped(chosen: Sequence[tuple[int, int]]) -> list[tuple[int, slice, list[int]]]:
    """(question, its rows in the batch, their places among its points); `chosen` is sorted."""
    groups: list[tuple[int, slice, list[int]]] = []
    for row, (j, b) in enumerate(chosen):
        if not groups or groups[-1][0] != j:
            groups.append((j, slice(row, row), []))
        _, begun, places = groups[-1]
        groups[-1] = (j, slice(begun.start, row + 1), [*places, b])
    return groups
