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
        if not found and _way(args, ids) is not None:
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
        way = None if used else _way(args, ids)
        if way is None:
            return None
        used.append(True)
        return vectors.to(output.dtype) if way == "rows" else vectors.to(output.dtype).transpose(0, 1)

    handle = layer.register_forward_hook(swap)
    try:
        yield
    finally:
        handle.remove()


def _way(args: tuple[Any, ...], ids: Tensor) -> str | None:
    """Is this a look-up of exactly these ids: as rows [B, S], turned (XLNet reads [S, B]), or not at all?"""
    given = args[0] if args else None
    if not isinstance(given, Tensor):
        return None
    if given.shape == ids.shape and bool((given == ids).all()):
        return "rows"
    turned = ids.transpose(0, 1)
    return "turned" if given.shape == turned.shape and bool((given == turned).all()) else None
