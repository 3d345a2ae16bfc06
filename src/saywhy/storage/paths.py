"""Where something is to be written, checked before the work: the ending is known, the folder is there, it is no folder itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path

from ..core.errors import FileError, OptionError

_LONGEST = 255  # bytes of one name, on the file systems in use


def as_path(path: object, name: str = "path") -> Path:
    """A path, of a string or of anything that is one. Raises OptionError for another type."""
    if not isinstance(path, str | PathLike) or isinstance(fspath(path), bytes):
        raise OptionError(f"`{name}` is the path of a file, as a string or a Path, not {path!r:.60}.")
    try:
        parts = [os.fsencode(part) for part in Path(path).parts]
    except UnicodeEncodeError:
        raise OptionError(f"`{name}` holds half a character, which no path may: {str(path)!r:.60}.") from None
    if not str(path) or any(b"\0" in part or len(part) > _LONGEST for part in parts):
        raise OptionError(
            f"`{name}` is empty, or holds a null character or a name of more than {_LONGEST} bytes, which no path may: "
            f"{str(path)!r:.60}."
        )
    return Path(path)


def output_file(path: object, endings: Iterable[str]) -> Path:
    """The path of a file that can be written, with one of these endings (".html", ".csv", …).

    Raises FileError for another ending, a folder that does not exist, and a path that is a folder.
    """
    known = as_path(path)
    allowed = tuple(endings)
    if known.suffix.lower() not in allowed:
        shown = f"not in {known.suffix!r}" if known.suffix else "and this name has no ending"
        raise FileError(f"{known}: the file's name must end in {', '.join(allowed)}, {shown}.")
    if known.is_dir():
        raise FileError(f"{known} is a folder: give the name of a file.")
    if not known.parent.is_dir():
        raise FileError(f"{known}: the folder {known.parent} does not exist; create it first.")
    target = Path(os.path.realpath(known))
    if target.exists() and not target.is_file():
        return known  # a device or a pipe
    if not os.access(target.parent, os.W_OK):
        raise FileError(f"{known}: nothing can be written into the folder {target.parent}.")
    return known
