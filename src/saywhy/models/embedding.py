"""Where a model looks its tokens up, and how to put other vectors there for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def find_embedding(model: nn.Module, ids: Tensor, run: Callable[[], Any]) -> nn.Module | None:
    """The first module that turns exactly these ids [B, S] into vectors [B, S, D] while `run` calls the model, or None.

    Watching the call finds shared, scaled and factorised embeddings alike, whatever the model calls them. One forward.
    """
    found: list[nn.Module] = []

    def watch(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not found and _looks_up(args, ids) and isinstance(output, Tensor) and output.shape[:-1] == ids.shape:
            found.append(module)

    tables = [m for m in model.modules() if isinstance(m, nn.Embedding)]
    handles = [module.register_forward_hook(watch) for module in tables]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


@contextmanager
def embedded(layer: nn.Module | None, ids: Tensor, vectors: Tensor | None) -> Iterator[None]:
    """While inside, the first look-up of `ids` in `layer` answers `vectors` [B, S, D] instead; the hook is always removed.

    Only the first: a layer that is shared (token types, a decoder) keeps its other uses.
    """
    if layer is None or vectors is None:
        yield
        return
    used: list[bool] = []

    def swap(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if used or not _looks_up(args, ids):
            return None
        used.append(True)
        return vectors.to(output.dtype)

    handle = layer.register_forward_hook(swap)
    try:
        yield
    finally:
        handle.remove()


def _looks_up(args: tuple[Any, ...], ids: Tensor) -> bool:
    given = args[0] if args else None
    return isinstance(given, Tensor) and given.shape == ids.shape and bool((given == ids).all())
