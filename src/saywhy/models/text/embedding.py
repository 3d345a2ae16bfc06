"""Where a model looks its tokens up, and how to put other vectors there for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
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
    and factorised embeddings alike, whatever the model calls them, the decoder that classifiers like BART and T5 feed with
    the same text, and tables of later layers. Where no table does (ids are hashed, or the table is no nn.Embedding), it is
    the innermost module that gets the ids and answers vectors. The others go by their names. One forward.
    """
    words: list[nn.Module] = []
    blocks: list[nn.Module] = []
    others: dict[str, list[nn.Module]] = {embedding: [] for embedding in _NAMES}

    def watch(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
        given = (*args[:1], kwargs.get("input_ids"), kwargs.get("input"))
        placed = called[module].endswith(sum(_NAMES.values(), ()))
        if isinstance(module, nn.Embedding) and not placed and _way(given, ids) and _by_token(given, output):
            words.extend([module] if module not in words else [])
            return
        for embedding, endings in _NAMES.items():
            if called[module].endswith(endings) and _by_position(output, ids):
                others[embedding].append(module)
        if not blocks and _way((*args[:1], kwargs.get("input_ids")), ids) == "rows" and _vectors(output, ids):
            blocks.append(module)

    called = {module: name for name, module in model.named_modules()}
    with ExitStack() as hooks:
        for module in called:
            hooks.callback(module.register_forward_hook(watch, with_kwargs=True).remove)
        run()
    named = {embedding: (found[0],) for embedding, found in others.items() if len(found) == 1}
    return {"word": tuple(words or blocks)} | named


def distinct(tables: Sequence[nn.Module]) -> list[nn.Module]:
    """The tables without those that share another's weights: each has vectors of its own for a token."""
    found: dict[Any, nn.Module] = {}
    for table in tables:
        weight = getattr(table, "weight", None)
        same = (weight.data_ptr(), weight.shape) if isinstance(weight, Tensor) else id(table)
        scale = getattr(table, "embed_scale", None)
        told = scale.flatten().tolist() if isinstance(scale, Tensor) else scale
        found.setdefault((same, str(told)), table)
    return list(found.values())


def _by_token(given: Sequence[Any], output: object) -> bool:
    """Are these vectors of the tokens alone, and not of their places? The sample that is asked says a word several times."""
    ids = next(each for each in given if isinstance(each, Tensor))
    if not isinstance(output, Tensor) or output.shape[:-1] != ids.shape:
        return False
    again = ids[:, 1:] == ids[:, :-1]
    return bool((output[:, 1:][again] == output[:, :-1][again]).all())


def _vectors(output: object, ids: Tensor) -> bool:
    """Is this a vector for each of the ids, [B, S, D], alone or before something else?"""
    first = _first(output)
    return isinstance(first, Tensor) and first.dim() == 3 and first.shape[:2] == ids.shape and first.is_floating_point()


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) and output else output


def _by_position(output: object, ids: Tensor) -> bool:
    """Is this a vector for each position, [S, D] or [1 or B, S, D]?"""
    if not isinstance(output, Tensor) or not 2 <= output.dim() <= 3 or output.shape[-2] != ids.shape[1]:
        return False
    return output.dim() == 2 or output.shape[0] in (1, len(ids))


@contextmanager
def embedded(embedding: str, tables: Sequence[nn.Module], ids: Tensor, vectors: Tensor) -> Iterator[None]:
    """While inside, looking up `ids` in `tables` answers `vectors` [B, S, D] instead; the hooks are always removed.

    D is the width of all `distinct` tables together, in their order. Only the first look-up of each kind in each table: one
    that is shared (with token types, say) keeps its other uses. "first" is of words that a decoder may look up as well.
    """
    used: set[tuple[str, int]] = set()
    owners = distinct(tables)
    starts = dict(zip(map(id, owners), np.cumsum([0, *map(_width, owners)]).tolist(), strict=False))

    def swap(
        table: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object
    ) -> tuple[Any, ...] | Tensor | None:
        given = (*args[:1], kwargs.get("input_ids"), kwargs.get("input"))
        way = _way(given, ids) if embedding == "word" else "rows"
        if way is None or (way, id(table)) in used:
            return None
        used.add((way, id(table)))
        first = _first(output)
        start = starts[id(_owner(table, owners))] if len(owners) > 1 else 0
        put = _placed(vectors[..., start : start + first.shape[-1]].to(first.dtype), first, way)
        return (put, *output[1:]) if isinstance(output, tuple) else put

    with ExitStack() as hooks:
        for table in tables:
            hooks.callback(table.register_forward_hook(swap, with_kwargs=True).remove)
        yield


def _placed(put: Tensor, output: Tensor, way: str) -> Tensor:
    """The vectors as the look-up's own answer lies; what of it is not of the ids stays."""
    if way == "shifted":  # the first place is the decoder's own start token
        return torch.cat([output[:, :1], put[:, :-1]], dim=1)
    if way == "longer":  # the model fills its input up to a multiple of something
        return torch.cat([put, output[:, put.shape[1] :]], dim=1)
    return put.transpose(0, 1) if way == "turned" else put


def _width(table: nn.Module) -> int:
    weight = getattr(table, "weight", None)
    return int(weight.shape[-1]) if isinstance(weight, Tensor) else 0


def _owner(table: nn.Module, owners: Sequence[nn.Module]) -> nn.Module:
    """Of the distinct tables the one that this is or shares the weights of."""
    return next(owner for owner in owners if len(distinct([owner, table])) == 1)


def word_vectors(tables: Sequence[nn.Module], ids: Tensor, run: Callable[[Tensor], Any]) -> Tensor:
    """[B, S, D]: what the distinct tables answer to these ids, side by side; `run` calls the model on ids, where it must be."""
    owners = distinct(tables)
    if len(owners) == 1 and next(owners[0].children(), None) is not None:
        return looked_up(owners[0], ids, lambda: run(ids))
    return torch.cat([_first(table(ids)) for table in owners], dim=-1)


def looked_up(table: nn.Module, ids: Tensor, run: Callable[[], Any]) -> Tensor:
    """[B, S, D]: what `table` answers while `run` calls the model on `ids`. One forward."""
    seen: list[Tensor] = []
    hook = table.register_forward_hook(lambda module, args, output: seen.append(_first(output)))
    try:
        run()
    finally:
        hook.remove()
    vectors = seen[0] if seen[0].dim() == 3 else seen[0][None]
    return vectors.expand(len(ids), *vectors.shape[1:])


def _way(given: Sequence[Any], ids: Tensor) -> str | None:
    """Is this a look-up of exactly these ids: as rows [B, S], longer, turned (XLNet reads [S, B]), shifted by one, or not?"""
    found = next((each for each in given if isinstance(each, Tensor)), None)
    if found is None or found.dim() != 2:
        return None
    if found.shape == ids.shape and bool((found == ids).all()):
        return "rows"
    if found.shape == ids.shape and ids.shape[1] > 1 and bool((found[:, 1:] == ids[:, :-1]).all()):
        return "shifted"
    length = ids.shape[1]
    if len(found) == len(ids) and found.shape[1] > length and bool((found[:, :length] == ids).all()):
        rest = found[:, length:]
        return "longer" if bool((rest == rest[0, 0]).all()) else None
    turned = ids.transpose(0, 1)
    return "turned" if found.shape == turned.shape and bool((found == turned).all()) else None
