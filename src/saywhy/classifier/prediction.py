"""Prediction over any number of texts: a chunk in memory at a time, batches of like length, no gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..core.checks import mapping
from ..core.errors import InputError, ModelError, OptionError
from ..engine.batching import pack
from ..models.lock import frozen
from .batches import padded
from .encoders import coded
from .network import Part, attended, side_by_side
from .tokenizers import checked_texts

if TYPE_CHECKING:
    from .classifier import TextClassifier

CHUNK = 8_192  # texts in memory at once
Columns = Mapping[str, Iterable[Any]]


class Predictions(NamedTuple):
    """The most probable labels of each text, the best first, and their probabilities, unrounded."""

    labels: np.ndarray[Any, Any]  # [N, top_k]
    probabilities: np.ndarray[Any, Any]  # float32 [N, top_k]


def device_of(network: nn.Module) -> torch.device:
    """Where the network is."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def chunks(
    classifier: TextClassifier, texts: Iterable[str], categories: Columns | None
) -> Iterator[tuple[list[list[int]], Any]]:
    """(ids, codes) of at most CHUNK texts at a time; a bad row is refused by its number among all."""
    if isinstance(texts, str):
        raise InputError("Give a list of texts, not one string.")
    if not isinstance(texts, Iterable) or getattr(texts, "shape", None) == ():
        raise InputError(f"`texts` is a list, or another iterable, of texts, not {texts!r:.60}.")
    source, beside = (
        iter(texts),
        {} if categories is None else mapping("categories", categories, "a column to its values"),
    )
    for name, values in beside.items():
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise InputError(f"`categories[{name!r:.40}]` is a list of values, one a text, not {values!r:.60}.")
    columns = {name: iter(values) for name, values in beside.items()}
    start = 0
    while True:
        part = checked_texts(islice(source, CHUNK), start)
        there = {name: list(islice(values, len(part) or 1)) for name, values in columns.items()}
        if long := next((name for name, values in there.items() if len(values) != len(part)), None):
            raise InputError(f"There are not as many values of {long!r} as texts: they part after row {start}.")
        codes = coded(classifier.variables, there, len(part), start)
        if not part:
            return
        yield classifier.tokenizer.ids(part), codes
        start += len(part)


def rows_at_once(classifier: TextClassifier) -> int:
    """How many rows a batch may have, so that a wide answer (a vector a class) still fits."""
    width = getattr(getattr(classifier.network, "architecture", None), "width", 128)
    classes = sum(len(level) for level in classifier.levels)
    return max(16, 16_000_000 // (classes * width))


def answers(classifier: TextClassifier, texts: Iterable[str], categories: Columns | None = None) -> Iterator[Tensor]:
    """The logits [b, C] of the texts on the CPU, float32, a chunk at a time, in order. Constant memory."""
    network = classifier.network
    device = device_of(network)
    budget = 8_192 if device.type == "cpu" else 65_536
    total = sum(len(level) for level in classifier.levels)
    for ids, codes in chunks(classifier, texts, categories):
        out = torch.empty(len(ids), total)
        with frozen(network), torch.inference_mode():
            for batch in pack([len(row) for row in ids], budget, rows_at_once(classifier)):
                filled, mask = padded([ids[i] for i in batch], classifier.tokenizer.padding)
                beside = None if codes is None else torch.as_tensor(codes[batch], device=device)
                logits = side_by_side(network(filled.to(device), mask.to(device), beside))
                if logits.shape != (len(batch), total):
                    raise ModelError(
                        f"The network answered {tuple(logits.shape)} to {len(batch)} texts; it must be a number for each of "
                        f"{total} labels."
                    )
                out[batch] = logits.float().cpu()
        yield out


def maps(classifier: TextClassifier, texts: Iterable[str], categories: Columns | None = None) -> Iterator[Tensor]:
    """For each text its label attention [H, C, T], on the CPU. ModelError where the network has none."""
    network = classifier.network
    device = device_of(network)
    for ids, codes in chunks(classifier, texts, categories):
        for a in range(0, len(ids), 32):
            filled, mask = padded(ids[a : a + 32], classifier.tokenizer.padding)
            beside = None if codes is None else torch.as_tensor(codes[a : a + 32], device=device)
            with frozen(network), torch.inference_mode():
                _, weights = attended(network, filled.to(device), mask.to(device), beside)
            for row, each in zip(ids[a : a + 32], weights.float().cpu(), strict=True):
                yield each[..., : len(row)]


def probabilities(logits: Tensor, problem: str) -> Tensor:
    """[b, C] logits as probabilities: each on its own for several labels, else summing to 1."""
    return logits.sigmoid() if problem == "multi-label" else logits.softmax(-1)


def best(classifier: TextClassifier, stream: Iterable[Tensor], top_k: int) -> list[Predictions]:
    """For each level the most probable labels, from a stream of logits."""
    sizes = [len(level) for level in classifier.levels]
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= min(sizes):
        raise OptionError(f"`top_k` must be from 1 to {min(sizes)}, the number of labels; not {top_k!r}.")
    found: list[list[tuple[Any, Any]]] = [[] for _ in sizes]
    for logits in stream:
        for kept, part in zip(found, torch.split(logits, sizes, dim=1), strict=True):
            values, places = probabilities(part, classifier.problem).topk(top_k, dim=1)
            kept.append((places.numpy(), values.numpy()))
    blank = np.zeros((0, top_k))
    return [
        Predictions(
            level.decode(np.concatenate([places for places, _ in kept] or [blank])),
            np.concatenate([values for _, values in kept] or [blank]).astype(np.float32),
        )
        for level, kept in zip(classifier.levels, found, strict=True)
    ]


def part_of(classifier: TextClassifier, place: int) -> Part:
    """The network's level at this place."""
    start = sum(len(level) for level in classifier.levels[:place])
    return Part(classifier.network, start, start + len(classifier.levels[place]))
