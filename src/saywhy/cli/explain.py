"""`saywhy explain TEXT`: which words of a text push the number up or down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Format, given_by, label_of, options_of, put, style_of

if TYPE_CHECKING:
    from ..explain.explainer import Explainer

EXAMPLES = """Examples:

  saywhy explain "I love you, I like you, I also kinda dislike you"

  saywhy explain "A dull, predictable mess" --method occlusion --absent drop --by token

  saywhy explain "..." --model my-folder --target NEGATIVE -o why.html

  saywhy explain --question "Who wrote it?" --context "Ada wrote it." --model my-qa --all

  saywhy explain "The match was long" --labels sports,politics --model my-nli

  cat review.txt | saywhy explain --overlong window --by focus --format json > why.json
"""

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
    from ..explain.explainer import Explainer

    choices = None if labels is None else [label.strip() for label in labels.split(",")]
    return Explainer(model, task=task, labels=choices, trust_remote_code=trust)
