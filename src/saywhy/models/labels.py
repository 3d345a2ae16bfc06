"""The names of a model's outputs, in whatever form they are given, and held against what the model itself calls them."""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Mapping, Sequence, Set
from typing import Any

from ..core.checks import plain, several
from ..core.errors import OptionError


def label_names(labels: object) -> tuple[str, ...]:
    """One name an output: of a list, a tuple, an array, a pandas Index, or a mapping of index to name or back.

    A pandas Series whose index numbers the outputs, or that numbers what its index names, is read as such a mapping. Raises
    OptionError for another type, a set (it has no order), no names, two alike, and a mapping that does not number from 0.
    """
    if isinstance(labels, Set) and not isinstance(labels, KeysView):
        raise OptionError(
            f"`labels` is a list of names in the order of the outputs; a set has no order: {labels!r:.60}."
        )
    if hasattr(labels, "iloc") and hasattr(labels, "to_dict") and not hasattr(labels, "columns"):
        numbered = _by_number(labels.to_dict())
        labels = labels.tolist() if numbered is None else numbered  # type: ignore[attr-defined]
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise OptionError(f"`labels` is a list of names, one an output, not {labels!r:.60}.")
    names = _numbered(labels) if isinstance(labels, Mapping) else [plain(e) for e in several("labels", labels, "names")]
    if not names:
        raise OptionError("`labels` is empty: name each output, for example labels=['neg', 'pos'].")
    if any(isinstance(each, list | tuple | dict | set) or each is None for each in names):
        raise OptionError(f"`labels` is a list of names, one an output, not {labels!r:.60}.")
    known = tuple(str(each) for each in names)
    if len(set(known)) < len(known):
        raise OptionError(f"The labels must differ from each other: {list(known)!r:.200}.")
    return known


def _numbered(labels: Mapping[Any, Any]) -> list[Any]:
    """The names of {0: "neg", 1: "pos"} or of {"neg": 0, "pos": 1}, in the order of their numbers. Raises OptionError."""
    names = _by_number(labels)
    if names is None:
        raise OptionError(
            f"A mapping of labels numbers the outputs from 0, as {{0: 'neg', 1: 'pos'}} does; not {dict(labels)!r:.100}."
        )
    return names


def _by_number(labels: Mapping[Any, Any]) -> list[Any] | None:
    pairs = [(plain(key), plain(value)) for key, value in labels.items()]
    for order in (pairs, [(value, key) for key, value in pairs]):
        if sorted(map(str, range(len(order)))) == sorted(str(number) for number, _ in order):
            return [name for _, name in sorted(order, key=lambda pair: int(pair[0]))]
    return None


def same_order(given: Sequence[str], own: Sequence[Any] | None, whose: str) -> None:
    """Refuses a name that the model itself has for another output, whatever its case and blanks. Raises OptionError."""
    if own is None:
        return
    names = [str(plain(each)) for each in own]
    places = {_same(name): place for place, name in enumerate(names)}
    moved = [name for place, name in enumerate(given) if places.get(_same(name), place) != place]
    if names == [str(place) for place in range(len(names))] and sorted(given) != sorted(names):
        return  # only numbered: classes that were encoded may well have numbers for names
    if moved and len(places) == len(names):
        raise OptionError(
            f"`labels` name {moved[0]!r:.60} at another place than {whose} has it: {list(given)!r:.100} were given, and the "
            f"outputs are {names!r:.100}. Leave `labels` out, or give a name for each output in that order."
        )


def _same(name: str) -> str:
    return " ".join(name.split()).casefold()
