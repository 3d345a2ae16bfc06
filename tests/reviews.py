"""Short reviews, alone and among columns, that estimators are fitted to in several tests."""

from __future__ import annotations

TEXTS = [
    "good film",
    "bad film",
    "a great good story",
    "a bad dull story",
    "great",
    "dull plot",
    "a fine plot",
    "no no",
]
COLUMNS = {
    "review": TEXTS * 4,
    "age": [20.0 + (7 * i) % 31 for i in range(32)],
    "city": ["Rome", "Oslo", "Rome", "Lima"] * 8,
}
