"""A model held still while it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """While inside, the model is in eval mode and its weights ask for no gradients; after, all is as it was."""
    training = [module for module in model.modules() if module.training]
    asking = [p for p in model.parameters() if p.requires_grad]
    try:
        for module in training:
            module.training = False
        for p in asking:
            p.requires_grad_(False)
        yield
    finally:
        for p in asking:
            p.requires_grad_(True)
        for module in training:
            module.training = True
