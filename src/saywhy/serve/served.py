"""The models that the server may explain: those named at start, each with a name that may be shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import OptionError

if TYPE_CHECKING:
    from ..explain.explainer import Explainer

PACKAGE = "sentiment"  # what the model in the package is called here
_PATH = re.compile(r"(?<![\w.:/])(?:/[\w.@+~-]+){2,}/?|\b[A-Za-z]:\\[^\s'\"]+")
_TASK = re.compile(r"([a-z]+(?:-[a-z]+)+)=(.+)", re.S)


@dataclass(frozen=True)
class Served:
    """One model as it was named at start: with `make` it is loaded, and `name` is all that an answer says of where it is."""

    name: str
    source: str | None  # an id, a folder or an address; None is the model in the package
    task: str | None
    make: Callable[[], Explainer]

    def code(self) -> str:
        """The line of Python that makes this explainer."""
        given = [] if self.source is None else [repr(_name(self.source) if Path(self.source).exists() else self.source)]
        given += [] if self.task is None else [f"task={self.task!r}"]
        return f"explainer = saywhy.Explainer({', '.join(given)})"


def served(wanted: Sequence[str], trust_remote_code: bool = False) -> tuple[Served, ...]:
    """The models named on the command line, as "folder" or "task=folder"; without any, the model in the package.

    Raises OptionError for an unknown task, and for a model that is named twice.
    """
    if not wanted:
        return (_one(None, None, PACKAGE, trust_remote_code),)
    out: dict[str, Served] = {}
    for each in wanted:
        found = _TASK.fullmatch(each)
        task, source = (found[1], found[2]) if found else (None, each)
        if any(other.source == source and other.task == task for other in out.values()):
            raise OptionError(f"The model {each!r} is named twice.")
        name = _name(source) if task is None else f"{_name(source)} ({task})"
        free, count = name, 2
        while free in out:
            free, count = f"{name} {count}", count + 1
        out[free] = _one(source, task, free, trust_remote_code)
    return tuple(out.values())


def _name(source: str) -> str:
    """A hub id as it is; of a folder or a file its last part; of an address its host."""
    if source.lower().startswith(("http://", "https://")):
        return re.sub(r"^https?://(?:[^@/]*@)?([^/?#]+).*$", r"\1", source)
    return Path(source).resolve().name if Path(source).exists() else source


def _one(source: str | None, task: str | None, name: str, trust_remote_code: bool) -> Served:
    def make() -> Explainer:
        from ..explain.explainer import Explainer

        return Explainer(source, task=task, trust_remote_code=trust_remote_code)

    return Served(name, source, task, make)


def of_explainer(explainer: Explainer, name: str = "explainer") -> Served:
    """An explainer that is there already, by this name."""
    return Served(name, None, None, lambda: explainer)


def without_paths(message: str, known: Mapping[str, str]) -> str:
    """A message without the places of files: of a model its name, of anything else that looks like a path an ellipsis."""
    for source in sorted(known, key=len, reverse=True):
        message = message.replace(source, known[source])
    return _PATH.sub("…", message)


def places(models: Sequence[Served]) -> dict[str, str]:
    """What of each model's source may stand in messages and names -> what is said instead."""
    out = {}
    for each in models:
        if each.source is not None and Path(each.source).exists():
            out[each.source] = each.name
            out[str(Path(each.source).resolve())] = each.name
        elif each.source is not None and each.source != each.name:
            out[each.source] = each.name
    return out
