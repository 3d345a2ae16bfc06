"""A progress line on standard error, for long work only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from .checks import yes_or_no

# told how many more (inputs, model inputs) are done; None where nobody looks
Tick: TypeAlias = "Callable[[int, int], None] | None"
PATIENCE = 2.0  # seconds before a progress line is worth drawing


@contextmanager
def progress(total: int | None, shown: bool | None, rows: int | None = None) -> Iterator[Tick]:
    """Gives `tick(texts, rows)`, to be told how many more texts and model inputs are done; None where nobody looks.

    Drawn when the work has taken two seconds and standard error is a terminal, or in a notebook; `shown` True draws at
    once, False never. `rows` is about how many model inputs there will be, where that is known.
    """
    wanted = sys.stderr.isatty() or in_notebook() if shown is None else yes_or_no("progress", shown)
    if not wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    of = " rows" if rows is None else f" of up to {rows:,} requests"
    columns = (
        TextColumn("explaining"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("texts · {task.fields[rows]:,}" + of + " · {task.fields[rate]:.1f} texts/s"),
        TimeRemainingColumn(),
    )
    console = Console() if in_notebook() else Console(stderr=True)  # in a notebook rich draws into the cell
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("explaining", total=total, rows=0, rate=0.0)
    begun, rows_done, texts_done = time.monotonic(), 0, 0

    def tick(texts: int, rows: int) -> None:
        nonlocal rows_done, texts_done
        rows_done, texts_done = rows_done + rows, texts_done + texts
        rate = texts_done / max(time.monotonic() - begun, 1e-9)
        bar.update(task, advance=texts, rows=rows_done, rate=rate)
        if not bar.live.is_started and (shown or time.monotonic() - begun > PATIENCE):
            bar.start()

    try:
        yield tick
    finally:
        bar.stop()


def in_notebook() -> bool:
    """Does this run in a notebook's kernel? IPython is asked only where something else has imported it."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return ask is not None and type(ask()).__name__ == "ZMQInteractiveShell"
