"""The file that lets an interrupted comparison go on: what was asked, then one text a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, Any

from ..core.errors import FileError, OptionError
from ..storage.manifest import checked, parsed, read_text
from .files import FORMAT, VERSION
from .run import Found


class Parts:
    """The texts that are done, one line of JSON each after a line that says what was asked."""

    def __init__(self, path: Path, asked: Mapping[str, Any]):
        self.path, self.asked = path, json.loads(json.dumps(asked, default=str))
        self.done: list[Found] = self._read() if os.path.exists(path) else []

    def _read(self) -> list[Found]:
        lines = read_text(self.path).split("\n")
        try:
            head = parsed(lines[0])
        except ValueError:
            head = None
        if not isinstance(head, dict) or head.get("format") != f"{FORMAT}.part":
            raise FileError(f"{self.path} is not an unfinished comparison; give another file to resume from.")
        theirs = checked(head, str(self.path), f"{FORMAT}.part", VERSION, {"asked": dict})["asked"]
        if theirs != self.asked:
            other = sorted(k for k in {*theirs, *self.asked} if theirs.get(k) != self.asked.get(k))
            raise OptionError(
                f"{self.path} belongs to a comparison with other {', '.join(other)}: ask the same again, or give another file."
            )
        return [self._found(line, i) for i, line in enumerate(lines[1:-1], 2)]  # a line that was cut off has no end

    def _found(self, line: str, number: int) -> Found:
        try:
            data = parsed(line)
            if not isinstance(data, dict) or set(data) != {each.name for each in fields(Found)}:
                raise ValueError("it is not a text's numbers")
            return Found(**data)
        except (ValueError, TypeError) as error:
            raise FileError(
                f"{self.path}, line {number} is damaged: {error}. Remove the line, or give another file."
            ) from None

    @contextmanager
    def open(self) -> Iterator[IO[str]]:
        """The file, ready for the next text: what was cut off is gone."""
        head = json.dumps({"format": f"{FORMAT}.part", "version": VERSION, "asked": self.asked})
        text = "".join(line + "\n" for line in [head, *(json.dumps(asdict(f)) for f in self.done)])
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.path)
        with self.path.open("a", encoding="utf-8") as file:
            yield file


def add(file: IO[str], found: Found) -> None:
    """One more text, written before the next begins."""
    file.write(json.dumps(asdict(found)) + "\n")
    file.flush()
