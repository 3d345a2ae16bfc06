"""`saywhy compare`: which method to believe, on a model and texts of your own; `saywhy metrics`: how that is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Limit, Model, TrustRemoteCode, request_settings, with_settings
from .streams import TABLE, checked_output, console, loading

EXAMPLES = """Examples:

  saywhy compare reviews.txt

  saywhy compare reviews.csv --text review --limit 100 --methods libra,integrated_gradients:steps=50,kernel_shap -o methods.html

  saywhy compare reviews.csv --text review --model my-folder --metrics removal_area --removal mask,drop --resume part.jsonl
"""

File = Annotated[
    Path,
    typer.Argument(
        help="Texts: .txt (one a line), .csv, .tsv or .jsonl (with --text COLUMN); of a model of rows, their table."
    ),
]
Column = Annotated[str | None, typer.Option("--text", metavar="COLUMN", help="The column that holds the text.")]
Methods = Annotated[str | None, typer.Option(help="a,b:option=value,c; by default what the model can be asked.")]
Metrics = Annotated[
    str | None, typer.Option(help="a,b,c of `saywhy metrics`; by default a set that needs few evaluations.")
]
Removal = Annotated[str | None, typer.Option(help="How the metrics take features away: mask,hide,drop,zero,…")]
Infill = Annotated[
    str | None, typer.Option(help="A masked language model with the same ids, that writes likely words.")
]
Resume = Annotated[Path | None, typer.Option(help="Keep each text's numbers here, and go on from them.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write .html, .csv, .json or .txt as well.")]


@with_settings(
    without=("method", "against", "absent", "embedding", "trust", "option"),
    helps={"target": "The label explained; by default each text's prediction."},
)
def compare(
    file: File,
    text: Column = None,
    limit: Limit = None,
    model: Model = None,
    methods: Methods = None,
    metrics: Metrics = None,
    removal: Removal = None,
    infill: Infill = None,
    resume: Resume = None,
    output: Output = None,
    trust_remote_code: TrustRemoteCode = False,
    **settings: object,
) -> None:
    """Compare methods on texts of yours: which is most faithful, how surely, and at what cost."""
    from .. import comparison
    from ..comparison.files import ENDINGS
    from ..comparison.terminal import show
    from ..explain.explainer import Explainer
    from ..storage.tables import columns as read_columns
    from ..storage.tables import texts

    checked_output(output, ENDINGS, file, resume)
    with loading("the model"):
        explainer = Explainer(model, trust_remote_code=trust_remote_code)
    columns = explainer.model.row_columns
    found = comparison.compare(
        explainer,
        read_columns(file, columns, limit) if columns else texts(file, text, limit),
        _list(methods),
        _list(metrics),
        removals=_list(removal),
        infill=infill,
        resume=resume,
        announce=lambda cost: typer.echo(cost, err=True),
        **request_settings(settings, explainer.model),
    )
    if output is not None:  # before it is shown: it shall outlive a terminal that breaks
        typer.echo(f"wrote {found.save(output)}", err=True)
    show(found, console())


def metrics() -> None:
    """List the metrics: what is better, what comes out, what they cannot show."""
    from rich import box
    from rich.table import Table

    from ..metrics import METRICS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("metric", "better", "family", "what comes out", "cannot show"):
        table.add_column(name, no_wrap=name == "metric")
    for row in METRICS.values():
        table.add_row(row.name, row.better or "–", row.family, row.summary, row.blind)
    console(TABLE).print(table)


def _list(text: str | None) -> list[str] | None:
    return None if text is None else [each.strip() for each in text.split(",") if each.strip()]
