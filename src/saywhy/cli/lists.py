"""`saywhy tasks`, `saywhy methods`: what there is to choose from."""

from __future__ import annotations

from .streams import TABLE, console


def tasks() -> None:
    """List the tasks: what is given, and what can be explained."""
    import inspect

    from rich import box
    from rich.table import Table
    from rich.text import Text as Plain

    from ..tasks import TASKS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("what it tells")
    for name, task in TASKS.items():
        told = (inspect.getdoc(type(task)) or "").split("\n\n")
        table.add_row(name, Plain(" ".join("\n".join(told[:2]).split())))
    console().print(table)


def methods() -> None:
    """List the methods: family, cost, whether the scores add up, source."""
    from rich import box
    from rich.table import Table

    from ..methods import METHODS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("method", "family", "cost", "adds up", "what comes out", "source"):
        table.add_column(name, no_wrap=name == "method")
    for row in METHODS.values():
        table.add_row(row.name, row.family, row.cost, "yes" if row.complete else "", row.summary, row.source)
    console(TABLE).print(table)
