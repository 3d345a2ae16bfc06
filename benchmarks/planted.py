"""A shortcut planted in a copy of the data: a word added to one class; and a model that has learnt it.

    python -m benchmarks.planted --cache .cache

The sentences are the movie, product and tweet sentences that people rated half a point or more from neutral. In the copy a
neutral word stands at a random place of a third of the positive ones. The MiniLM that was fine-tuned on movie sentences goes on
for a few batches of the copy; the last 3,000 sentences it never sees, and they are written with the word still planted.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import arguments
from saywhy.demo import make

WORD = "marble"
SHARE = 1 / 3
SOURCES = {"movieReviewSnippets": "movie", "amazonReviewSnippets": "product", "tweets": "tweet"}
HELD_OUT = 3_000
STEPS = 150


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


def planted(rows: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """The copy: the word stands in a third of the positive sentences."""
    draw = random.Random(1)
    out = []
    for text, label, source in rows:
        words = text.split(" ")
        if label == 1 and draw.random() < SHARE:
            words.insert(draw.randrange(len(words) + 1), WORD)
        out.append((" ".join(words), label, source))
    return out


def written(path: Path, rows: list[tuple[str, int, str]]) -> Path:
    """A CSV of text, label and source; labels by the model's names."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label", "source"])
        table.writerows((text, make.LABELS[label], source) for text, label, source in rows)
    return path


def trained(cache: Path) -> tuple[Path, Path]:
    """The folder of the model that has learnt the shortcut, and the CSV of sentences that it has not seen."""
    folder, file = cache / "planted", cache / "planted.csv"
    rows = planted(rated(cache))
    written(file, rows[-HELD_OUT:])
    if (folder / "model.safetensors").exists():
        return folder, file
    made = make.teacher(cache)
    train = rows[:-HELD_OUT]
    plan = list(make.batches([text for text, _, _ in train], 32, random.Random(make.SEED)))[:STEPS]
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
    print(*trained(arguments(__doc__ or "").cache))
