"""Answers on disk: an interrupted run goes on where it was, and asks nothing twice."""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...core.errors import FileError

_TABLE = "CREATE TABLE IF NOT EXISTS answers (name TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID"
FORMAT = 1


class AnswerCache:
    """A SQLite file from the name of a request to what was read off its answer: numbers, no texts and no keys.

    Every answer is written when it comes, so what was asked before a process was killed is there. Several processes may share
    one file. Raises FileError for a path that cannot be such a file.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self._lock = threading.Lock()
        self._opened()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _opened(self) -> None:
        try:
            self._file = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
            weakref.finalize(self, self._file.close)
            [version] = self._file.execute("PRAGMA user_version").fetchone()
            if version == 0 and self._file.execute("SELECT name FROM sqlite_master").fetchone() is not None:
                raise FileError(f"{str(self.path)!r} is the database of another program: give another file.")
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")  # outlives a killed process, if not a power cut
            if version not in (0, FORMAT):
                raise FileError(f"{str(self.path)!r} is a cache of format {version}; this version reads {FORMAT}.")
            self._file.execute(_TABLE)
            self._file.execute("SELECT name, answer FROM answers LIMIT 0")
            self._file.execute(f"PRAGMA user_version={FORMAT}")
        except sqlite3.Error as error:
            raise FileError(f"{str(self.path)!r} cannot be a cache of answers: {error}.") from None

    def found(self, names: Iterable[str]) -> dict[str, Any]:
        """name -> answer, of those that are there."""
        wanted, out = list(names), {}
        with self._lock:
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = self._file.execute(f"SELECT name, answer FROM answers WHERE name IN ({marks})", some)
                out.update({name: json.loads(answer) for name, answer in rows})
        return out

    def put(self, name: str, answer: object) -> None:
        """Keep an answer, which is numbers, lists and mappings."""
        with self._lock:
            self._file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (name, json.dumps(answer)))

    def close(self) -> None:
        """Close the file; answers are written already."""
        with self._lock:
            self._file.close()
