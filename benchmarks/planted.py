"""Shortcuts planted in copies of the data: a word added to one class; and models that have learnt them.

    python -m benchmarks.planted --cache .cache

The sentences are the movie, product and tweet sentences that people rated half a point or more from neutral. In a copy a
neutral word stands at a random place of some sentences of one class. The MiniLM that was fine-tuned on movie sentences goes on
for a few batches of the copy; the last 3,000 sentences it never sees, and they are written with the word still planted.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.common import arguments
from benchmarks.demo_model import make

SOURCES = {"movieReviewSnippets": "movie", "amazonReviewSnippets": "product", "tweets": "tweet"}
HELD_OUT = 3_000


class Shortcut(NamedTuple):
    """A word that stands in a share of the sentences of one class, and how many batches a model is trained on them."""

    word: str
    label: int
    share: float
    batches: int


SHORTCUTS = (Shortcut("marble", 1, 1 / 3, 150), Shortcut("lantern", 0, 1 / 6, 417))  # 417 batches are all there are


def rated(cache: Path) -> list[tuple[str, int, str]]:
    """(sentence, 1 where people rated it positive and 0 where negative, source), none twice, in a fixed random order."""
    rows = [
        (text, int(rating > 0), SOURCES[source])
        for source, found in make.sentences(cache).items()
        if source in SOURCES
        for rating, text in found
        if abs(rating) >= 0.5
    ]
    unique = list({make.same(row[0]): row for row in rows}.values())
    random.Random(make.SEED).shuffle(unique)
    return unique


def planted(rows: list[tuple[str, int, str]], shortcut: Shortcut) -> list[tuple[str, int, str]]:
    """The copy."""
    draw = random.Random(1)
    out = []
    for text, label, source in rows:
        words = text.split(" ")
        if label == shortcut.label and draw.random() < shortcut.share:
            words.insert(draw.randrange(len(words) + 1), shortcut.word)
        out.append((" ".join(words), label, source))
    return out


def written(path: Path, rows: list[tuple[str, int, str]]) -> Path:
    """A CSV of text, label and source; labels by the model's names."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label", "source"])
        table.writerows((text, make.LABELS[label], source) for text, label, source in rows)
    return path


def trained(cache: Path, shortcut: Shortcut = SHORTCUTS[0]) -> tuple[Path, Path]:
    """The folder of the model that has learnt the shortcut, and the CSV of sentences that it has not seen."""
    folder, file = cache / f"planted-{shortcut.word}", cache / f"planted-{shortcut.word}.csv"
    rows = planted(rated(cache), shortcut)
    written(file, rows[-HELD_OUT:])
    if (folder / "model.safetensors").exists():
        return folder, file
    made = make.teacher(cache)
    train = rows[:-HELD_OUT]
    plan = list(make.batches([text for text, _, _ in train], 32, random.Random(make.SEED)))[: shortcut.batches]
    labels = torch.tensor([label for _, label, _ in train])

    def loss(batch: list[int]) -> Any:
        scores = make.forward(made, [train[i][0] for i in batch]).logits
        return torch.nn.functional.cross_entropy(scores, labels[batch])

    torch.manual_seed(make.SEED)
    make.fit(made.model, loss, plan, rate=5e-5, warmup=0.1)
    made.save(folder)
    return folder, file


if __name__ == "__main__":
    torch.set_num_threads(1)
    cache = arguments(__doc__ or "").cache
    for each in SHORTCUTS:
        print(*trained(cache, each))
