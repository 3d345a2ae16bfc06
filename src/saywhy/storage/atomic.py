"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ..core.errors import FileError


def write(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all. Raises FileError.

    A link stays: what it points to is written. What is no regular file (a device, a pipe) is written to as it is.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as stream:
                stream.write(data)
        else:
            _replaced(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}.") from error


def _replaced(path: Path, data: bytes) -> None:
    # a name of its own, however long the file's is: with letters added to it, it may be too long
    half = path.with_name(f".{secrets.token_hex(8)}.half")
    try:
        with half.open("xb") as file:
            file.write(data)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
