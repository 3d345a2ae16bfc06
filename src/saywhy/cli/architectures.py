"""The `saywhy architectures` command; what it does is in `architectures`, which is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .streams import checked_output


def architectures(
    name: Annotated[
        list[str] | None, typer.Argument(help="Classes of transformers; all of them, if none is named.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the page to this Markdown file.")] = None,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="The most that one class may take.")] = 60.0,
) -> None:
    """Explain a tiny model of every class that transformers registers, and say what works: about 600 classes, 15 minutes."""
    import transformers

    from ..core.errors import OptionError
    from ..selftest.architectures import registered
    from ..selftest.architectures.survey import counts, page, survey

    checked_output(output, (".md",))
    wanted = name or []
    unknown = set(wanted) - {each.name for each in registered(wanted)}
    if unknown:
        raise OptionError(
            f"transformers registers no class {sorted(unknown)[0]!r} for the tasks that are explained here."
        )
    found = []
    for each in survey(wanted, seconds):
        found.append(each)
        told = each.unbuilt or each.unasked or (each.prediction if not each.results else "")
        told = told or ", ".join(kind for kind, said in each.results.items() if said == "yes")
        typer.echo(f"{each.name} ({each.heading}): {told}")
    typer.echo(counts(found))
    if output is not None:
        output.write_text(page(found, transformers.__version__), encoding="utf-8")
        typer.echo(f"wrote {output}", err=True)
