"""Files that appear whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with half.open("xb") as file:
            file.write(data)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
