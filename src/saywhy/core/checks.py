"""Values of public options, checked: what was given, what is allowed. numpy and torch scalars are ordinary values."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from .errors import OptionError, unknown


def plain(value: Any) -> Any:
    """The value as Python's own: scalars of numpy and torch as numbers, arrays as lists; all else as it is."""
    if type(value).__module__.split(".")[0] not in ("numpy", "torch", "jax", "tensorflow", "pandas"):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value.tolist() if hasattr(value, "tolist") else value


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """An int, of any integral type. Raises OptionError for another type, bool included, and for less than `least`."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise OptionError(f"`{name}` is a whole number, not {value!r:.60}.")
    if least is not None and number < least:
        raise OptionError(f"`{name}` is at least {least}, not {value!r:.60}.")
    return int(number)


def real_number(name: str, value: Any, least: float | None = None, most: float | None = None) -> float:
    """A float, of any real type. Raises OptionError for another type, bool included, and outside of [least, most]."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, Real):
        raise OptionError(f"`{name}` is a number, not {value!r:.60}.")
    known = float(number)
    if not (least is None or known >= least) or not (most is None or known <= most):
        bounds = (
            f"at least {least}" if most is None else f"at most {most}" if least is None else f"from {least} to {most}"
        )
        raise OptionError(f"`{name}` is {bounds}, not {value!r:.60}.")
    return known


def one_of(what: str, value: Any, allowed: Iterable[str]) -> str:
    """One of these words. Raises OptionError with the nearest of them."""
    names = tuple(allowed)
    if not isinstance(value, str) or value not in names:
        raise unknown(what, value, names)
    return value


def text_or_none(name: str, value: Any, example: str) -> str | None:
    """A string, or None. Raises OptionError."""
    if value is not None and not isinstance(value, str):
        raise OptionError(f"`{name}` is a word, for example {example!r}, not {value!r:.60}.")
    return None if value is None else str(value)


def yes_or_no(name: str, value: Any) -> bool:
    """True or False, of any kind of bool. Raises OptionError."""
    known = plain(value)
    if not isinstance(known, bool):
        raise OptionError(f"`{name}` is True or False, not {value!r:.60}.")
    return known
