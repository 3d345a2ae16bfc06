"""The `saywhy cite` command: which sentence of which document stands behind each sentence of an answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Cache, KeyFile, TrustRemoteCode, served

if TYPE_CHECKING:
    from ..llm.citations import Document

EXAMPLES = """Examples:

  saywhy cite --question "Who built the bridge?" --documents notes/ --model my-llm -o answer.html

  saywhy cite --question "Who built it?" --documents found.jsonl --answer answer.txt --model my-llm
"""


Question = Annotated[str, typer.Option(help="What was asked.")]
LanguageModel = Annotated[
    str, typer.Option(help="A language model: a Hugging Face id, a folder, a server's address or a GGUF file.")
]
Documents = Annotated[
    Path, typer.Option(help="A folder of texts, a text, or a .jsonl, .csv or .parquet table with a column text.")
]
Answer = Annotated[
    Path | None, typer.Option(help="A file with the answer, - for standard input; by default the model writes one.")
]
Wording = Annotated[
    Path | None, typer.Option(help="A file with the prompt, which holds {documents} and {question} once each.")
]
Budget = Annotated[int | None, typer.Option(min=1, help="The most forwards; by default until it is settled.")]
Confidence = Annotated[float, typer.Option(help="How sure it must be which sentences count.")]
Longest = Annotated[int, typer.Option(min=1, help="The longest answer that the model writes, in tokens.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help=".html, .md, .json or .txt.")]


def cite(
    question: Question,
    documents: Documents,
    model: LanguageModel,
    answer: Answer = None,
    prompt: Wording = None,
    budget: Budget = None,
    confidence: Confidence = 0.95,
    max_new_tokens: Longest = 128,
    output: Output = None,
    key_file: KeyFile = None,
    cache: Cache = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Say which sentences of the documents stand behind each sentence of an answer, and which have no source."""
    from ..explain.explainer import Explainer
    from ..llm import citations
    from ..storage.manifest import read_text
    from .streams import checked_output, loading

    checked_output(output, citations.ENDINGS, documents, answer, prompt)
    told, known = _answer(answer), _documents(documents)
    wording = None if prompt is None else read_text(prompt)
    with loading("the model"):
        asked = served(model, key_file, cache)
        explainer = Explainer(asked, task="text-generation", trust_remote_code=trust_remote_code)
    limits: dict[str, Any] = {"budget": budget, "confidence": confidence, "max_new_tokens": max_new_tokens}
    found = citations.cite(
        explainer,
        question,
        known,
        told,
        prompt=wording,
        announce=lambda cost: typer.echo(str(cost), err=True),
        **limits,
    )
    if output is None:
        typer.echo(str(found))
    else:
        typer.echo(f"{found.summary}\nwrote {found.save(output)}", err=True)


def _documents(path: Path) -> tuple[Document, ...]:
    """The documents there; what a folder holds beside them is told on standard error."""
    from ..llm.citations import passed_over, read_documents

    found = read_documents(path)
    if left := passed_over(path, found):
        shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        typer.echo(f"passed over in {path}, for they are blank or of another kind: {shown}", err=True)
    return found


def _answer(path: Path | None) -> str | None:
    """The answer in a file, or from standard input where it is called "-"; None where the model is to write one."""
    from ..storage.manifest import read_text
    from .streams import text_or_input

    if path is None:
        return None
    return (text_or_input(None) if str(path) == "-" else read_text(path)).strip()
