"""`saywhy explain TEXT`: which words of a text push the number up or down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    Budget,
    Cache,
    KeyFile,
    Limit,
    Model,
    Top,
    TrustRemoteCode,
    options_of,
    request_settings,
    served,
    with_settings,
)
from .streams import Format, given_by, loading, style_of, write_result

if TYPE_CHECKING:
    from ..core.explanation import Explanation, Explanations
    from ..explain.explainer import Explainer

EXAMPLES = """Examples:

  saywhy explain "I love you, I like you, I also kinda dislike you"

  saywhy explain "A dull, predictable mess" --method occlusion --absent drop --by token

  saywhy explain "not bad at all" --pairs

  saywhy explain "..." --model my-folder --target NEGATIVE -o why.html

  saywhy explain "The capital of France is" --target " Paris" --model http://localhost:8080/v1

  saywhy explain --question "Who wrote it?" --context "Ada wrote it." --model my-qa --all

  saywhy explain "The match was long" --labels sports,politics --model my-nli

  saywhy explain --model model.skops --table reviews.csv --text review --limit 20 --summary

  saywhy explain --model model.skops --table people.csv --columns age,city,note --text note -o why.html

  cat review.txt | saywhy explain --overlong window --by focus --format json > why.json
"""

Text = Annotated[str | None, typer.Argument(help="The text to explain; without it, or as '-', standard input is read.")]
TaskName = Annotated[
    str | None, typer.Option("--task", help="One of `saywhy tasks`; by default what the model is for.")
]
Pair = Annotated[str | None, typer.Option(help="The second text of a pair.")]
Question = Annotated[str | None, typer.Option(help="A question, to be answered from --context.")]
Context = Annotated[str | None, typer.Option(help="The text that answers --question; '-' reads standard input.")]
Column = Annotated[
    list[str] | None,
    typer.Option("--value", metavar="COLUMN=VALUE", help="A value beside the text, for a classifier of yours."),
]
Labels = Annotated[str | None, typer.Option(help="What zero-shot classification chooses from: a,b,c.")]
Every = Annotated[
    bool, typer.Option("--all", "--all-labels", help="Explain every label, token or end, from the same model calls.")
]
Table = Annotated[Path | None, typer.Option(help="Explain the rows of this .csv, .tsv, .jsonl or .parquet file.")]
TextColumn = Annotated[str | None, typer.Option("--text", metavar="COLUMN", help="The column of the text in --table.")]
Columns = Annotated[
    str | None, typer.Option(help="Of a model of rows, the columns in --table: a,b,c; by default all that it reads.")
]
Summarised = Annotated[bool, typer.Option("--summary", help="What each word or column does over all rows of --table.")]
Pairs = Annotated[
    bool,
    typer.Option("--pairs", help="Also which features belong together; by kernel_shap unless --method is another one."),
]
Style = Annotated[Format | None, typer.Option(help="By default from the ending of -o, else terminal.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file instead of standard output.")]


@with_settings()
def explain(
    text: Text = None,
    model: Model = None,
    task: TaskName = None,
    pair: Pair = None,
    question: Question = None,
    context: Context = None,
    value: Column = None,
    labels: Labels = None,
    all_targets: Every = False,
    table: Table = None,
    text_column: TextColumn = None,
    columns: Columns = None,
    limit: Limit = None,
    summary: Summarised = False,
    pairs: Pairs = False,
    format: Style = None,
    output: Output = None,
    top: Top = 10,
    trust_remote_code: TrustRemoteCode = False,
    key_file: KeyFile = None,
    cache: Cache = None,
    budget: Budget = None,
    **settings: Any,
) -> None:
    """Explain what a model says of a text: which words push the number up or down."""
    if all_targets and (settings["target"] is not None or settings["against"] is not None):
        raise typer.BadParameter("--all explains every one; leave out --target and --against.")
    _table_or_text(table, (text_column, columns, limit, summary), (text, pair, question, value, all_targets))
    given = None if table is not None else given_by(text, pair, question, context, value or [])
    style, options = style_of(format, output, table), options_of(settings["option"])
    settings["method"], options = _telling_of_pairs(pairs, settings["method"], options)
    with loading("the model"):
        explainer = _explainer(served(model, key_file, cache, budget), task, question, labels, trust_remote_code)
    asked = request_settings(settings, explainer.model, options)
    if table is not None:
        given, asked["by"] = _rows(explainer, table, text_column, columns, limit, asked["by"])
    if all_targets:
        del asked["target"], asked["against"]
    found: Any = (explainer.each_target if all_targets else explainer)(given, **asked)
    typer.echo(found.summary()) if summary else _written(found, style, output, top, pairs)


def _telling_of_pairs(wanted: bool, method: str | None, options: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The method and its options, so that it tells of pairs where they are wanted. Raises BadParameter for one that cannot."""
    if not wanted:
        return method, options
    if method in (None, "kernel_shap"):
        return "kernel_shap", {**options, "pairs": True}
    if method != "shapley_values":
        raise typer.BadParameter(f"--pairs: {method} tells nothing of pairs; kernel_shap and shapley_values do.")
    return method, options


def _written(found: Explanation | Explanations, style: Format, output: Path | None, top: int, pairs: bool) -> None:
    """Writes the result, and in a terminal the pairs under it, where they are wanted."""
    write_result(found, style, output, top)
    if not pairs or output is not None or style is not Format.terminal:
        return
    from ..render.content import listed
    from ..render.terminal import pair_table

    for e in listed(found):
        typer.echo(f"\n{pair_table(e, top)}")


def _table_or_text(table: Path | None, of_table: Sequence[Any], of_text: Sequence[Any]) -> None:
    """Refuses options of a table without one, and a text beside one."""
    if table is None and any(of_table):
        raise typer.BadParameter("--text, --columns, --limit and --summary are for --table FILE.")
    if table is not None and any(of_text):
        raise typer.BadParameter("--table FILE takes the place of TEXT and of what stands beside it.")


def _rows(
    explainer: Explainer, table: Path, text: str | None, columns: str | None, limit: int | None, by: str
) -> tuple[list[Any], Any]:
    """The inputs in a table, and how their columns are cut: texts of one column, or rows for a model that reads rows."""
    from ..storage.tables import columns as read_columns
    from ..storage.tables import texts

    own = explainer.model.row_columns
    if not own:
        if columns is not None:
            raise typer.BadParameter(f"--columns: {explainer.model.name} reads one text; name its column with --text.")
        return texts(table, text, limit), by
    names = list(own) if columns is None else [name.strip() for name in columns.split(",")]
    return read_columns(table, names, limit), by if text is None else {text: by}


def _explainer(model: object, task: str | None, question: str | None, labels: str | None, trust: bool) -> Explainer:
    from ..explain.explainer import Explainer

    task = task or ("question-answering" if question else "zero-shot-classification" if labels else None)
    choices = None if labels is None else [label.strip() for label in labels.split(",")]
    return Explainer(model, task=task, labels=choices, trust_remote_code=trust)
