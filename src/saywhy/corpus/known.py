"""The texts seen last, and in which rows they lie: so that an identical text is not computed again, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .schema import arrow, path_of


class Known:
    """The `most` texts used last. After the same rows it holds the same, whether they were computed or were there already."""

    def __init__(self, folder: Path, shard_rows: int, most: int):
        self.folder, self.shard_rows, self.most = folder, shard_rows, most
        self.found: OrderedDict[bytes, int] = OrderedDict()  # key -> the row that was computed

    def passed(self, keys: Sequence[bytes], start: int) -> None:
        """The rows of these keys are written, the first of them as row `start`."""
        for i, key in enumerate(keys):
            self.found.setdefault(key, start + i)
            self.found.move_to_end(key)
        while len(self.found) > self.most:
            self.found.popitem(last=False)

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
        """The records of those texts that are known, read back from their shards; their `row` is the one that was computed."""
        away: dict[int, list[bytes]] = {}
        for key in dict.fromkeys(keys):
            if key in self.found:
                away.setdefault(self.found[key] // self.shard_rows, []).append(key)
        out: dict[bytes, dict[str, Any]] = {}
        for shard, wanted in sorted(away.items()):
            table = arrow().parquet.read_table(path_of(self.folder, shard))
            out |= {key: table.slice(self.found[key] % self.shard_rows, 1).to_pylist()[0] for key in wanted}
        return out
