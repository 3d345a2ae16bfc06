"""The documents that an answer may rest on: as they are given, read from files, and cut into sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from ...core.display import one_line
from ...core.errors import FileError, InputError, OptionError
from ...core.features import Span, unicode_text
from ...core.frames import missing_value
from ...core.sentences import sentences
from ...storage.manifest import read_text
from ...storage.tables import rows

Splitter: TypeAlias = "Callable[[str], Iterable[Any]]"
_PLAIN = (".txt", ".md", ".rst", "")  # files that are one document each
_FIELDS = ("id", "title", "text")


@dataclass(frozen=True)
class Document:
    """One text that an answer may rest on."""

    id: str
    text: str
    title: str = ""


def documents_of(given: object) -> tuple[Document, ...]:
    """The documents of a list of texts or of mappings with "id", "title" and "text". Raises InputError, which names the place."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(
            f'`documents` is a list of texts or of {{"id": …, "title": …, "text": …}}, not {type(given).__name__}: {given!r:.60}'
        )
    found = [_document(each, i) for i, each in enumerate(given)]
    if not found:
        raise InputError("`documents` is empty: give at least one text.")
    taken: set[str] = set()
    for document in found:
        if document.id in taken:
            raise InputError(f'Two documents have the "id" {document.id!r}: each needs a name of its own.')
        taken.update([document.id] if document.id else [])
    free = (number for number in map(str, count(1)) if number not in taken)
    return tuple(
        document if document.id else replace(document, id=_number(i, taken, free)) for i, document in enumerate(found)
    )


def _number(place: int, taken: set[str], free: Iterator[str]) -> str:
    """The name of a document that has none: its place from 1, or a number that no other is called by."""
    name = str(place + 1)
    if name in taken:
        name = next(free)
    taken.add(name)
    return name


def _document(given: object, place: int) -> Document:
    """A document, with no id where none was given."""
    if isinstance(given, Document):
        given = {"id": given.id, "title": given.title, "text": given.text}
    if isinstance(given, str):
        given = {"text": given}
    if not isinstance(given, Mapping) or not isinstance(given.get("text"), str):
        raise InputError(f'Document {place} is a text, or a mapping with a "text", not {given!r:.80}')
    if surplus := [str(key) for key in given if key not in _FIELDS]:
        raise InputError(f"Document {place} has the field {surplus[0]!r}; it may have {', '.join(_FIELDS)}.")
    if not given["text"].strip():
        raise InputError(f"Document {place} is blank.")
    name, title = ("" if missing_value(each) else str(each) for each in (given.get("id"), given.get("title")))
    for field, value in (("id", name), ("title", title), ("text", given["text"])):
        unicode_text(value, f"The {field} of document {place}")
    return Document(name, given["text"], title)


def read_documents(path: Path) -> tuple[Document, ...]:
    """The documents in a folder (each file is one), in a text file (it is one) or in a table with a column "text".

    Of a folder `passed_over` says which files are none. Raises FileError for what cannot be read, InputError for a table
    without that column and for a blank text.
    """
    if path.is_dir():
        texts = ((each, read_text(each)) for each in _inside(path) if each.suffix.lower() in _PLAIN)
        found = [Document(_name(each, path), text) for each, text in texts if text.strip()]
        if not found:
            raise FileError(
                f"{str(path)!r} holds no document: files that end in {', '.join(_PLAIN[:3])} and hold a text."
            )
        return documents_of(found)
    if path.suffix.lower() in _PLAIN:
        return documents_of([Document(_name(path, path.parent), read_text(path))])
    return documents_of([{key: row[key] for key in _FIELDS if key in row} for row in rows(path)])


def passed_over(path: Path, found: Iterable[Document]) -> list[str]:
    """The files of a folder that are none of its documents, being blank or of other kinds; hidden ones are not spoken of."""
    names = {document.id for document in found}
    inside = (_name(each, path) for each in _inside(path)) if path.is_dir() else ()
    return [name for name in inside if name not in names]


def _name(path: Path, folder: Path) -> str:
    """A file's name within a folder; one that is not UTF-8 with signs in the place of its bytes."""
    return str(path.relative_to(folder)).encode("utf-8", "replace").decode()


def _inside(folder: Path) -> list[Path]:
    """The files of a folder and its folders, but those that begin with a dot, or with ~$ as what an office has open."""
    found = (each for each in folder.rglob("*") if each.is_file())
    return sorted(e for e in found if not any(part.startswith((".", "~$")) for part in e.relative_to(folder).parts))


def split(text: str, splitter: Splitter | None) -> list[Span]:
    """The sentences of a text as [start, end), by saywhy's own rules or by the caller's function.

    A caller's function returns spans, or the sentences themselves in order. Raises OptionError for one that returns something
    else, and for sentences that are not in the text.
    """
    if splitter is None:
        return sentences(text)
    if not callable(splitter):
        raise OptionError(f"`splitter` is a function of a text that returns its sentences, not {splitter!r:.60}.")
    found: list[Span] = []
    at = 0
    for each in splitter(text):
        if isinstance(each, str):
            start = text.find(each.strip(), at)
            span = (start, start + len(each.strip()))
        elif isinstance(each, tuple | list) and len(each) == 2 and all(isinstance(i, int) for i in each):
            span = (int(each[0]), int(each[1]))
        else:
            raise OptionError(f"`splitter` returns sentences, or spans (start, end), not {each!r:.60}.")
        if not at <= span[0] <= span[1] <= len(text):
            raise OptionError(f"`splitter` returned {one_line(str(each))!r:.60}, which is not in the text after {at}.")
        if span[0] < span[1]:
            found.append(span)
        at = span[1]
    return found
