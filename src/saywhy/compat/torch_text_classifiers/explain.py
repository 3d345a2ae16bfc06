"""Explanations in the result dictionary's shapes: every position has a score, special tokens too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...classifier import TextClassifier
from ...classifier.adapter import ClassifierModel, Row
from ...classifier.prediction import chunks, maps
from ...classifier.tokenizers import NGrams
from ...core.errors import ModelError
from ...core.types import EmbeddingPath, Encoding, Feature, Problem, Target
from ...engine.batching import BoundProblem, OutputCache
from ...engine.engine import Engine
from ...methods.gradients import integrated_gradients

WINDOW = 64  # texts in flight at once


def baseline(classifier: TextClassifier) -> int:
    """The id that every position of the baseline has: [UNK], of n-grams the padding id."""
    tokenizer = classifier.tokenizer
    unknown = None if isinstance(tokenizer, NGrams) else tokenizer.unknown
    return tokenizer.padding if unknown is None else unknown


def integrated(
    classifier: TextClassifier, texts: Sequence[str], categories: Mapping[str, Any] | None, tops: Tensor, width: int
) -> Tensor:
    """float32 [N, k, width]: how each token moves the logit of each of the classes `tops` [N, k], from a baseline text.

    A row sums to the logit less the baseline's, to 1 %. The categorical values stay as they are. Points on the path are
    chosen by the method, usually 9 to 25 forwards and backwards a text.
    """
    model = ClassifierModel(classifier)
    if not model.differentiable:
        raise ModelError(
            f"{type(classifier.network).__name__} looks its tokens up in no embedding table: no gradients."
        )
    engine, fill = Engine(model), baseline(classifier)
    out = torch.zeros(*tops.shape, width)
    rows = [
        Row(np.array(ids), codes[i] if codes is not None else np.zeros(0, np.int64))
        for each, codes in chunks(classifier, texts, categories)
        for i, ids in enumerate(each)
    ]
    for a in range(0, len(rows), WINDOW):
        window = rows[a : a + WINDOW]
        bound = [_posed(model, row, fill, tops[a + i].tolist()) for i, row in enumerate(window)]
        found = engine.run([(p, integrated_gradients(p.problem)) for p in bound])
        for i, (row, scores) in enumerate(zip(window, found, strict=True)):
            out[a + i, :, : len(row.ids)] = scores.values.float()
    return out


def _posed(model: ClassifierModel, row: Row, fill: int, classes: Sequence[int]) -> BoundProblem:
    """A problem with a feature for each position, against the baseline."""
    length = len(row.ids)
    owner = np.concatenate([np.arange(length), np.full(len(row.codes), -1)])
    features = tuple(Feature(str(i)) for i in range(length))
    with model.frozen(), torch.no_grad():
        point, origin = model.embed(row), model.embed(Row(np.full(length, fill), row.codes))
    smooth = EmbeddingPath(point, origin, owner, length)
    targets = tuple(Target(model.labels[c], (c,)) for c in classes)
    encoding = Encoding({"text": ""}, features, lambda kept: [row] * len(kept), owner)
    return BoundProblem(
        Problem(features, targets, smooth), encoding, lambda outputs: _picked(outputs, classes), OutputCache()
    )


def _picked(outputs: Tensor | Sequence[Tensor], classes: Sequence[int]) -> Tensor:
    logits: Tensor = outputs if isinstance(outputs, Tensor) else torch.stack(list(outputs))
    return logits[..., list(classes)]


def attention(
    classifier: TextClassifier, texts: Sequence[str], categories: Mapping[str, Any] | None, width: int
) -> Tensor:
    """float32 [N, H, C, width]: the label attention of each text; rows sum to 1 over its tokens."""
    found = [torch.nn.functional.pad(each, (0, width - each.shape[-1])) for each in maps(classifier, texts, categories)]
    return torch.stack(found)
