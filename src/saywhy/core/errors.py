"""What can go wrong, in one small tree.

SaywhyError
├── InputError    (ValueError)    what was given cannot be explained: blank, not a string, too long, ...
├── OptionError   (ValueError)    an unknown method, label, option or setting
├── MethodError   (ValueError)    this method cannot answer this question (no gradients, too many features)
├── ModelError    (RuntimeError)  the model cannot be used, or answered something unusable
├── MissingError  (ImportError)   an optional package is not installed
└── FileError     (OSError)       a file is missing, damaged or of a newer format
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SaywhyError(Exception):
    """Anything saywhy refuses or fails to do."""


class InputError(SaywhyError, ValueError):
    """What was given cannot be explained."""


class OptionError(SaywhyError, ValueError):
    """An unknown method, label, option or setting."""


class MethodError(SaywhyError, ValueError):
    """The method cannot answer this question."""


class ModelError(SaywhyError, RuntimeError):
    """The model cannot be used, or answered something unusable."""


class MissingError(SaywhyError, ImportError):
    """An optional package is not installed."""


class FileError(SaywhyError, OSError):
    """A file is missing, damaged or of a newer format."""


def unknown(what: str, given: object, allowed: Iterable[object], near: float = 0.5) -> OptionError:
    """The error for a name that is not among the allowed ones: what was given, what is allowed, the nearest match.

    `near` is how alike a match must be, from 0 to 1.
    """
    names = [str(name) for name in allowed]
    lowered = {name.lower(): name for name in reversed(names)}
    match = difflib.get_close_matches(str(given).lower(), lowered, n=1, cutoff=near)
    shown = ", ".join(repr(name) for name in names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
    hint = f" Did you mean {lowered[match[0]]!r}?" if match else ""
    return OptionError(f"Unknown {what} {given!r}.{hint} Allowed: {shown or 'none'}.")


def missing(package: str, purpose: str, extra: str) -> MissingError:
    """The error for an optional package that is not installed, with the command that installs it."""
    return MissingError(
        f"{purpose} needs the package {package!r}, which is not installed: pip install 'saywhy[{extra}]'"
    )
