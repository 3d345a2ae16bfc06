"""A model in eval mode, with weights that ask for no gradients; after, as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """While inside, eval mode and no gradients for weights; every module's and weight's own flag comes back."""
    training = [(module, module.training) for module in model.modules()]
    asking = [p for p in model.parameters() if p.requires_grad]
    try:
        model.train(False)
        for p in asking:
            p.requires_grad_(False)
        yield
    finally:
        for p in asking:
            p.requires_grad_(True)
        for module, flag in training:
            module.training = flag
