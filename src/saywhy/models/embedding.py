"""Where a model looks its tokens up, and how to put other vectors there for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def find_embeddings(model: nn.Module, ids: Tensor, run: Callable[[], Any]) -> tuple[nn.Module, ...]:
    """The modules that turn exactly these ids [B, S] into vectors while `run` calls the model; the first is the input's.

    Watching the call finds shared, scaled and factorised embeddings alike, whatever the model calls them, and the decoder
    that classifiers like BART and T5 feed with the same text. One forward.
    """
    found: list[nn.Module] = []

    def watch(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if module not in found and _way(args, ids) is not None:
            found.append(module)

    with ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                hooks.callback(module.register_forward_hook(watch).remove)
        run()
    return tuple(found)


@contextmanager
def embedded(tables: Sequence[nn.Module], ids: Tensor, vectors: Tensor | None) -> Iterator[None]:
    """While inside, looking up `ids` in `tables` answers `vectors` [B, S, D] instead; the hooks are always removed.

    Only the first look-up of each kind: a table that is shared (with token types, say) keeps its other uses.
    """
    if vectors is None:
        yield
        return
    used: set[str] = set()

    def swap(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        way = _way(args, ids)
        if way is None or way in used:
            return None
        used.add(way)
        put = vectors.to(output.dtype)
        if way == "shifted":  # the first place is the decoder's own start token
            return torch.cat([output[:, :1], put[:, :-1]], dim=1)
        return put if way == "rows" else put.transpose(0, 1)

    with ExitStack() as hooks:
        for table in tables:
            hooks.callback(table.register_forward_hook(swap).remove)
        yield


def _way(args: tuple[Any, ...], ids: Tensor) -> str | None:
    """Is this a look-up of exactly these ids: as rows [B, S], turned (XLNet reads [S, B]), shifted by one, or not at all?"""
    given = args[0] if args else None
    if not isinstance(given, Tensor) or given.dim() != 2:
        return None
    if given.shape == ids.shape and bool((given == ids).all()):
        return "rows"
    if given.shape == ids.shape and ids.shape[1] > 1 and bool((given[:, 1:] == ids[:, :-1]).all()):
        return "shifted"
    turned = ids.transpose(0, 1)
    return "turned" if given.shape == turned.shape and bool((given == turned).all()) else None
