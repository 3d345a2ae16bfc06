"""The `saywhy` command. Results go to standard output, messages to standard error; 0 done, 1 failed, 2 bad use."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__

if TYPE_CHECKING:
    from rich.console import Console

    from .explanation import Explanation, Explanations

EXAMPLES = """Examples:

  saywhy explain "I love you, I like you, I also kinda dislike you"

  saywhy explain "A dull, predictable mess" --method occlusion --absent drop --by token

  saywhy explain "..." --model my-folder --target NEGATIVE -o why.html

  cat review.txt | saywhy explain --format json > why.json

  saywhy train reviews.csv --text review --label stars -o my-folder

  saywhy methods
"""

app = typer.Typer(
    help="Why did the model say that? Scores for every word of a text.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(str, Enum):
    terminal = "terminal"
    html = "html"
    json = "json"
    svg = "svg"
    png = "png"


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
Name = Annotated[str | None, typer.Option(help="One of `saywhy methods`; integrated_gradients by default.")]
Target = Annotated[
    str | None, typer.Option(help="The label to explain, by name or index; by default the predicted one.")
]
Against = Annotated[str | None, typer.Option(help="Why the target rather than this label.")]
Every = Annotated[bool, typer.Option("--all-labels", help="Explain every label, from the same model calls.")]
Unit = Annotated[str | None, typer.Option(help="logit (default), log-prob, prob or log-odds.")]
By = Annotated[str, typer.Option(help="word, token or sentence.")]
Absent = Annotated[str | None, typer.Option(help="What stands in for a missing feature: mask, pad, unk, zero or drop.")]
Overlong = Annotated[str, typer.Option(help="A text longer than the model reads: refuse or truncate.")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the method, e.g. steps=50.")]
Style = Annotated[Format | None, typer.Option(help="By default from the ending of -o, else terminal.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file instead of standard output.")]
Top = Annotated[int, typer.Option(min=1, help="How many features the terminal table shows.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Let a model folder run its own code.")]


@app.command(epilog=EXAMPLES)
def explain(
    text: Text = None,
    model: Model = None,
    method: Name = None,
    target: Target = None,
    against: Against = None,
    all_labels: Every = False,
    unit: Unit = None,
    by: By = "word",
    absent: Absent = None,
    overlong: Overlong = "refuse",
    option: Pairs = None,
    format: Style = None,
    output: Output = None,
    top: Top = 10,
    trust_remote_code: Trust = False,
) -> None:
    """Explain what a model says of a text: which words push the number up or down."""
    given = _text(text)
    style = _format(format, output)
    options = _options(option or [])
    if all_labels and (target is not None or against is not None):
        raise typer.BadParameter("--all-labels explains every label; leave out --target and --against.")
    from .explain import Explainer

    explainer = Explainer(model, trust_remote_code=trust_remote_code)
    labels = explainer.model.labels
    settings: dict[str, Any] = {"method": method, "unit": unit, "by": by, "absent": absent, "overlong": overlong}
    if taken := sorted({*settings, "target", "against", "progress"} & options.keys()):
        raise typer.BadParameter(
            f"--option {taken[0]}=…: write --{taken[0]} instead; --option is for the method's own."
        )
    settings |= options
    if not all_labels:
        settings |= {"target": _label(target, labels), "against": _label(against, labels)}
    _put((explainer.each_target if all_labels else explainer)(given, **settings), style, output, top)


@app.command()
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
) -> None:
    """Train a text classifier on a table, and report how it answers a held-out tenth of it."""
    from .classifier import Training
    from .classifier.command import run

    training = Training(epochs=epochs, seed=seed)
    found = run(file, text, label, categorical or [], output, tokenizer, layers, training)
    typer.echo("\n".join(found.lines()))
    typer.echo(f"wrote {output}; explain with: saywhy explain --model {output} TEXT", err=True)


@app.command()
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
    _console().print(table)


def _text(text: str | None) -> str:
    if text is not None and text != "-":
        return text
    if sys.stdin.isatty():
        raise typer.BadParameter('give a TEXT, or pipe one in: echo "..." | saywhy explain')
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"standard input is not UTF-8 text: {error}") from None


def _format(wanted: Format | None, output: Path | None) -> Format:
    endings = {
        ".html": Format.html,
        ".json": Format.json,
        ".svg": Format.svg,
        ".png": Format.png,
        ".txt": Format.terminal,
    }
    if output is not None and not output.parent.is_dir():
        raise typer.BadParameter(f"-o {output}: the folder {output.parent} does not exist.")
    if wanted is None and output is not None:
        if output.suffix.lower() not in endings:
            raise typer.BadParameter(f"-o {output}: the ending must be one of {', '.join(endings)}, or give --format.")
        return endings[output.suffix.lower()]
    if wanted is Format.png and output is None and sys.stdout.isatty():
        raise typer.BadParameter("a PNG does not belong on a terminal: give -o FILE, or pipe it.")
    return wanted or Format.terminal


def _options(pairs: list[str]) -> dict[str, Any]:
    import ast

    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"--option {pair!r}: write NAME=VALUE, for example steps=50.")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options


def _label(given: str | None, labels: Sequence[str]) -> str | int | None:
    """A label by its name, else by its index: a label may be called "1"."""
    return int(given) if given is not None and given not in labels and given.isdigit() else given


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def _put(what: Explanation | Explanations, style: Format, output: Path | None, top: int) -> None:
    from . import io

    if output is not None:
        ending = "txt" if style is Format.terminal else style.value
        io.write(output, io.content(what, f".{ending}"))
        typer.echo(f"wrote {output}", err=True)
    elif style is Format.terminal:
        from .render.terminal import show

        show(what, _console(), top)
    else:
        sys.stdout.buffer.write(io.content(what, f".{style.value}"))
        sys.stdout.buffer.flush()


def main() -> None:
    """Run the command; a refusal is one line on standard error, never a traceback."""
    from .errors import InputError, MethodError, OptionError, SaywhyError

    try:
        app(standalone_mode=True)
    except (InputError, OptionError, MethodError) as error:
        typer.echo(f"saywhy: {error}", err=True)
        sys.exit(2)
    except (SaywhyError, OSError) as error:
        typer.echo(f"saywhy: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
