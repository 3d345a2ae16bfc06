"""The `saywhy` command. Results go to standard output, messages to standard error; 0 done, 1 failed, 2 bad use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__, cli_image
from .cli_architectures import architectures
from .cli_benchmark import EXAMPLES as BENCHMARK_EXAMPLES
from .cli_benchmark import benchmark
from .cli_compare import EXAMPLES as COMPARE_EXAMPLES
from .cli_compare import compare, metrics
from .cli_corpus import EXAMPLES as CORPUS_EXAMPLES
from .cli_corpus import REPORT_EXAMPLES, corpus, report
from .cli_io import TABLE, Format, console, given_by, label_of, options_of, put, style_of
from .cli_prompt import EXAMPLES as PROMPT_EXAMPLES
from .cli_prompt import prompt
from .cli_train import train

if TYPE_CHECKING:
    from .explain import Explainer

EXAMPLES = """Examples:

  saywhy explain "I love you, I like you, I also kinda dislike you"

  saywhy prompt "{name} applied. They" --values name=Georg --baseline name=Ada --target " were rejected" --model my-llm

  saywhy image cat.jpg --model my-image-folder -o why.png

  saywhy corpus reviews.csv -o reviews-why --text review --method libra

  saywhy report reviews-why --label stars --by-column country

  saywhy compare reviews.csv --text review --limit 100 -o methods.html

  saywhy train reviews.csv --text review --label stars -o my-folder

  saywhy methods
"""
EXPLAIN_EXAMPLES = """Examples:

  saywhy explain "I love you, I like you, I also kinda dislike you"

  saywhy explain "A dull, predictable mess" --method occlusion --absent drop --by token

  saywhy explain "..." --model my-folder --target NEGATIVE -o why.html

  saywhy explain --question "Who wrote it?" --context "Ada wrote it." --model my-qa --all

  saywhy explain "The match was long" --labels sports,politics --model my-nli

  cat review.txt | saywhy explain --overlong window --by focus --format json > why.json
"""

app = typer.Typer(
    help="Why did the model say that? Scores for every word of a text, and every part of an image.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"saywhy {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


Text = Annotated[str | None, typer.Argument(help="The text to explain; without it, or as '-', standard input is read.")]
Model = Annotated[
    str | None, typer.Option(help="A Hugging Face id or folder; by default the small model in the package.")
]
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
Name = Annotated[str | None, typer.Option(help="One of `saywhy methods`; integrated_gradients by default.")]
Target = Annotated[
    str | None,
    typer.Option(help="What to explain: a label by name or index, a token, a word; by default the prediction."),
]
Against = Annotated[str | None, typer.Option(help="Why the target rather than this label.")]
Every = Annotated[
    bool, typer.Option("--all", "--all-labels", help="Explain every label, token or end, from the same model calls.")
]
Unit = Annotated[str | None, typer.Option(help="logit (default), log-prob, prob or log-odds.")]
By = Annotated[str, typer.Option(help="word, token, sentence, line, paragraph or focus.")]
Absent = Annotated[
    str | None, typer.Option(help="What stands in for a missing feature: mask, pad, unk, zero, drop or hide.")
]
Overlong = Annotated[str, typer.Option(help="A text longer than the model reads: refuse, truncate or window.")]
Embedding = Annotated[str, typer.Option(help="The embeddings that gradients follow: word, position or token_type.")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the method, e.g. steps=50.")]
Style = Annotated[Format | None, typer.Option(help="By default from the ending of -o, else terminal.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file instead of standard output.")]
Top = Annotated[int, typer.Option(min=1, help="How many features the terminal table shows.")]
Check = Annotated[str, typer.Option("--trust", help="How far to believe it: a quick check, a full one, or none.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Let a model folder run its own code.")]


def explain(
    text: Text = None,
    model: Model = None,
    task: TaskName = None,
    pair: Pair = None,
    question: Question = None,
    context: Context = None,
    value: Column = None,
    labels: Labels = None,
    method: Name = None,
    target: Target = None,
    against: Against = None,
    all_targets: Every = False,
    unit: Unit = None,
    by: By = "word",
    absent: Absent = None,
    overlong: Overlong = "refuse",
    embedding: Embedding = "word",
    option: Pairs = None,
    format: Style = None,
    output: Output = None,
    top: Top = 10,
    trust: Check = "quick",
    trust_remote_code: Trust = False,
) -> None:
    """Explain what a model says of a text: which words push the number up or down."""
    given, style = given_by(text, pair, question, context, value or []), style_of(format, output)
    settings: dict[str, Any] = {"method": method, "unit": unit, "by": by, "absent": absent}
    settings |= {"overlong": overlong, "embedding": embedding, "trust": trust}
    settings |= options_of(option or [], {*settings, "target", "against"})
    if all_targets and (target is not None or against is not None):
        raise typer.BadParameter("--all explains every one; leave out --target and --against.")
    guessed = "question-answering" if question else "zero-shot-classification" if labels else None
    explainer = _explainer(model, task or guessed, labels, trust_remote_code)
    if not all_targets:
        known = explainer.model.labels
        settings |= {"target": label_of(target, known), "against": label_of(against, known)}
    put((explainer.each_target if all_targets else explainer)(given, **settings), style, output, top)


def _explainer(model: str | None, task: str | None, labels: str | None, trust: bool) -> Explainer:
    from .explain import Explainer

    choices = None if labels is None else [label.strip() for label in labels.split(",")]
    return Explainer(model, task=task, labels=choices, trust_remote_code=trust)


def tasks() -> None:
    """List the tasks: what is given, and what can be explained."""
    import inspect

    from rich import box
    from rich.table import Table
    from rich.text import Text as Plain

    from .tasks import TASKS

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

    from .methods import METHODS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("method", "family", "cost", "adds up", "what comes out", "source"):
        table.add_column(name, no_wrap=name == "method")
    for row in METHODS.values():
        table.add_row(row.name, row.family, row.cost, "yes" if row.complete else "", row.summary, row.source)
    console(TABLE).print(table)


COMMANDS = (  # in the order of the help page: what explains, what judges and trains, the lists
    (explain, "Which words of a text push the number up or down.", EXPLAIN_EXAMPLES),
    (prompt, "Which slots of a prompt drive a language model.", PROMPT_EXAMPLES),
    (cli_image.image, "Which parts of an image push the number.", cli_image.EXAMPLES),
    (corpus, "Every text of a file or folder, into Parquet shards.", CORPUS_EXAMPLES),
    (report, "What the model looks at overall, from a corpus.", REPORT_EXAMPLES),
    (compare, "Which method to believe, on texts of yours.", COMPARE_EXAMPLES),
    (train, "Train a text classifier on a table.", None),
    (benchmark, "How often methods find a planted reason.", BENCHMARK_EXAMPLES),
    (tasks, "The tasks: what is given, what can be explained.", None),
    (methods, "The methods: family, cost, do they add up, source.", None),
    (metrics, "The metrics: what is better, what they cannot show.", None),
    (architectures, "What works for each class of transformers.", None),
)
for _command, _summary, _examples in COMMANDS:
    app.command(short_help=_summary, epilog=_examples)(_command)


def main() -> None:
    """Run the command; a refusal is one line on standard error, never a traceback."""
    from .errors import InputError, MethodError, OptionError, SaywhyError

    try:
        app(standalone_mode=True)
    except (InputError, OptionError, MethodError) as error:
        typer.echo(f"saywhy: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:  # an OSError: the reader has left, and nobody hears a message
        sys.exit(1)
    except (SaywhyError, OSError) as error:
        typer.echo(f"saywhy: {error}", err=True)
        sys.exit(1)
