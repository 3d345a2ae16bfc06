"""The `saywhy` command. Results go to standard output, messages to standard error; 0 done, 1 failed, 2 bad use."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from .. import __version__
from . import architectures, benchmark, cite, compare, corpus, explain, image, lists, prompt, serve, train

EXAMPLES = """Examples:

  saywhy explain "I love you, I like you, I also kinda dislike you"

  saywhy prompt "{name} applied. They" --values name=Georg --baseline name=Ada --target " were rejected" --model my-llm

  saywhy cite --question "Who built the bridge?" --documents notes/ --model my-llm -o answer.html

  saywhy image cat.jpg --model my-image-folder -o why.png

  saywhy serve

  saywhy corpus reviews.csv -o reviews-why --text review --method libra

  saywhy report reviews-why --label stars --by-column country

  saywhy compare reviews.csv --text review --limit 100 -o methods.html

  saywhy train reviews.csv --text review --label stars -o my-folder

  saywhy methods
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


_DEBUG = "--debug"


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show where an error came from, with its traceback.")] = False,
) -> None:
    pass


COMMANDS = (  # in the order of the help page: what explains, what judges and trains, the lists
    (explain.explain, "Which words of a text push the number up or down.", explain.EXAMPLES),
    (prompt.prompt, "Which slots of a prompt drive a language model.", prompt.EXAMPLES),
    (cite.cite, "Which sentences of documents carry an answer.", cite.EXAMPLES),
    (image.image, "Which parts of an image push the number.", image.EXAMPLES),
    (serve.serve, "A page on which to change a text and see at once.", serve.EXAMPLES),
    (corpus.corpus, "Every text of a file or folder, into Parquet shards.", corpus.EXAMPLES),
    (corpus.report, "What the model looks at overall, from a corpus.", corpus.REPORT_EXAMPLES),
    (compare.compare, "Which method to believe, on texts of yours.", compare.EXAMPLES),
    (train.train, "Train a text classifier on a table.", None),
    (benchmark.benchmark, "How often methods find a planted reason.", benchmark.EXAMPLES),
    (lists.tasks, "The tasks: what is given, what can be explained.", None),
    (lists.methods, "The methods: family, cost, do they add up, source.", None),
    (compare.metrics, "The metrics: what is better, what they cannot show.", None),
    (architectures.architectures, "What works for each class of transformers.", None),
)
# those that load a model: they collect no garbage until it is there
LOADING = ("explain", "prompt", "cite", "image", "serve", "corpus", "compare")
for _command, _summary, _examples in COMMANDS:
    app.command(short_help=_summary, epilog=_examples)(_command)


def main() -> None:
    """Run the command; whatever goes wrong is one line on standard error, and the exit status says of what kind it is.

    2: what was asked cannot be done; 1: it failed; 130: stopped by Ctrl-C. With --debug the traceback is shown.
    """
    from ..core import collector
    from ..core.errors import InputError, MethodError, OptionError, SaywhyError

    if next((word for word in sys.argv[1:] if not word.startswith("-")), None) in LOADING:
        collector.pause()
    _ready_streams()
    try:
        app(standalone_mode=True)
    except BrokenPipeError:  # the reader has left, and nobody hears a message
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if _DEBUG in sys.argv:
            raise
        refused = isinstance(error, InputError | OptionError | MethodError)
        known = isinstance(error, SaywhyError | OSError)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        more = "" if known else f" (unforeseen; `saywhy {_DEBUG} …` shows where)"
        typer.echo(f"saywhy: {_one_line(message)}{more}", err=True)
        sys.exit(2 if refused else 1)
    finally:
        collector.resume()


def _ready_streams() -> None:
    """Signs that the output's encoding has not are spelt out, and an output that is closed takes what nobody reads."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _one_line(message: str) -> str:
    """The message without line breaks, and without characters that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in " ".join(message.split()))
