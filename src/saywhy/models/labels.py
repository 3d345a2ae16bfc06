"""The names of a model's outputs, in whatever form they are given, and held against what the model itself calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.checks import plain, several
from ..core.errors import OptionError


def label_names(labels: object) -> tuple[str, ...]:
    """One name an output: of a list, a tuple, an array, a pandas Index or Series, or a mapping of index to name or back.

    Raises OptionError for another type, no names, two alike, and a mapping that does not number the outputs from 0.
    """
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
    """The names of {0: "neg", 1: "pos"} or of {"neg": 0, "pos": 1}, in the order of their numbers."""
    pairs = [(plain(key), plain(value)) for key, value in labels.items()]
    for order in (pairs, [(value, key) for key, value in pairs]):
        if sorted(map(str, range(len(order)))) == sorted(str(number) for number, _ in order):
            return [name for _, name in sorted(order, key=lambda pair: int(pair[0]))]
    raise OptionError(
        f"A mapping of labels numbers the outputs from 0, as {{0: 'neg', 1: 'pos'}} does; not {dict(labels)!r:.100}."
    )


def same_order(given: Sequence[str], own: Sequence[Any] | None, whose: str) -> None:
    """Refuses names that are those of the model's own outputs, but in another order. Raises OptionError."""
    if own is None:
        return
    names = [str(plain(each)) for each in own]
    if list(given) != names and sorted(given) == sorted(names):
        raise OptionError(
            f"`labels` are in another order than the outputs of {whose}: {list(given)!r:.100} were given, and its outputs are "
            f"{names!r:.100}. Leave `labels` out, or give them in that order."
        )
