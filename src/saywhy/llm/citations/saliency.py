"""Where to look first: how strongly each statement's log-probability depends on each sentence, by one backward pass.

The norm of the gradient at a token's embedding says how far a small change there moves the statement (Simonyan, Vedaldi &
Zisserman 2014, saliency); under the backward rules of `libra`, which take the attention and the norms for constants, saturation
hides less of it. It is a guide and no score: what it points to is checked by forwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...core.errors import SaywhyError
from ...core.types import EmbeddingPath, Encoding, Floats, Gradients, MethodGenerator, Problem, Scores, Target
from ...engine.batching import BoundProblem, OutputCache
from ...engine.engine import Engine
from ...models.protocol import Model

RULES = "libra"
WIDTHS = 34  # numbers of a hidden state's width that a layer keeps of a position for its backward pass, about
SQUARES = 6  # and numbers for each pair of positions and head, with attention written out under the rules
SHARE = 0.5  # of the memory that is free, which a backward pass may take


def saliency(
    engine: Engine, encoding: Encoding, cache: OutputCache, score: Callable[[Tensor], Tensor], statements: Sequence[int]
) -> Floats | None:
    """[K, n]: for each of these statements, the length of its gradients at a sentence's tokens, summed.

    None where the model has no gradients, or where they might not fit into memory. One forward, and a backward for each.
    """
    model = engine.model
    owner = encoding.owner
    if owner is None or not model.differentiable or not _fits(model, encoding):
        return None
    found: list[Tensor] = []

    def look(path: EmbeddingPath) -> MethodGenerator:
        _, gradients = yield Gradients(path.input[None], direction="norm", rules=RULES)
        found.append(path.fold(gradients[:, 0]))
        return Scores(found[0])

    try:
        with torch.no_grad():
            embeddings = model.embed(encoding.whole)
        path = EmbeddingPath(embeddings, torch.zeros_like(embeddings), owner, len(encoding.features))
        targets = tuple(Target(str(k), (k,), "log-prob") for k in statements)
        bound = BoundProblem(
            Problem(encoding.features, targets, path), encoding, lambda out: score(out)[:, list(statements)], cache
        )
        engine.run([(bound, look(path))])
    except (SaywhyError, RuntimeError):  # a model that no gradient goes through, or no memory: the search does without
        return None
    numbers: Floats = found[0].numpy()
    return numbers


def _fits(model: Model[Any], encoding: Encoding) -> bool:
    """Is there room for what a backward pass keeps? Judged by the sizes that the model's configuration names."""
    config = getattr(model, "config", None)
    layers, width, heads = (
        int(getattr(config, name, None) or other)
        for name, other in (("num_hidden_layers", 32), ("hidden_size", 1_024), ("num_attention_heads", 16))
    )
    [length] = model.sizes([encoding.whole])
    return 4 * layers * length * (WIDTHS * width + SQUARES * heads * length) <= SHARE * _free(model)


def _free(model: Model[Any]) -> float:
    """Bytes of memory that are free where the model is; 4 GB where the system does not tell."""
    device = getattr(model, "device", None)
    if isinstance(device, torch.device) and device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return 4e9
