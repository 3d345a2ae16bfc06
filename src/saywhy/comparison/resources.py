"""What asking costs: how many evaluations each part of a comparison would take alone, and how much memory it held."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..core.types import AttentionMaps, Gradients, Question, Values

R = TypeVar("R")
_STATM = Path("/proc/self/statm")


@dataclass(eq=False)
class Tally:
    """The distinct evaluations that something asks for, whether or not they were answered before."""

    coalitions: set[bytes] = field(default_factory=set)
    points: int = 0

    @property
    def rows(self) -> int:
        return len(self.coalitions) + self.points


def counted(asking: Generator[Question, Any, R], tally: Tally) -> Generator[Question, Any, R]:
    """The same asking, with what it asks for written into the tally."""
    answer: Any = None
    try:
        while True:
            try:
                question = asking.send(answer)
            except StopIteration as end:
                found: R = end.value
                return found
            if isinstance(question, Values):
                tally.coalitions.update(row.tobytes() for row in question.coalitions.numpy())
            elif isinstance(question, Gradients):
                tally.points += len(question.points)
            elif isinstance(question, AttentionMaps):
                tally.points += 1
            answer = yield question
    finally:
        asking.close()


@contextmanager
def peak_memory() -> Iterator[list[float | None]]:
    """A list that holds, at the end, the most MB held above the start: on the GPU where there is one, else in the process.

    None where the system does not say (no /proc).
    """
    out: list[float | None] = [None]
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        begun = torch.cuda.memory_allocated()
        yield out
        out[0] = (torch.cuda.max_memory_allocated() - begun) / 1e6
        return
    if not _STATM.exists():
        yield out
        return
    begun, most, done = _resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], _resident() - begun)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield out
    finally:
        done.set()
        watcher.join()
        out[0] = most[0] / 1e6


def _resident() -> int:
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
