"""`saywhy image FILE`: explain what a model sees in an image."""

from __future__ import annotations

import re
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

EXAMPLES = """Examples:

  saywhy image cat.jpg --model google/vit-base-patch16-224 -o why.png

  saywhy image cat.jpg --model my-folder --method occlusion --absent blur --by 7x7 --view heatmap -o why.html
"""


class View(str, Enum):
    overlay = "overlay"
    heatmap = "heatmap"
    masked_image = "masked_image"
    alpha_scaling = "alpha_scaling"


File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, allow_dash=True, help="An image; - reads one.")]
Model = Annotated[str | None, typer.Option(help="A Hugging Face id or folder of an image classifier.")]
Name = Annotated[str | None, typer.Option(help="One of `saywhy methods`; integrated_gradients by default.")]
Target = Annotated[str | None, typer.Option(help="The label to explain, by name or index; by default the prediction.")]
Against = Annotated[str | None, typer.Option(help="Why the target rather than this label.")]
Every = Annotated[bool, typer.Option("--all", "--all-labels", help="Explain every label; of many the likeliest ten.")]
Unit = Annotated[str | None, typer.Option(help="logit (default), log-prob, prob or log-odds.")]
By = Annotated[str, typer.Option(help="patch, pixel, channel, or rows x columns such as 7x7.")]
Absent = Annotated[str | None, typer.Option(help="What stands in for a missing patch: mean, black, white or blur.")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the method, e.g. steps=50.")]
How = Annotated[View, typer.Option(help="How the scores are drawn on the image.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="A .png, .svg, .html, .json, .txt or .parquet file to write.")
]
Top = Annotated[int, typer.Option(min=1, help="How many features the terminal table shows.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Let a model folder run its own code.")]


def image(
    file: File,
    model: Model = None,
    method: Name = None,
    target: Target = None,
    against: Against = None,
    all_labels: Every = False,
    unit: Unit = None,
    by: By = "patch",
    absent: Absent = None,
    option: Pairs = None,
    view: How = View.overlay,
    output: Output = None,
    top: Top = 10,
    trust_remote_code: Trust = False,
) -> None:
    """Explain what a model sees in an image: which parts push the number up or down."""
    from . import options

    style = options.style_of(None, output)
    if model is None:
        raise typer.BadParameter("there is no image model in the package: give --model, a Hugging Face id or a folder.")
    if all_labels and (target is not None or against is not None):
        raise typer.BadParameter("--all explains every label; leave out --target and --against.")
    settings: dict[str, Any] = {"method": method, "unit": unit, "by": _grain(by), "absent": absent}
    settings |= options.options_of(option or [], {*settings, "target", "against"})
    from ..explain.explainer import Explainer

    explainer = Explainer(model, task="image-classification", trust_remote_code=trust_remote_code)
    if not all_labels:
        known = explainer.model.labels
        settings |= {"target": options.label_of(target, known), "against": options.label_of(against, known)}
    given = sys.stdin.buffer.read() if str(file) == "-" else file
    found = (explainer.each_target if all_labels else explainer)(given, **settings)
    options.put(found, style, output, top, view.value)


def _grain(by: str) -> str | tuple[int, int]:
    """A name, or rows and columns from "7x7"."""
    grid = re.fullmatch(r"(\d+) ?[x×,] ?(\d+)", by)
    return (int(grid[1]), int(grid[2])) if grid else by
