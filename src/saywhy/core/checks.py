"""Values of public options, checked: what was given, what is allowed. numpy and torch scalars are ordinary values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

from .errors import OptionError, unknown

T = TypeVar("T")


def plain(value: object) -> Any:
    """The value as Python's own: scalars of numpy and torch as numbers, arrays as lists; all else as it is."""
    if type(value).__module__.split(".")[0] not in ("numpy", "torch", "jax", "tensorflow", "pandas"):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value.tolist() if hasattr(value, "tolist") else value


MOST = 2**63 - 1  # of a whole number: what the random generators and the tables can hold


def whole_number(name: str, value: object, least: int | None = None, most: int = MOST) -> int:
    """An int, of any integral type. Raises OptionError for another type, bool included, and outside of [least, most]."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise OptionError(f"`{name}` is a whole number, not {value!r:.60}.")
    known = int(number)
    if least is not None and known < least:
        raise OptionError(f"`{name}` is at least {least}, not {value!r:.60}.")
    if abs(known) > most:
        raise OptionError(f"`{name}` is at most {most:,}, not {value!r:.60}.")
    return known


def real_number(name: str, value: object, least: float | None = None, most: float | None = None) -> float:
    """A float, of any real type. Raises OptionError for another type, bool included, and outside of [least, most]."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, Real):
        raise OptionError(f"`{name}` is a number, not {value!r:.60}.")
    try:
        known = float(number)
    except OverflowError:  # a whole number of hundreds of digits
        known = math.inf
    if not (least is None or known >= least) or not (most is None or known <= most):
        bounds = (
            f"at least {least}" if most is None else f"at most {most}" if least is None else f"from {least} to {most}"
        )
        raise OptionError(f"`{name}` is {bounds}, not {value!r:.60}.")
    return known


def one_of(what: str, value: object, allowed: Iterable[str]) -> str:
    """One of these words. Raises OptionError with the nearest of them."""
    names = tuple(allowed)
    if not isinstance(value, str) or value not in names:
        raise unknown(what, value, names)
    return value


def text_or_none(name: str, value: object, example: str) -> str | None:
    """A string, or None. Raises OptionError."""
    if value is not None and not isinstance(value, str):
        raise OptionError(f"`{name}` is a word, for example {example!r}, not {value!r:.60}.")
    return None if value is None else str(value)


def yes_or_no(name: str, value: object) -> bool:
    """True or False, of any kind of bool. Raises OptionError."""
    known = plain(value)
    if not isinstance(known, bool):
        raise OptionError(f"`{name}` is True or False, not {value!r:.60}.")
    return known


def several(name: str, value: object, of: str) -> list[Any]:
    """The items of any iterable but a text and a mapping. `of` says what the items are. Raises OptionError."""
    known = plain(value)
    if isinstance(known, str | bytes | Mapping) or not isinstance(known, Iterable):
        raise OptionError(f"`{name}` is a list of {of}, not {value!r:.60}.")
    return list(known)


def mapping(name: str, value: object, of: str) -> Mapping[Any, Any]:
    """A mapping. `of` says from what to what. Raises OptionError."""
    if not isinstance(value, Mapping):
        raise OptionError(f"`{name}` is a mapping of {of}, not {value!r:.60}.")
    return value


def instance(name: str, value: object, kind: type[T]) -> T:
    """An object of this class. Raises OptionError."""
    if not isinstance(value, kind):
        raise OptionError(f"`{name}` is a {kind.__name__}, not {value!r:.60}.")
    return value
