"""What goes into the commands and what comes out: the input, the file or the terminal."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import typer

from ..core import collector

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


TABLE = 1_000  # columns for a table in a pipe, one line a row; text is wrapped at 120


SILENCE = 1.0  # seconds that nothing is shown before the command says what it does


@contextmanager
def loading(what: str) -> Iterator[None]:
    """While inside, and longer than a second, "loading …" stands on standard error, if that is a terminal.

    At the end garbage is collected again, where `main` had paused it.
    """
    try:
        with _announced(what):
            yield
    finally:
        collector.resume()


@contextmanager
def _announced(what: str) -> Iterator[None]:
    stream = sys.stderr
    if stream is None or not stream.isatty():
        yield
        return
    shown = threading.Event()

    def show() -> None:
        shown.set()
        stream.write(f"loading {what} …")
        stream.flush()

    timer = threading.Timer(SILENCE, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown.is_set():
            stream.write("\r\x1b[K")
            stream.flush()


def given_by(
    text: str | None, pair: str | None, question: str | None, context: str | None, values: list[str]
) -> object:
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
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise typer.BadParameter('give a TEXT, or pipe one in: echo "..." | saywhy explain')
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig").rstrip("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"standard input is not UTF-8 text: {error}") from None


ENDINGS = {
    ".html": Format.html,
    ".json": Format.json,
    ".svg": Format.svg,
    ".png": Format.png,
    ".txt": Format.terminal,
    ".parquet": Format.parquet,
}


def checked_output(output: Path | None, endings: Iterable[str], *read: Path | None) -> None:
    """Refuses a file that cannot be written, and one of those that are read, before the work."""
    from ..core.errors import FileError
    from ..storage.paths import output_file

    try:
        if output is not None:
            output_file(output, endings)
            for each in read:
                if each is not None and each.is_file() and output.exists() and output.samefile(each):
                    raise FileError(f"{output} is what is read, and would be overwritten: give another name.")
    except FileError as error:
        raise typer.BadParameter(f"-o {error}") from None


def style_of(wanted: Format | None, output: Path | None, *read: Path | None) -> Format:
    """The format asked for, else the one of the file's ending. Refuses a file that cannot be written, or that is read."""
    checked_output(output, ENDINGS if wanted is None or output is None else (output.suffix.lower(),), *read)
    if output is not None:
        return wanted or ENDINGS[output.suffix.lower()]
    if wanted in (Format.png, Format.parquet) and sys.stdout.isatty():
        raise typer.BadParameter(f"{wanted.value} does not belong on a terminal: give -o FILE, or pipe it.")
    return wanted or Format.terminal


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


def write_result(
    what: Explanation | Explanations, style: Format, output: Path | None, top: int, view: str = "overlay"
) -> None:
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
