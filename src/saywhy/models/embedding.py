"""Where a model looks its tokens up, and how to put other vectors there for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# the endings of the names that models give to their other tables
_NAMES = {
    "position": ("position_embeddings", "position_embedding", "embed_positions", "wpe"),
    "token_type": ("token_type_embeddings", "token_type_embedding", "segment_embeddings"),
}


def find_embeddings(model: nn.Module, ids: Tensor, run: Callable[[], Any]) -> dict[str, tuple[nn.Module, ...]]:
    """The modules that a call of the model looks ids [B, S] up in: "word", and "position" and "token_type" where it has them.

    Words: those that turn exactly these ids into vectors; the first is the input's. Watching the call finds shared, scaled
    and factorised embeddings alike, whatever the model calls them, and the decoder that classifiers like BART and T5 feed
    with the same text. The others go by their names. One forward.
    """
    words: list[nn.Module] = []
    others: dict[str, list[nn.Module]] = {face: [] for face in _NAMES}

    def watch(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Embedding) and module not in words and _way(args, ids) is not None:
            words.append(module)
            return
        for face, endings in _NAMES.items():
            if called[module].endswith(endings) and _by_position(output, ids):
                others[face].append(module)

    called = {module: name for name, module in model.named_modules()}
    with ExitStack() as hooks:
        for module, name in called.items():
            if isinstance(module, nn.Embedding) or name.endswith(sum(_NAMES.values(), ())):
                hooks.callback(module.register_forward_hook(watch).remove)
        run()
    return {"word": tuple(words)} | {face: (found[0],) for face, found in others.items() if len(found) == 1}


def _by_position(output: Any, ids: Tensor) -> bool:
    """Is this a vector for each position, [S, D] or [1 or B, S, D]?"""
    if not isinstance(output, Tensor) or not 2 <= output.dim() <= 3 or output.shape[-2] != ids.shape[1]:
        return False
    return output.dim() == 2 or output.shape[0] in (1, len(ids))


@contextmanager
def embedded(face: str, tables: Sequence[nn.Module], ids: Tensor, vectors: Tensor | None) -> Iterator[None]:
    """While inside, looking up `ids` in `tables` answers `vectors` [B, S, D] instead; the hooks are always removed.

    Only the first look-up of each kind: a table that is shared (with token types, say) keeps its other uses.
    """
    if vectors is None:
        yield
        return
    used: set[str] = set()

    def swap(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        way = _way(args, ids) if face == "word" else "rows"
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


def looked_up(table: nn.Module, ids: Tensor, run: Callable[[], Any]) -> Tensor:
    """[B, S, D]: what `table` answers while `run` calls the model on `ids`. One forward."""
    seen: list[Tensor] = []
    hook = table.register_forward_hook(lambda module, args, output: seen.append(output))
    try:
        run()
    finally:
        hook.remove()
    vectors = seen[0] if seen[0].dim() == 3 else seen[0][None]
    return vectors.expand(len(ids), *vectors.shape[1:])


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
