"""What stands in a slot whose value is absent: one text, or the mean over several."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.errors import InputError, unknown
from ..core.features import unicode_text


class Draws(NamedTuple):
    """The combinations of baselines whose mean counts, each slot -> text or number, and what to say of them."""

    rows: list[dict[str, Any]]
    note: str = ""
    random: bool = False  # are there others, that were not drawn?


def draws(given: object, slots: Sequence[str], most: int, samples: int, seed: int) -> Draws:
    """All combinations of the baselines where there are at most `most`, else `samples` of them.

    Those drawn hold every baseline of a slot as often as any other. A function that gives a baseline for every slot is
    called `samples` times. Raises InputError for lists inside lists, and for slots that are missing or unknown.
    """
    if given is None:
        return Draws([dict.fromkeys(slots, "")])
    if callable(given) and not hasattr(given, "options"):
        return _called(given, slots, samples)
    columns = options(given, slots)
    count = math.prod(len(column) for column in columns.values())
    if count <= most:
        chosen: Any = list(itertools.product(*columns.values()))
        note = f"means over all {count} combinations of baselines" if count > 1 else ""
    else:
        chosen = list(zip(*(_even(column, samples, f"{seed} {key}") for key, column in columns.items()), strict=True))
        note = f"means over {samples} of {count:,} combinations of baselines, drawn with seed {seed}"
    return Draws([_joined(columns, row) for row in chosen], note, count > most)


def options(given: object, slots: Sequence[str]) -> dict[tuple[str, ...], list[tuple[Any, ...]]]:
    """(slots that move together) -> their baselines, one text or number for each of the slots."""
    given = getattr(given, "options", given)
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
        raise InputError(f"`baselines` is a mapping from slots to baselines, or a list; not {given!r:.80}")
    if not isinstance(given, Mapping):
        if len(given) != len(slots):
            raise InputError(f"{len(given)} baselines were given for {len(slots)} slots: {list(given)!r:.80}")
        given = dict(zip(slots, given, strict=True))
    out: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for key, told in given.items():
        together = tuple(str(slot) for slot in key) if isinstance(key, tuple) else (str(key),)
        for slot in together:
            if slot not in slots:
                raise unknown("slot in `baselines`", slot, slots)
            if any(slot in other for other in out):
                raise InputError(f"The slot {slot!r} has baselines twice.")
        several = told if isinstance(told, list | tuple) else [told]
        if not several:
            raise InputError(f"The baselines of {key!r} are an empty list: give at least one text.")
        out[together] = [_option(key, together, one, given) for one in several]
    for slot in slots:
        if not any(slot in together for together in out):
            raise InputError(
                f"The slot {slot!r} has no baseline; give one, or baselines=None for the empty text everywhere."
            )
    return out


def _option(key: object, together: tuple[str, ...], one: object, given: Mapping[Any, Any]) -> tuple[Any, ...]:
    """One baseline of a key: a text, or for several slots together a tuple of as many."""
    parts = tuple(one) if isinstance(key, tuple) and isinstance(one, tuple | list) else (one,)
    nested = [part for part in parts if isinstance(part, list | tuple | Mapping | set) or part is None]
    if nested:
        shared = len({id(told) for told in given.values()}) < len(given)
        hint = " All slots share one list, as dict.fromkeys(slots, []) makes it: give each its own." if shared else ""
        raise InputError(
            f"A baseline of {key!r} is {nested[0]!r:.60}, not a text. Write {{{key!r}: ['one', 'other']}}, with no list inside "
            f"the list.{hint}"
        )
    if len(parts) != len(together):
        raise InputError(f"A baseline of {key!r} has {len(parts)} values for {len(together)} slots: {one!r:.80}")
    for part in parts:
        unicode_text(str(part), f"A baseline of {key!r:.60}")
    return parts


def _even(column: list[tuple[Any, ...]], samples: int, seed: str) -> list[tuple[Any, ...]]:
    """`samples` of the options in a random order, each as often as any other."""
    shuffler = random.Random(seed)
    out: list[tuple[Any, ...]] = []
    while len(out) < samples:
        out += shuffler.sample(column, len(column))
    return out[:samples]


def _joined(columns: Mapping[tuple[str, ...], Any], row: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    return {
        slot: text for together, one in zip(columns, row, strict=True) for slot, text in zip(together, one, strict=True)
    }


def _called(function: Callable[[], Any], slots: Sequence[str], samples: int) -> Draws:
    rows = []
    for _ in range(samples):
        columns = options(function(), slots)
        rows.append(_joined(columns, [column[0] for column in columns.values()]))
    distinct = {tuple(row.items()) for row in rows}
    if len(distinct) == 1:
        return Draws(rows[:1])
    return Draws(rows, f"means over {samples} baselines, as the function given drew them", True)
