"""The texts seen last, and where their results lie: so that an identical text is not computed again, in bounded memory."""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .schema import arrow, path_of

_OWN = ("given", "same_as")  # what a record says of its row, not of its text


class Known:
    """The `most` texts used last. After the same rows it holds the same, whether they were computed or read back."""

    def __init__(self, folder: Path, shard_rows: int, most: int):
        self.folder, self.shard_rows, self.most = folder, shard_rows, most
        self.found: OrderedDict[bytes, tuple[int, bytes | None]] = OrderedDict()  # key -> a row of it, its record

    def passed(self, keys: Sequence[bytes], start: int, records: Sequence[Mapping[str, Any]] | None = None) -> None:
        """These rows are done: here with their records, or earlier, and then only where they lie is kept."""
        for i, key in enumerate(keys):
            if key in self.found:
                self.found.move_to_end(key)
                continue
            own = None if records is None else _packed(records[i])
            self.found[key] = (start + i, own)
        while len(self.found) > self.most:
            self.found.popitem(last=False)

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
        """The records of those texts that are known; their `row` is the one that was computed."""
        out: dict[bytes, dict[str, Any]] = {}
        away: dict[int, list[bytes]] = {}
        for key in dict.fromkeys(keys):
            if key in self.found:
                row, own = self.found[key]
                if own is None:
                    away.setdefault(row // self.shard_rows, []).append(key)
                else:
                    out[key] = json.loads(zlib.decompress(own))
        for shard, wanted in sorted(away.items()):
            table = arrow().parquet.read_table(path_of(self.folder, shard))
            for key in wanted:
                row = self.found[key][0]
                record = table.slice(row % self.shard_rows, 1).to_pylist()[0]
                own = _packed(record)
                self.found[key] = (row, own)
                out[key] = json.loads(zlib.decompress(own))
        return out


def _packed(record: Mapping[str, Any]) -> bytes:
    row = record["row"] if record.get("same_as") is None else record["same_as"]
    plain = {name: value for name, value in record.items() if name not in _OWN} | {"row": row}
    return zlib.compress(json.dumps(plain).encode(), 1)
