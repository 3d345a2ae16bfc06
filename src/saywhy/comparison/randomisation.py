"""A model with ever more of its weights made random, from the output down. The caller's model is copied, never touched."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ..core.errors import OptionError
from ..models.protocol import Model

STAGES = 4  # the layers are made random in so many equal steps


def randomised(model: Model[Any], seed: int = 0) -> Iterator[Model[Any]]:
    """A copy of the model after each of the STAGES, the top quarter of its layers first, all of them last.

    Each weight tensor is shuffled within itself, so that its spread stays. It needs the memory of one more model.
    Raises OptionError for a model without torch weights.
    """
    module = model.module
    if not isinstance(module, nn.Module):
        raise OptionError(f"{model.name} has no weights to make random: leave the randomisation metrics out.")
    own = copy.deepcopy(model)  # the whole adapter: it knows the model's embeddings by their modules
    inner = own.module or module
    layers = [m for m in inner.modules() if next(m.parameters(recurse=False), None) is not None]
    draw = torch.Generator().manual_seed(seed)
    done: set[int] = set()
    for stage in range(STAGES):
        upto = len(layers) - len(layers) * (stage + 1) // STAGES
        for layer in layers[upto:]:
            for weight in layer.parameters(recurse=False):
                if id(weight) not in done:  # tied weights are shuffled once
                    done.add(id(weight))
                    _shuffle(weight, draw)
        yield own


def _shuffle(weight: nn.Parameter, draw: torch.Generator) -> None:
    order = torch.randperm(weight.numel(), generator=draw).to(weight.device)
    with torch.no_grad():
        weight.copy_(weight.reshape(-1)[order].reshape(weight.shape))
