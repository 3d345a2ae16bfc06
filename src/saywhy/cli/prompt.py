"""The `saywhy prompt` command; what it does is in `prompt_slots`, which is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Budget, Cache, KeyFile, TrustRemoteCode, served

EXAMPLES = """Examples:

  saywhy prompt "{name} from {country} applied. They" --values name=Georg,country=Germany --target " left" --model my-llm

  saywhy prompt "{name} applied. They" --values name=Georg --baseline name=Ada --target " left" --model my-llm --probe
"""

Values = Annotated[
    list[str], typer.Option(metavar="SLOT=VALUE,…", help="What stands in the slots: name=Georg,country=Germany.")
]
Baselines = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        metavar="SLOT=A,B,…",
        help="What stands there instead, the mean over several; empty by default. Repeatable.",
    ),
]
Probing = Annotated[
    bool,
    typer.Option(
        "--probe",
        help="How likely --target is with every combination of the values and baselines; which slot matters most.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help=".html, .svg, .png, .json, .txt or .parquet; with --probe .html, .csv, .txt or .parquet.",
    ),
]


LanguageModel = Annotated[
    str, typer.Option(help="A language model: a Hugging Face id or folder, a server (http://…/v1) or a GGUF file.")
]
Continuation = Annotated[
    str | None, typer.Option(help="The continuation to explain; by default the model writes one first.")
]


def prompt(
    text: Annotated[str, typer.Argument(help="The prompt, with {slots}.")],
    model: LanguageModel,
    values: Values,
    baseline: Baselines = None,
    target: Continuation = None,
    against: Annotated[str | None, typer.Option(help="Why the target rather than this continuation.")] = None,
    method: Annotated[str | None, typer.Option(help="A coalition method of `saywhy methods`.")] = None,
    unit: Annotated[str, typer.Option(help="log-prob or prob.")] = "log-prob",
    tokens: Annotated[bool, typer.Option("--tokens", help="Explain every token of the target.")] = False,
    probe: Probing = False,
    output: Output = None,
    trust_remote_code: TrustRemoteCode = False,
    key_file: KeyFile = None,
    cache: Cache = None,
    budget: Budget = None,
) -> None:
    """Explain which slots of a prompt made a language model say what it said."""
    from ..explain.explainer import Explainer
    from .prompt_slots import Asked, announced, answered, checked_probe, probed, template_of
    from .streams import loading, style_of, write_result

    style = None if probe else style_of(None, output)
    template = template_of(text, values, baseline or [])
    asked = Asked(method, target, against, unit, tokens)
    if probe:
        checked_probe(template, asked)
    with loading("the model"):
        explainer = Explainer(
            served(model, key_file, cache, budget), task="text-generation", trust_remote_code=trust_remote_code
        )
    typer.echo(announced(template, asked, probe, explainer.model.name, explainer.model.costly), err=True)
    if style is not None:
        write_result(answered(explainer, template, asked), style, output, 10)
        return
    found = probed(explainer, template, asked)
    if output is None:
        typer.echo(str(found))
    else:
        typer.echo(f"wrote {found.save(output)}", err=True)
