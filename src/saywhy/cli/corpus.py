"""`saywhy corpus`: every text of a file explained into a folder; `saywhy report`: what the model looks at overall."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Limit, Model, TrustRemoteCode, options_of, request_settings, with_settings
from .streams import checked_output, loading

if TYPE_CHECKING:
    from ..corpus import Corpus

EXAMPLES = """Examples:

  saywhy corpus reviews.csv -o reviews-why --text review --method libra

  saywhy corpus folder-of-parquet -o why --text body --model my-folder --by sentence --trust none

  saywhy corpus reviews.csv -o reviews-why --text review --method libra   # again, after a crash: it goes on where it was

  saywhy corpus big.parquet -o why --text body --model my-folder --engine ray --workers 8 --gpus 1
"""
REPORT_EXAMPLES = """Examples:

  saywhy report reviews-why

  saywhy report reviews-why -o report.html --label stars --by-column country --by-column date
"""


class EngineName(str, Enum):
    local = "local"
    ray = "ray"


Source = Annotated[Path, typer.Argument(help=".csv, .tsv, .jsonl, .txt or .parquet, or a folder of those.")]
Folder = Annotated[Path, typer.Option("-o", "--output", help="The folder of the shards; a run goes on where it was.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--text",
        metavar="COLUMN",
        help="The column of the text, by default 'text'; several make an input of parts. A model of rows reads its own columns.",
    ),
]
Keep = Annotated[
    list[str] | None, typer.Option("--keep", metavar="COLUMN", help="A column to keep; by default all others.")
]
Share = Annotated[float, typer.Option(min=0, max=1, help="The share of the texts that is checked.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at a row that cannot be explained.")]
ShardRows = Annotated[int, typer.Option(min=1, help="Rows of a shard: what a kill loses at most.")]
EngineOption = Annotated[EngineName, typer.Option("--engine", help="This machine, or Ray.")]
Workers = Annotated[
    int, typer.Option(min=1, help="Processes of this machine, or actors of Ray; each with a model of its own.")
]
Gpus = Annotated[float, typer.Option(min=0, help="GPUs of each worker.")]


@with_settings(
    defaults={"by": None},
    helps={
        "method": "One of `saywhy methods`; one-pass methods (libra) suit many texts.",
        "target": "The label explained; by default each text's prediction.",
        "trust": "How a share of the texts is checked: quick, full or none.",
    },
)
def corpus(
    source: Source,
    output: Folder,
    text: Columns = None,
    keep: Keep = None,
    model: Model = None,
    trust_share: Share = 0.01,
    strict: Strict = False,
    limit: Limit = None,
    shard_rows: ShardRows = 1_024,
    engine: EngineOption = EngineName.local,
    workers: Workers = 1,
    gpus: Gpus = 0,
    trust_remote_code: TrustRemoteCode = False,
    **settings: Any,
) -> None:
    """Explain every text of a file, or of a folder of files, into Parquet shards. Killed and started again, it goes on."""
    own: dict[str, Any] = {"trust_share": trust_share, "strict": strict, "limit": limit, "keep": keep}
    own |= {"shard_rows": shard_rows, "engine": engine.value, "workers": workers, "gpus": gpus}
    options = options_of(settings["option"], {*own, "text", "model"}, ("source", "output", "actors", "cache"))
    from ..corpus import run
    from ..explain.explainer import Explainer

    device = "cpu" if gpus else None  # this one only checks; the GPUs are the workers'
    with loading("the model"):
        explainer = Explainer(model, device=device, trust_remote_code=trust_remote_code)
    asked = request_settings(settings, explainer.model, options)
    actors = {"model": model, "trust_remote_code": trust_remote_code}
    with _stoppable(output):
        found = run(explainer, source, output, text=text, actors=actors, **own, **asked)
    typer.echo(_told(found, workers), err=True)


@contextmanager
def _stoppable(output: Path) -> Iterator[None]:
    """While inside, Ctrl-C says what is there and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        there = _counted(len(list(output.glob("shard-*.parquet"))), "shard")
        typer.echo(f"{output}: stopped with {there} written; the same command goes on from there", err=True)
        raise


def _told(found: Corpus, workers: int) -> str:
    done = found.manifest["done"]
    said = f"{found.folder}: {_counted(done['rows'], 'row')} in {_counted(done['shards'], 'shard')}"
    said += f", {done['errors']:,} that could not be explained (column error says why)" if done["errors"] else ""
    said += f", {done['copies']:,} copies of earlier texts" if done["copies"] else ""
    if done["shards"] < workers:
        each = max(1, -(-done["rows"] // (4 * workers)))
        said += f"\nfewer shards than workers: --shard-rows {each} in a new folder would give each of them some"
    return said


def _counted(many: int, noun: str) -> str:
    return f"{many:,} {noun}" if many == 1 else f"{many:,} {noun}s"


Made = Annotated[Path, typer.Argument(help="The folder of a corpus.")]
Page = Annotated[
    Path | None, typer.Option("-o", "--output", help="The page, .html; by default _report.html in the folder.")
]
Truth = Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="The kept column of the true label.")]
Slices = Annotated[
    list[str] | None, typer.Option("--by-column", metavar="COLUMN", help="A kept column to slice by; may be repeated.")
]


def report(folder: Made, output: Page = None, label: Truth = None, by_column: Slices = None) -> None:
    """What the model looks at overall, from a corpus: a page, and the words beside it as .csv. Needs no model."""
    checked_output(output, (".html",))
    from ..core.display import one_line
    from ..corpus import report as reported

    found = reported(folder, label=label, by_columns=by_column or ())
    path = found.save(output or folder / "_report.html")  # readers of Parquet pass over names that begin so
    typer.echo(str(found).partition("\n")[0], err=True)  # the sentence; what a pipe gets is the table alone
    for name, (word, suspicion) in found.suspects[:5]:
        typer.echo(
            f"{one_line(word.label)}\t{one_line(name)}\t{word.mean:+.3g}\t{word.count:,} times\tsuspicion {suspicion:.1f}"
        )
    if not found.corpus.complete:
        typer.echo(f"{folder} is unfinished: this is what is there so far", err=True)
    typer.echo(f"wrote {path} and {path.with_suffix('.csv').name}", err=True)
