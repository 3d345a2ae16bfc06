"""Taking words away by writing likely others in their place: what a masked language model fills in, drawn at random."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from ..core.errors import ModelError, OptionError
from ..core.types import Bools, Encoding
from ..models.lock import frozen
from ..models.protocol import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

AT_ONCE = 32  # rows that the masked language model fills in together


class Infill:
    """A masked language model that speaks the explained model's ids.

    Every absent token is drawn from what the masked language model expects there given the present ones, each for itself, by a
    seed that is the row's own: the same row is filled in alike, alone or among others. One evaluation of that model a row.
    """

    def __init__(self, masked: object, model: Model[Any]):
        tokenizer: Any = model.text_tokenizer
        explained: Any = model.module
        if tokenizer is None or tokenizer.mask_token_id is None or "mask" not in model.absences:
            raise OptionError(f"{model.name} has no mask token, so nothing can be filled in: leave `infill` out.")
        self.masked = _loaded(masked)
        known, own = (m.get_input_embeddings().num_embeddings for m in (self.masked, explained))
        if known not in (own, len(tokenizer)):
            raise OptionError(
                f"The masked language model has {known:,} ids, the explained one {own:,}: they must speak the same ids, for "
                "example bert-base-uncased for a model fine-tuned from it."
            )
        self.mask, self.special = int(tokenizer.mask_token_id), list(tokenizer.all_special_ids)

    def encoding(self, masked: Encoding) -> Encoding:
        """The same input, whose rows hold likely words where those of `masked` (absent="mask") hold the mask."""

        def at(coalitions: Bools) -> Sequence[Any]:
            rows = list(masked.at(coalitions))
            gone = [i for i, row in enumerate(rows) if not isinstance(row, tuple) and (row.ids == self.mask).any()]
            for start in range(0, len(gone), AT_ONCE):
                batch = gone[start : start + AT_ONCE]
                for i, ids in zip(batch, self._filled([rows[i].ids for i in batch]), strict=True):
                    rows[i] = replace(rows[i], ids=ids)
            return rows

        return replace(masked, at=at)

    def _filled(self, rows: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        device = next(self.masked.parameters()).device
        with frozen(self.masked), torch.no_grad():  # rows of one input are of one length
            logits = self.masked(input_ids=torch.tensor(np.stack(rows), device=device)).logits.float().cpu()
        logits[..., self.special] = -torch.inf
        out = []
        for ids, told in zip(rows, logits, strict=True):
            draw = torch.Generator().manual_seed(zlib.crc32(ids.tobytes()))
            drawn = torch.multinomial(told[torch.as_tensor(ids == self.mask)].softmax(-1), 1, generator=draw)[:, 0]
            filled = ids.copy()
            filled[ids == self.mask] = drawn.numpy()
            out.append(filled)
        return out


def _loaded(masked: object) -> PreTrainedModel:
    if isinstance(masked, str):
        from transformers import AutoModelForMaskedLM

        try:
            masked = AutoModelForMaskedLM.from_pretrained(masked, use_safetensors=True)
        except Exception as error:  # of transformers, safetensors and torch, which have no common kind
            raise ModelError(f"`infill` {masked!r:.60} could not be loaded: {str(error).strip():.300}") from error
    if not hasattr(masked, "get_input_embeddings"):
        raise OptionError(f"`infill` is a masked language model or its name, not {type(masked).__name__}.")
    return cast("PreTrainedModel", masked)
