"""Rows that begin alike: every distinct beginning of a batch is computed once, and its keys and values are kept and shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.types import Ints
from .prompts import Scored

if TYPE_CHECKING:
    from .model import LanguageModel


WORTH = 0.8  # rows are ordered by their beginnings where that leaves at most this much of their positions to compute
_CUTS = 64  # how many places to cut at are weighed against each other


def ordered(codes: Sequence[Ints]) -> tuple[list[int], Ints]:
    """The rows in an order in which equal beginnings meet, and how many positions each shares with the one before it."""
    order = sorted(range(len(codes)), key=lambda i: codes[i].tobytes())
    pairs = pairwise(order)
    return order, np.array([0, *(_common(codes[a], codes[b]) for a, b in pairs)], dtype=np.int64)


def bundles(codes: Sequence[Ints], budget: int) -> list[list[int]] | None:
    """Batches of rows that begin alike, each with up to `budget` positions to compute; None where little is shared."""
    order, shared = ordered(codes)
    sizes = np.array([len(codes[i]) for i in order])
    if len(order) < 2 or (sizes - shared).sum() > WORTH * sizes.sum():
        return None
    out: list[list[int]] = []
    fresh = longest = 0
    for i, size, same in zip(order, sizes.tolist(), shared.tolist(), strict=True):
        longest = max(longest, size)
        if out and fresh + size - same <= budget and longest * (len(out[-1]) + 1) <= 4 * budget:
            out[-1].append(i)
            fresh += size - same
        else:
            out.append([i])
            fresh = longest = size
    return out


def cuts(shared: Ints, longest: int, most: int, fixed: int) -> tuple[list[int], int]:
    """The depths at which to cut ordered rows so that the least is computed, and how many positions that saves.

    Between two depths every distinct beginning is computed once. `most` is the deepest allowed, `fixed` what a call of the
    model costs besides its positions, counted in positions, and paid for out of what is saved. No depths where nothing is.
    """
    depths = np.unique(shared[1:].clip(max=most))
    depths = depths[depths > 0]
    if len(depths) > _CUTS:
        depths = depths[np.linspace(0, len(depths) - 1, _CUTS).astype(int)]
    best, back = [0.0], [-1]
    places = [0, *depths.tolist()]
    for j in range(1, len(places)):
        distinct = int((shared[1:] < places[j]).sum()) + 1
        costs = [best[i] + (places[j] - places[i]) * distinct + fixed for i in range(j)]
        best.append(min(costs))
        back.append(int(np.argmin(costs)))
    whole = [cost + (longest - place) * len(shared) for cost, place in zip(best, places, strict=True)]
    at, out = int(np.argmin(whole)), []
    while at > 0:
        out.append(places[at])
        at = back[at]
    return out[::-1], int(whole[0] - min(whole))


def beginnings(shared: Ints, depth: int) -> Ints:
    """[N]: for each of the ordered rows, which of the distinct beginnings of this depth it has."""
    new = shared < depth
    new[0] = True
    return np.cumsum(new) - 1


def _common(a: Ints, b: Ints) -> int:
    n = min(len(a), len(b))
    other = a[:n] != b[:n]
    return int(other.argmax()) if other.any() else n


FULL = ("full_attention", "attention", "global")  # kinds of layers whose cache can be cut anywhere and repeated


def reusable(model: nn.Module, decodes: bool, takes: Mapping[str, Any]) -> bool:
    """Can this model go on from a cache of keys and values that was computed for the beginnings alone?

    No for encoder-decoders, for recurrent or compressed states, and for models that take no cache. What is left is tried
    against a plain call before it is relied on.
    """
    config = getattr(model, "config", None)
    kinds = getattr(config, "layer_types", None) or FULL
    recurrent = getattr(model, "_is_stateful", False) or not set(kinds) <= {*FULL, "sliding_attention"}
    takes_cache = "past_key_values" in takes and "use_cache" in takes
    return takes_cache and not decodes and not recurrent and hasattr(config, "num_hidden_layers")


def code_of(row: Scored) -> Ints:
    """[S + T - 1]: what stands at each position that is computed; absent positions are told apart by their filler."""
    ids = row.ids
    if row.absent is not None:
        ids = np.where(row.absent, -1 if row.replacement_id is None else -2 - row.replacement_id, ids)
    return np.concatenate([ids, row.goal[:-1]])


def shared_answers(lm: LanguageModel, rows: Sequence[Scored]) -> list[Tensor] | None:
    """What `lm.plain(rows)` answers, in fewer positions; None where that does not pay, or where this model cannot."""
    if len(rows) < 2:
        return None
    order, shared = ordered([code_of(row) for row in rows])
    window = getattr(lm.config, "sliding_window", None)
    longest = max(lm.sizes(rows))
    if isinstance(window, int) and window < longest:
        return None
    most = min(len(row.ids) for row in rows) - 1
    fixed = lm.batch_tokens // 40
    depths, saved = cuts(shared, longest, most, fixed)
    if not depths or (lm.shares is None and saved < longest + fixed):  # the first time pays for its check too
        return None
    sorted_rows = [rows[i] for i in order]
    found = _checked(lm, sorted_rows, shared, depths) if lm.shares is None else _waves(lm, sorted_rows, shared, depths)
    if found is None:
        return None
    back = dict(zip(order, found, strict=True))
    return [back[i] for i in range(len(rows))]


def _checked(lm: LanguageModel, rows: Sequence[Scored], shared: Ints, depths: Sequence[int]) -> list[Tensor] | None:
    """The first time: the answers, if one of them is what a plain call says; from then on it is known whether they are."""
    try:
        found = _waves(lm, rows, shared, depths)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model says that has no such cache, a plain call says the truth
        lm.shares = False
        return None
    [plain] = lm.plain(rows[-1:])
    tolerance = 1e-4 if plain.dtype == torch.float32 and lm.exact else 2e-2
    lm.shares = bool(((found[-1] - plain).abs() <= tolerance * plain.abs().clamp(min=1)).all())
    return found if lm.shares else None


def _waves(lm: LanguageModel, rows: Sequence[Scored], shared: Ints, depths: Sequence[int]) -> list[Tensor]:
    """The answers of ordered rows, cut at these depths: a call of the model between each two, on distinct beginnings."""
    from transformers import DynamicCache

    batch = lm.collated(rows)
    ids = batch["input_ids"]
    vectors = lm.filled(ids, rows) if any(row.absent is not None for row in rows) else None
    cache, start, had = DynamicCache(), 0, None
    for end in [*depths, ids.shape[1]]:
        last = end == ids.shape[1] and start == depths[-1]
        of = np.arange(len(rows)) if last else beginnings(shared, end)
        chosen = torch.as_tensor(np.unique(of, return_index=True)[1], device=ids.device)
        if had is not None:
            cache.batch_select_indices(torch.as_tensor(had, device=ids.device)[chosen])
        part: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
        if "attention_mask" in batch:
            part["attention_mask"] = batch["attention_mask"][chosen, :end]
        put = None if vectors is None else vectors[chosen, start:end]
        told = [rows[i] for i in chosen.tolist()] if last else None
        answers = lm.through(ids[chosen, start:end], told, put, start, part)
        start, had = end, of
    return answers
