"""Taking words away by writing likely others in their place: what a masked language model fills in, drawn at random."""

from __future__ import annotations

import inspect
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
RENAMED = 0.01  # share of the tokens that may be others: unused ones that were given a name


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
        if isinstance(masked, str):
            _refuse_another_vocabulary(masked, tokenizer)
        self.mask, self.special = int(tokenizer.mask_token_id), list(tokenizer.all_special_ids)
        self.known = len(tokenizer)

    def encoding(self, masked: Encoding) -> Encoding:
        """The same input, whose rows hold likely words where those of `masked` (absent="mask") hold the mask.

        A mask that stands in the text itself, as a gap to be filled, stays.
        """

        def at(coalitions: Bools) -> Sequence[Any]:
            rows = [list(row) if isinstance(row, tuple) else [row] for row in masked.at(coalitions)]
            whole = masked.whole if isinstance(masked.whole, tuple) else (masked.whole,)
            gone = [
                (row, part, (row[part].ids == self.mask) & (full.ids != self.mask))
                for row in rows
                for part, full in enumerate(whole)
            ]
            alike: dict[int, list[tuple[list[Any], int, Bools]]] = {}  # windows of a text may be of several lengths
            for each in gone:
                if each[2].any():
                    alike.setdefault(len(each[2]), []).append(each)
            for several in alike.values():
                for start in range(0, len(several), AT_ONCE):
                    batch = several[start : start + AT_ONCE]
                    filled = self._filled([(row[part], places) for row, part, places in batch])
                    for (row, part, _), ids in zip(batch, filled, strict=True):
                        row[part] = replace(row[part], ids=ids)
            return [tuple(row) if len(row) > 1 else row[0] for row in rows]

        return replace(masked, at=at)

    def _filled(self, rows: Sequence[tuple[Any, Bools]]) -> list[np.ndarray[Any, Any]]:
        """The ids of rows of one length, with likely ones in these places."""
        device = next(self.masked.parameters()).device
        batch = {"input_ids": torch.tensor(np.stack([row.ids for row, _ in rows]), device=device)}
        if (
            "token_type_ids" in rows[0][0].extras
            and "token_type_ids" in inspect.signature(self.masked.forward).parameters
        ):
            types = np.stack([row.extras["token_type_ids"] for row, _ in rows])
            batch["token_type_ids"] = torch.tensor(types, device=device)
        with frozen(self.masked), torch.no_grad():
            logits = self.masked(**batch).logits.float().cpu()
        logits[..., self.special] = -torch.inf
        logits[..., self.known :] = -torch.inf  # a table may have more rows than there are tokens
        out = []
        for (row, places), told in zip(rows, logits, strict=True):
            draw = torch.Generator().manual_seed(zlib.crc32(row.ids.tobytes()))
            drawn = torch.multinomial(told[torch.as_tensor(places)].softmax(-1), 1, generator=draw)[:, 0]
            filled = row.ids.copy()
            filled[places] = drawn.numpy()
            out.append(filled)
        return out


def _refuse_another_vocabulary(name: str, tokenizer: Any) -> None:
    """Raises OptionError where the tokenizer of that model has other tokens by the same ids; one without a tokenizer is taken."""
    from transformers import AutoTokenizer

    try:
        theirs: dict[str, int] = AutoTokenizer.from_pretrained(name).get_vocab()
    except Exception:  # of transformers and its readers, which have no common kind
        return
    own = tokenizer.get_vocab()
    others = [token for token, i in theirs.items() if own.get(token) != i]
    if len(others) > len(theirs) * RENAMED:
        raise OptionError(
            f"`infill` {name!r:.60} has as many ids as the explained model, and other tokens by them, such as {others[-1]!r}: "
            "they must speak the same ids."
        )


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
