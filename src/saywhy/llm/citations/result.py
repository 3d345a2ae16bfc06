"""What `cite` returns: the statements of an answer, each with the sentences that carry it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...core.display import one_line
from ...core.errors import FileError
from ...core.types import Cost
from ...storage.manifest import Kind, checked, list_of, object_of, read_json
from ...storage.paths import as_path
from .documents import Document
from .verdicts import JOINS, NONE, SUPPORTED, WEAK

FORMAT, VERSION = "saywhy.citations", 1
ENDINGS = (".html", ".md", ".json", ".txt")
VERDICTS = (SUPPORTED, WEAK, NONE, JOINS)


@dataclass(frozen=True)
class Source:
    """One sentence of one document that carries a statement."""

    document: str  # its id
    span: tuple[int, int]  # [start, end) in that document's text as it was given
    text: str
    score: float  # its Shapley value, in nats of the statement's log-probability
    stderr: float


@dataclass(frozen=True)
class Statement:
    """One sentence of the answer, with what carries it."""

    text: str
    span: tuple[int, int]  # [start, end) in the answer
    verdict: str  # "supported", "weakly supported", "no source in these documents" or "nothing to cite"
    sources: tuple[Source, ...]  # the strongest first
    value: float  # its log-probability in nats, after all documents and what the answer said before
    base: float  # the same after the prompt without any sentence of the documents
    without: float  # the same without the sources
    alone: float  # the same with the sources and no other sentence
    raised: float  # the log-probability, with all documents, of its tokens that they make likelier, weighted by how far
    against: float  # and of the least likely of those that they speak against; 0 where there is none
    tokens: int  # of the statement, as the model reads it
    settled: bool = True  # was the budget enough to tell which sentences count?

    @property
    def gain(self) -> float:
        """What all documents together do to the log-probability, in nats."""
        return self.value - self.base

    @property
    def known_without(self) -> bool:
        """Has it no source because the model says it about as readily without the documents, at more than one in e a token?"""
        return self.verdict == NONE and abs(self.gain) < 1.0 and self.base / max(self.tokens, 1) > -1.0


@dataclass(frozen=True)
class Citations(Sequence[Statement]):
    """The statements of an answer, in order; print it, save it as a page, Markdown or JSON, or walk through it."""

    question: str
    answer: str
    documents: tuple[Document, ...]
    statements: tuple[Statement, ...]
    model: str
    written: bool = False  # did the model write the answer?
    cost: Cost = field(default_factory=Cost)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.statements)

    def __getitem__(self, place: int | slice) -> Any:
        return self.statements[place]

    def __iter__(self) -> Iterator[Statement]:
        return iter(self.statements)

    @property
    def summary(self) -> str:
        """One sentence: how many statements rest on which documents."""
        told = [s for s in self.statements if s.verdict != JOINS]
        held = [s for s in told if s.verdict == SUPPORTED]
        weak = sum(s.verdict == WEAK for s in told)
        names = list(dict.fromkeys(source.document for s in told for source in s.sources))
        where = f" by {'document' if len(names) == 1 else 'documents'} {', '.join(map(repr, names))}" if names else ""
        count = f"{len(held)} of {len(told)} {'statement' if len(told) == 1 else 'statements'}"
        rest = (f", {weak} weakly" + ("," if names else "")) if weak else ""
        none = sum(s.verdict == NONE for s in told)
        return f"{count} supported{rest}{where}" + (f"; {none} without a source." if none else ".")

    def __str__(self) -> str:
        from .page import plain

        return plain(self)

    def __repr__(self) -> str:
        return f"<Citations of {one_line(self.answer)!r:.60}: {one_line(self.summary)}>"

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)

    def to_html(self) -> str:
        """A page of its own: the answer beside the documents, sources coloured in place. No script."""
        from .page import page

        return page(self)

    def to_markdown(self) -> str:
        """The answer with footnotes [1] [2], and the sources under it."""
        from .page import markdown

        return markdown(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON has it: documents by id, sources by id and character offsets."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "question": self.question,
            "answer": self.answer,
            "written": self.written,
            "model": self.model,
            "documents": [asdict(document) for document in self.documents],
            "statements": [asdict(statement) for statement in self.statements],
            "cost": self.cost._asdict(),
            "notes": list(self.notes),
        }

    @staticmethod
    def load(path: str | Path) -> Citations:
        """What `save` wrote to a .json file. Raises FileError for another file, and for a damaged one, with the field."""
        return load_citations(path)

    def save(self, path: str | Path) -> Path:
        """Write .html, .md, .json or .txt, by the ending of `path`; returns the path."""
        from ...storage.atomic import write
        from ...storage.paths import output_file

        file = output_file(path, ENDINGS)
        write(file, self.content(file.suffix.lower()))
        return file

    def content(self, ending: str) -> bytes:
        """What `save` writes into a file with this ending."""
        if ending == ".json":
            text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        elif ending == ".txt":
            text = str(self)
        else:
            text = self.to_html() if ending == ".html" else self.to_markdown()
        return f"{text.rstrip()}\n".encode("utf-8", "backslashreplace")


def load_citations(path: str | Path) -> Citations:
    """Citations from their .json file. Raises FileError, which names the field, for what is none."""
    file = as_path(path)
    return parsed_citations(read_json(file, FORMAT, VERSION, {}), str(file))


def parsed_citations(given: object, name: str) -> Citations:
    """The citations in the data of a JSON file; `name` is for the error, FileError."""
    kinds: dict[str, Kind] = {"question": str, "answer": str, "written": bool, "model": str, "documents": list}
    data = checked(given, name, FORMAT, VERSION, kinds | {"statements": list, "cost": dict, "notes": list})
    documents = tuple(
        Document(**object_of(each, {"id": str, "text": str, "title": str}, name, f"documents[{i}]", ()))
        for i, each in enumerate(data["documents"])
    )
    texts = {document.id: document.text for document in documents}
    statements = tuple(
        _statement(each, data["answer"], texts, name, f"statements[{i}]") for i, each in enumerate(data["statements"])
    )
    cost = object_of(data["cost"], dict.fromkeys(Cost._fields, (int, float)), name, "cost", ())
    notes = tuple(list_of(data["notes"], str, name, "notes"))
    return Citations(
        data["question"], data["answer"], documents, statements, data["model"], data["written"], Cost(**cost), notes
    )


def _statement(data: Any, answer: str, texts: Mapping[str, str], name: str, at: str) -> Statement:
    """One statement of a file, sound in itself and beside its answer and documents. Raises FileError."""
    numbers: dict[str, Kind] = dict.fromkeys(("value", "base", "without", "alone", "raised", "against"), float)
    kinds: dict[str, Kind] = {
        "text": str,
        "span": list,
        "verdict": str,
        "sources": list,
        "settled": bool,
        "tokens": int,
    }
    object_of(data, kinds | numbers, name, at, ())
    _finite(data, numbers, name, at)
    _one_of(data["verdict"], VERDICTS, name, f"{at}.verdict")
    if data["tokens"] < 0:
        raise FileError(
            f"{name!r} is damaged: the field {f'{at}.tokens'!r} holds {data['tokens']}, and none is below 0."
        )
    sources = tuple(_source(each, texts, name, f"{at}.sources[{i}]") for i, each in enumerate(data["sources"]))
    span = _span(data["span"], data["text"], answer, name, f"{at}.span")
    return Statement(**data | {"span": span, "sources": sources})


def _source(data: Any, texts: Mapping[str, str], name: str, at: str) -> Source:
    numbers: dict[str, Kind] = dict.fromkeys(("score", "stderr"), float)
    kinds: dict[str, Kind] = {"document": str, "span": list, "text": str}
    object_of(data, kinds | numbers, name, at, ())
    _finite(data, numbers, name, at)
    _one_of(data["document"], texts, name, f"{at}.document")
    span = _span(data["span"], data["text"], texts[data["document"]], name, f"{at}.span")
    return Source(**data | {"span": span})


def _finite(data: Mapping[str, Any], fields: Iterable[str], name: str, at: str) -> None:
    for each in fields:
        if not math.isfinite(data[each]):
            raise FileError(
                f"{name!r} is damaged: the field {f'{at}.{each}'!r} holds {data[each]}, which is no number."
            )


def _one_of(value: str, known: Iterable[str], name: str, field: str) -> None:
    if value not in known:
        raise FileError(f"{name!r} is damaged: the field {field!r} holds {value!r:.60}, and there is no such one.")


def _span(data: object, text: str, whole: str, name: str, field: str) -> tuple[int, int]:
    start, end = list_of(data, int, name, field, 2)
    if not 0 <= start <= end <= len(whole) or whole[start:end] != text:
        raise FileError(
            f"{name!r} is damaged: the field {field!r} holds [{start}, {end}], where its text does not stand."
        )
    return start, end
