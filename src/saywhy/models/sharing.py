"""A language model's answers with every distinct beginning of a batch's rows computed once, and kept in a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..types import Ints
from .prefixes import beginnings, cuts, ordered
from .prompts import Scored

if TYPE_CHECKING:
    from .causal import LanguageModel

FULL = ("full_attention", "attention", "global")  # kinds of layers whose cache can be cut anywhere and repeated


def reusable(model: Any, decodes: bool, takes: Any) -> bool:
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
        ids = np.where(row.absent, -1 if row.filler is None else -2 - row.filler, ids)
    return np.concatenate([ids, row.goal[:-1]])


def shared_answers(lm: LanguageModel, rows: Sequence[Scored]) -> list[Tensor] | None:
    """What `lm.plain(rows)` answers, in fewer positions; None where that does not pay, or where this model cannot."""
    if len(rows) < 2:
        return None
    order, shared = ordered([code_of(row) for row in rows])
    window = getattr(lm.config, "sliding_window", None)
    longest = max(lm.size(row) for row in rows)
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
