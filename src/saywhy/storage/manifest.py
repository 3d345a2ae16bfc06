"""JSON files of a known format: read whole, with a refusal in words for what is missing, damaged, newer or somebody else's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ..core.errors import FileError

Kind: TypeAlias = "type | tuple[type, ...]"  # what a field may hold; an int is a float too, a bool is no number


def parsed(text: str) -> Any:
    """JSON as data.

    Raises ValueError for all that is none, also for a name twice in one object, what nests too deep, and endless digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_named_once)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg}, line {error.lineno}, column {error.colno}") from None


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known = dict(pairs)
    if len(known) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {twice!r:.60} stands twice in one object")
    return known


def read_text(path: Path) -> str:
    """A whole file in UTF-8, without a byte order mark. Raises FileError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileError(f"There is no file {str(path)!r}.") from None
    except UnicodeDecodeError as error:
        raise FileError(
            f"{str(path)!r} is damaged: it is not UTF-8 text ({error.reason} at byte {error.start})."
        ) from None
    except OSError as error:
        raise FileError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from None


def read_json(path: Path, format: str, version: int, fields: Mapping[str, Kind]) -> dict[str, Any]:
    """The object in a JSON file of this format, up to this version, which has these fields of these types."""
    text = read_text(path)
    try:
        data = parsed(text)
    except ValueError as error:
        raise FileError(f"{str(path)!r} is damaged or only half written: {error}.") from None
    return checked(data, str(path), format, version, fields)


_READERS = {
    "saywhy.explanations": "saywhy.load(file)",
    "saywhy.citations": "saywhy.Citations.load(file)",
    "saywhy.corpus": "saywhy.corpus.load(folder)",
    "saywhy.classifier": "saywhy.classifier.TextClassifier.load(folder)",
}


def checked(data: object, name: str, format: str, version: int, fields: Mapping[str, Kind]) -> dict[str, Any]:
    """The data, if it is of this format, up to this version, and has these fields of these types. Raises FileError."""
    if not isinstance(data, dict) or data.get("format") != format:
        theirs = str(data.get("format")) if isinstance(data, dict) else ""
        if theirs in _READERS:
            raise FileError(
                f"{name!r} is a file of {theirs}, and {format} is wanted here. {_READERS[theirs]} reads it."
            )
        raise FileError(f'{name!r} was not written by saywhy: it lacks "format": "{format}".')
    found = data.get("version")
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= version:
        raise FileError(
            f"{name!r} has format version {found!r:.40}; this saywhy reads up to {version}. Update it: pip install -U saywhy"
        )
    return object_of(data, fields, name, "")


_WORDS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
}


def of_type(value: object, kind: Kind, name: str, field: str) -> Any:
    """The value of a file's field, if it is of this type; an int is a float too, a bool is no number. Raises FileError."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    whole = value if isinstance(value, int) and float in kinds else None
    if (isinstance(value, bool) and bool not in kinds) or not (isinstance(value, kinds) or whole is not None):
        wanted = " or ".join("null" if each is type(None) else _WORDS.get(each, each.__name__) for each in kinds)
        raise FileError(f"{name!r} is damaged: the field {field!r} holds {value!r:.60}, where {wanted} belongs.")
    if whole is not None and abs(whole) > 10**300:  # JSON has whole numbers of any length, and no float holds these
        raise FileError(f"{name!r} is damaged: the field {field!r} holds a number of more than 300 digits.")
    return value


def list_of(value: object, kind: Kind, name: str, field: str, length: int | None = None) -> list[Any]:
    """The list in a file's field, of values of this type, and of this length where one is given. Raises FileError."""
    known: list[Any] = of_type(value, list, name, field)
    if length is not None and len(known) != length:
        raise FileError(f"{name!r} is damaged: the field {field!r} has {len(known)} entries, where {length} belong.")
    for i, each in enumerate(known):
        of_type(each, kind, name, f"{field}[{i}]")
    return known


def object_of(
    data: object, kinds: Mapping[str, Kind], name: str, at: str, others: Iterable[str] | None = None
) -> dict[str, Any]:
    """The object in a file's field `at`, which has these fields of these types; where `others` is given, no more but those."""
    known: dict[str, Any] = of_type(data, dict, name, at or "the file")
    for field, kind in kinds.items():
        path = f"{at}.{field}" if at else field
        if field not in known:
            raise FileError(f"{name!r} is damaged: it lacks the field {path!r}.")
        of_type(known[field], kind, name, path)
    if others is not None and (surplus := sorted(map(str, set(known) - set(kinds) - set(others)))):
        raise FileError(f"{name!r} is damaged: {at or 'the file'} has an unknown field {surplus[0]!r:.60}.")
    return known
