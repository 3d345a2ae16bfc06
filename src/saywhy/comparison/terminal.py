"""A comparison in a terminal."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..render.headline import opening
from . import wording

if TYPE_CHECKING:
    from .result import Comparison


def plain(c: Comparison) -> str:
    """The tables as text without colour, 110 characters wide."""
    out = StringIO()
    console = Console(file=out, width=110, color_system=None, force_jupyter=False, legacy_windows=False, _environ={})
    show(c, console)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def show(c: Comparison, console: Console) -> None:
    """Prints the verdict, the ranking with its intervals and costs, and the other metrics."""
    quiet = "dim"
    first, rest = wording.sentences(c)
    blocks: list[RenderableType] = [
        Text(opening(first, wording.badge(c)), "bold"),
        *([Text(rest)] if rest else []),
    ]
    blocks += [
        Text(f"{wording.title(c)} · {wording.about(c)}", quiet),
        Text(""),
        _ranking(c),
        _others(c),
        Text(wording.saved(c), quiet),
    ]
    console.print(Group(*blocks))


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(names):
        head = name if i < 2 else name.replace(" ", "\n")  # so that numbers stay on one line
        table.add_column(head, justify="left" if i < 2 else "right", no_wrap=True, vertical="bottom")
    return table


def _ranking(c: Comparison) -> Table:
    metric = wording.leading(c) or c.metrics[0]
    table = _table(
        "", "method", wording.heading(metric), "reversed", "inputs a text", "backward", "ms a text", "peak MB"
    )
    for rank, method in wording.ordered(c):
        at = c.methods.index(method)
        reverse = c.estimate(method, metric, reverse=True)
        cells = wording.spent_cells(c.spent[at], len(c)) if method not in wording.CONTROLS else [""] * 4
        value = wording.full(c.estimate(method, metric))
        table.add_row(rank, method, value, "" if reverse is None else f"{reverse.mean:.3g}", *cells)
    return table


def _others(c: Comparison) -> RenderableType:
    leading = wording.leading(c) or c.metrics[0]
    others = [m for m in c.metrics if m != leading]
    if not others:
        return Text("")
    table = _table("", "method", *(wording.heading(m) for m in others))
    for _, method in wording.ordered(c):
        table.add_row("", method, *(wording.short(c.estimate(method, m)) for m in others))
    return table
