"""The `saywhy train` command; what it does is in `classifier.from_table`, which is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    file: Annotated[Path, typer.Argument(help="A .csv (or .tsv) file with a head line, in UTF-8.")],
    text: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the texts.")],
    label: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the labels.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    categorical: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A column of categorical values beside the text; repeatable."),
    ] = None,
    tokenizer: Annotated[str, typer.Option(help="word_piece or ngrams.")] = "word_piece",
    layers: Annotated[int, typer.Option(min=0, help="Self-attention blocks.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="The most epochs; a run that gets no better ends earlier.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the split, the weights and the order of rows.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a classifier that the folder holds.")] = False,
) -> None:
    """Train a text classifier on a table, and report how it answers a held-out tenth of it."""
    from ..classifier import Training
    from ..classifier.from_table import run

    training = Training(epochs=epochs, seed=seed)
    found = run(file, text, label, categorical or [], output, tokenizer, layers, training, overwrite)
    typer.echo("\n".join(found.lines()))
    typer.echo(f"wrote {output}; explain with: saywhy explain --model {output} TEXT", err=True)
