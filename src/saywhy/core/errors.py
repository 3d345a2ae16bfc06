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
    """Anything saywhy refuses or fails to do. Its message is one line, and holds no character that a terminal would obey."""

    def __str__(self) -> str:
        # what was given is quoted in messages, and the `repr` of an array or of a caller's own class may hold anything
        return "".join(c if c.isprintable() else _spelt(c) for c in " ".join(super().__str__().split()))


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
    return OptionError(f"Unknown {what} {given!r:.200}.{hint} Allowed: {shown or 'none'}.")


# extra -> what it installs, as in pyproject.toml. Named one by one, because `pip install 'saywhy[…]'` finds nothing
# where saywhy itself came from a checkout or a wheel and not from an index.
EXTRAS = {
    "corpus": ("pyarrow>=16",),
    "estimator": ("onnxruntime>=1.18", "skops>=0.11"),
    "gguf": ("xllamacpp>=2026.1",),
    "image": ("pillow>=10",),
    "peft": ("peft>=0.14",),
    "plot": ("matplotlib>=3.8",),
    "ray": ("ray[data]>=2.40", "pyarrow>=16"),
    "serve": ("matplotlib>=3.8", "starlette>=0.46", "uvicorn>=0.34"),
    "shap": ("shap>=0.48",),
    "table": ("pandas>=2.2", "pyarrow>=16"),
    "train": ("lightning>=2.4",),
    "widget": ("anywidget>=0.9",),
}


def missing(package: str, purpose: str, extra: str) -> MissingError:
    """The error for an optional package that is not installed, with a command that installs it wherever saywhy came from."""
    names = " ".join(f"'{name}'" for name in EXTRAS[extra])
    return MissingError(
        f"{purpose} needs the package {package!r}, which is not installed: pip install {names} (what the extra {extra!r} holds)"
    )


def _spelt(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
