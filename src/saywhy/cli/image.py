"""`saywhy image FILE`: explain what a model sees in an image."""

from __future__ import annotations

import re
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Top, TrustRemoteCode, options_of, request_settings, with_settings
from .streams import loading, style_of, write_result

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
ImageModel = Annotated[str | None, typer.Option("--model", help="A Hugging Face id or folder of an image classifier.")]
Every = Annotated[bool, typer.Option("--all", "--all-labels", help="Explain every label; of many the likeliest ten.")]
How = Annotated[View, typer.Option(help="How the scores are drawn on the image.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="A .png, .svg, .html, .json, .txt or .parquet file to write.")
]


@with_settings(
    without=("overlong", "embedding", "background", "background_rows"),
    defaults={"by": "patch"},
    helps={
        "by": "patch, pixel, channel, or rows x columns such as 7x7.",
        "absent": "What stands in for a missing patch: mean, black, white or blur.",
        "target": "The label to explain, by name or index; by default the prediction.",
    },
)
def image(
    file: File,
    model: ImageModel = None,
    all_labels: Every = False,
    view: How = View.overlay,
    output: Output = None,
    top: Top = 10,
    trust_remote_code: TrustRemoteCode = False,
    **settings: Any,
) -> None:
    """Explain what a model sees in an image: which parts push the number up or down."""
    style = style_of(None, output, file)
    if model is None:
        raise typer.BadParameter("there is no image model in the package: give --model, a Hugging Face id or a folder.")
    if all_labels and (settings["target"] is not None or settings["against"] is not None):
        raise typer.BadParameter("--all explains every label; leave out --target and --against.")
    settings["by"] = _grain(settings["by"])
    options = options_of(settings["option"])
    from ..explain.explainer import Explainer

    with loading("the model"):
        explainer = Explainer(model, task="image-classification", trust_remote_code=trust_remote_code)
    asked = request_settings(settings, explainer.model, options)
    if all_labels:
        del asked["target"], asked["against"]
    given = sys.stdin.buffer.read() if str(file) == "-" else file
    found = (explainer.each_target if all_labels else explainer)(given, **asked)
    write_result(found, style, output, top, view.value)


def _grain(by: str) -> str | tuple[int, int]:
    """A name, or rows and columns from "7x7"."""
    grid = re.fullmatch(r"(\d+) ?[x×,] ?(\d+)", by)
    return (int(grid[1]), int(grid[2])) if grid else by
