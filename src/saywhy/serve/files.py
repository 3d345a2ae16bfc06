"""What was answered, as a file of another kind: explanations and citations come back from the client and are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import unknown

MEDIA = {
    "html": "text/html", "svg": "image/svg+xml", "png": "image/png", "json": "application/json", "txt": "text/plain",
    "parquet": "application/vnd.apache.parquet", "md": "text/markdown",
}  # fmt: skip
CITATIONS = "saywhy.citations"
KINDS = {"citations": ("html", "md", "json", "txt"), "explanations": ("html", "svg", "png", "json", "txt", "parquet")}


def ending_of(body: Mapping[str, Any]) -> str:
    """The field "as" of what shall be drawn, html by default. Raises OptionError for a kind that cannot be made of it."""
    ending, kinds = body.get("as", "html"), KINDS["citations" if _cited(body) else "explanations"]
    if ending not in kinds:
        raise unknown("kind of file", ending, kinds)
    return str(ending)


def file_name(body: Mapping[str, Any]) -> str:
    """What a browser calls the file that it saves."""
    return f"{'sources' if _cited(body) else 'why'}.{ending_of(body)}"


def content(body: Mapping[str, Any], name: str) -> bytes:
    """The file's bytes; `name` is what errors call the body. Raises FileError for what is neither, or damaged."""
    ending, data = ending_of(body), {key: value for key, value in body.items() if key != "as"}
    if not _cited(body):
        from ..storage import explanations

        return explanations.content(explanations.parsed(data, name), f".{ending}")
    from ..llm.citations.result import parsed_citations

    return parsed_citations(data, name).content(f".{ending}")


def _cited(body: Mapping[str, Any]) -> bool:
    return body.get("format") == CITATIONS
