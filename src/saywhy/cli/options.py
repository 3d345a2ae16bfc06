"""What goes into the commands and what comes out: the input, the options as they are written, the file or the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ..core.explanation import Explanation, Explanations


class Format(str, Enum):
    terminal = "terminal"
    html = "html"
    json = "json"
    svg = "svg"
    png = "png"
    parquet = "parquet"


OURS = ("given", "progress")  # what is passed to every explanation, and is no method's option
TABLE = 1_000  # columns for a table in a pipe, one line a row; text is wrapped at 120


def given_by(text: str | None, pair: str | None, question: str | None, context: str | None, values: list[str]) -> Any:
    """The input: a text, a pair, a text with values beside it, or a question with its context."""
    if question is None and context is None and values:
        if pair is not None or not all("=" in value for value in values):
            raise typer.BadParameter("--value COLUMN=VALUE stands beside one TEXT.")
        return {"text": text_or_input(text), **dict(value.split("=", 1) for value in values)}
    if question is None and context is None:
        return text_or_input(text) if pair is None else (text_or_input(text), pair)
    if question is None or context is None or text is not None or pair is not None:
        raise typer.BadParameter("--question and --context belong together, without TEXT or --pair.")
    return {"question": question, "context": text_or_input(context)}


def text_or_input(text: str | None) -> str:
    if text is not None and text != "-":
        return text
    if sys.stdin.isatty():
        raise typer.BadParameter('give a TEXT, or pipe one in: echo "..." | saywhy explain')
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"standard input is not UTF-8 text: {error}") from None


def style_of(wanted: Format | None, output: Path | None) -> Format:
    endings = {
        ".html": Format.html,
        ".json": Format.json,
        ".svg": Format.svg,
        ".png": Format.png,
        ".txt": Format.terminal,
        ".parquet": Format.parquet,
    }
    if output is not None and not output.parent.is_dir():
        raise typer.BadParameter(f"-o {output}: the folder {output.parent} does not exist.")
    if wanted is None and output is not None:
        if output.suffix.lower() not in endings:
            raise typer.BadParameter(f"-o {output}: the ending must be one of {', '.join(endings)}, or give --format.")
        return endings[output.suffix.lower()]
    if wanted in (Format.png, Format.parquet) and output is None and sys.stdout.isatty():
        raise typer.BadParameter(f"{wanted.value} does not belong on a terminal: give -o FILE, or pipe it.")
    return wanted or Format.terminal


def options_of(pairs: list[str], taken: set[str]) -> dict[str, Any]:
    """NAME=VALUE pairs for the method; a name that has an option of its own is refused."""
    import ast

    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"--option {pair!r}: write NAME=VALUE, for example steps=50.")
        if name in taken or name in OURS:
            told = f"{name} is no option of a method" if name in OURS else f"write --{name.replace('_', '-')} instead"
            raise typer.BadParameter(f"--option {name}=…: {told}; --option is for the method's own.")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options


def label_of(given: str | None, labels: Sequence[str]) -> str | int | None:
    """A label by its name, else by its index: a label may be called "1"."""
    return int(given) if given is not None and given not in labels and given.isdigit() else given


def console(piped: int = 120) -> Console:
    """A console on standard output: as wide as the terminal, or `piped` columns without spaces at the ends of lines."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(width=piped, file=cast("TextIO", _Trimmed(sys.stdout)), highlight=False)


class _Trimmed:
    """A stream that leaves out the spaces before the end of a line."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(re.sub(r" +(?=\n)", "", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def put(what: Explanation | Explanations, style: Format, output: Path | None, top: int, view: str = "overlay") -> None:
    from ..storage import explanations as io
    from ..storage.atomic import write

    if output is not None:
        ending = "txt" if style is Format.terminal else style.value
        write(output, io.content(what, f".{ending}", view))
        typer.echo(f"wrote {output}", err=True)
    elif style is Format.terminal:
        from ..render.terminal import show

        show(what, console(), top)
    else:
        sys.stdout.buffer.write(io.content(what, f".{style.value}", view))
        sys.stdout.buffer.flush()
