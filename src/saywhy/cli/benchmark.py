"""`saywhy benchmark`: do methods find what is known to be the reason? A truth test that anyone can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .streams import checked_output, console

if TYPE_CHECKING:
    from ..comparison import Comparison

EXAMPLES = """Examples:

  saywhy benchmark

  saywhy benchmark --methods libra,occlusion,kernel_shap:budget=64 --rules word,context --texts 50 -o truth.json
"""

Methods = Annotated[str | None, typer.Option(help="a,b:option=value,c; by default what the models can be asked.")]
Rules = Annotated[str | None, typer.Option(help="word, pair, context; by default all.")]
Texts = Annotated[int, typer.Option(min=2, help="Sentences a rule.")]
Seed = Annotated[int, typer.Option(help="Another seed makes other models and sentences.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write every number to this .json file as well.")]


def benchmark(
    methods: Methods = None, rules: Rules = None, texts: Texts = 50, seed: Seed = 0, output: Output = None
) -> None:
    """Train small models with a planted reason, and see how often each method points at it. About a minute."""
    checked_output(output, (".json",))
    from ..selftest.synthetic import precision

    found = precision(
        None if methods is None else methods.split(","),
        None if rules is None else rules.split(","),
        texts=texts,
        seed=seed,
        say=lambda line: typer.echo(line, err=True),
    )
    _show(found)
    if output is not None:
        import json

        from ..comparison.files import to_dict
        from ..storage.atomic import write

        told = {rule: to_dict(c) for rule, c in found.items()}
        write(output, (json.dumps(told, indent=1) + "\n").encode("utf-8"))
        typer.echo(f"wrote {output}", err=True)


def _show(found: dict[str, Comparison]) -> None:
    """A row a method, the most often right first; for each rule the precision at 1, and whether all words were found."""
    from rich import box
    from rich.table import Table

    every = list(found.values())
    methods = [m for m in every[0].methods if m != "oracle"]

    def mean(method: str, metric: str) -> float:
        return sum(float(c.numbers(method, metric).mean()) for c in every) / len(every)

    methods.sort(key=lambda m: (m == "random", -mean(m, "precision_at_one"), -mean(m, "token_f1")))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for rule in found:
        table.add_column(f"{rule}: right at 1", justify="right")
        table.add_column("all found (F1)", justify="right")
    table.add_column("ms a text", justify="right")
    for method in methods:
        cells = []
        for c in every:
            first, whole = c.estimate(method, "precision_at_one"), c.estimate(method, "token_f1")
            cells += ["–"] * 2 if first is None or whole is None else [
                f"{first.mean:.0%} ({100 * first.low:.0f}–{100 * first.high:.0f})", f"{whole.mean:.2f}"
            ]  # fmt: skip
        seconds = sum(c.spent[c.methods.index(method)].seconds for c in every) / sum(len(c) for c in every)
        table.add_row(method, *cells, f"{1000 * seconds:,.1f}")
    console().print(table)
    typer.echo(
        "Right at 1: the highest score is on a word of the rule (95 % bootstrap interval). All found: as many of the highest\n"
        "scores as the rule has words, held against them. A method that fails here misleads; one that passes may still\n"
        "mislead where the reasons are many."
    )
