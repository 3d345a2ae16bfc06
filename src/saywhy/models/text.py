"""A Hugging Face text model and its tokenizer: ids, or embeddings in place of ids, to logits."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, ModelError
from ..features import Span, aligned, own
from ..types import Bools, Encoding, Feature, Ints
from . import ABSENCES, Look
from .embedding import embedded, find_embeddings
from .facts import label_names, length_limit, output_kind, padding_id

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_ONE_BY_ONE = (
    "no padding token, so inputs went through the model one at a time; "
    "to batch them set tokenizer.pad_token and model.config.pad_token_id"
)


@dataclass(frozen=True, eq=False)
class Row:
    """One input: ids, what else goes with each position, and the positions whose embedding is replaced by `filler`'s."""

    ids: Ints  # [S]
    extras: Mapping[str, Ints] = field(default_factory=dict)  # each [S]
    absent: Bools | None = None  # [S]
    filler: int | None = None  # the id whose embedding fills the absent positions; None is the zero vector


class TextModel:
    """Rows are token ids. The model and the tokenizer are the caller's, and stay as they were."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, labels: Sequence[str] | None = None):
        self.model, self.tokenizer = model, tokenizer
        self.name = getattr(model, "name_or_path", "") or type(model).__name__
        self.labels = label_names(model, labels)
        self.kind = output_kind(model, self.labels)
        self.pad = padding_id(model, tokenizer)
        self.most_rows = 1 if self.pad is None else None
        self.limit = length_limit(model, tokenizer)
        self.batch_tokens = 4_096 if self.device.type == "cpu" else 32_768
        with self.still(), torch.no_grad():
            self.tables = self._probe_embeddings()
            self.differentiable = bool(self.tables)
            self.absences = self._absences()
            self.uniform = self.pad is not None and self._padding_matters()

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    # ---- the input -------------------------------------------------------------------------------------------------

    def encode(self, texts: Mapping[str, str], look: Look) -> Encoding:
        """The rows of one text, or of a pair, as `model(**tokenizer(text))` would see them."""
        encoded = self._tokenised(tuple(texts.values()), truncate=look.overlong == "truncate")
        ids = np.array(encoded["input_ids"], dtype=np.int64)
        extras = {
            name: np.array(encoded[name], dtype=np.int64)
            for name in self.tokenizer.model_input_names
            if name in encoded and name not in ("input_ids", "attention_mask")
        }
        features, owner = self._features(texts, encoded, look)
        if not features:
            raise InputError(
                f"The tokenizer finds no token in {list(texts.values())!r:.80}: there is nothing to explain."
            )
        row = Row(ids, extras)

        def at(coalitions: Bools) -> list[Row]:
            gone = (owner >= 0) & ~coalitions[:, owner]  # [N, S]
            return [self._without(row, positions, look.absent) for positions in gone]

        notes = encoded["notes"] + (() if self.pad is not None else (_ONE_BY_ONE,))
        return Encoding(texts, tuple(features), at, owner, notes)

    def _tokenised(self, texts: tuple[str, ...], truncate: bool) -> dict[str, Any]:
        fast = bool(self.tokenizer.is_fast)
        encoding = self.tokenizer(*texts, return_offsets_mapping=fast, return_special_tokens_mask=True, verbose=False)
        length = len(encoding["input_ids"])
        notes: tuple[str, ...] = ()
        if self.limit is not None and length > self.limit:
            if not truncate:
                raise InputError(
                    f"The text has {length} tokens and the model can read {self.limit}. Shorten it, or ask for "
                    f"overlong='truncate' to explain its first {self.limit} tokens."
                )
            encoding = self.tokenizer(
                *texts,
                return_offsets_mapping=fast,
                return_special_tokens_mask=True,
                truncation=True,
                max_length=self.limit,
                verbose=False,
            )
            notes = (f"truncated: the model saw the first {self.limit} of {length} tokens",)
        parts = encoding.sequence_ids() if fast else [None if s else 0 for s in encoding["special_tokens_mask"]]
        return {**encoding, "parts": parts, "notes": notes}

    def _features(self, texts: Mapping[str, str], encoded: Mapping[str, Any], look: Look) -> tuple[list[Feature], Ints]:
        """Each part's features, side by side, and the owner of every position."""
        features: list[Feature] = []
        owner = np.full(len(encoded["input_ids"]), -1, dtype=np.int64)
        for place, (part, text) in enumerate(texts.items()):
            spans = self._spans(text, place, encoded)
            found, holders = own(text, spans, look.by, part)
            owner[holders >= 0] = holders[holders >= 0] + len(features)
            features += found
        return features, owner

    def _spans(self, text: str, place: int, encoded: Mapping[str, Any]) -> list[Span | None]:
        if "offset_mapping" in encoded:
            pairs = zip(encoded["offset_mapping"], encoded["parts"], strict=True)
            return [tuple(span) if part == place else None for span, part in pairs]
        tokens = self.tokenizer.convert_ids_to_tokens(encoded["input_ids"])
        special = [bool(s) for s in encoded["special_tokens_mask"]]
        spans = aligned(text, tokens, special, self.tokenizer.convert_tokens_to_string) if place == 0 else None
        if spans is None:
            raise InputError(
                f"{type(self.tokenizer).__name__} gives no offsets and its tokens cannot be found again in the text; "
                "use the fast version of this tokenizer (AutoTokenizer.from_pretrained(..., use_fast=True))."
            )
        return spans

    def _without(self, row: Row, gone: Bools, absent: str) -> Row:
        if absent == "drop":
            if gone.all():  # no special tokens around the text: the shortest input there is
                return Row(np.array([self.empty]), {name: values[:1] for name, values in row.extras.items()})
            return Row(row.ids[~gone], {name: values[~gone] for name, values in row.extras.items()})
        if not gone.any():
            return row
        filler = self.filler(absent)
        if filler is not None and (filler != self.pad or not self.tables):
            return Row(np.where(gone, filler, row.ids), row.extras)
        return replace(row, absent=gone, filler=filler)  # the ids stay: models read positions and ends off padding ids

    def filler(self, absent: str) -> int | None:
        """The id that stands for an absent token; None for the zero vector and for dropping."""
        token = {"mask": self.tokenizer.mask_token_id, "pad": self.pad, "unk": self.tokenizer.unk_token_id}.get(absent)
        return None if token is None else int(token)

    @property
    def empty(self) -> int:
        """The id that stands alone where every token was dropped and the tokenizer adds none of its own."""
        t = self.tokenizer
        return int(
            next((i for i in (t.bos_token_id, t.eos_token_id, t.unk_token_id, t.pad_token_id) if i is not None), 0)
        )

    def _absences(self) -> tuple[str, ...]:
        has = {name: self.filler(name) is not None for name in ("mask", "pad", "unk")}
        has |= {"zero": self.differentiable, "drop": True}
        return tuple(name for name in ABSENCES if has[name])

    # ---- the model -------------------------------------------------------------------------------------------------

    def size(self, row: Row) -> int:
        return len(row.ids)

    def key(self, row: Row) -> Hashable:
        extras = tuple(values.tobytes() for values in row.extras.values())
        return row.ids.tobytes(), extras, None if row.absent is None else (row.absent.tobytes(), row.filler)

    def forward(self, rows: Sequence[Row], points: Sequence[Tensor] | None = None) -> Tensor:
        batch = self._collated(rows)
        vectors: Tensor | None = None
        if points is not None:
            vectors = nn.utils.rnn.pad_sequence(
                list(points), batch_first=True, padding_side="left" if self._left else "right"
            )
        elif any(row.absent is not None for row in rows):
            vectors = self._filled(batch["input_ids"], rows)
        with embedded(self.tables, batch["input_ids"], vectors):
            out = self.model(**batch)
        logits = out.logits if hasattr(out, "logits") else out if isinstance(out, Tensor) else out[0]
        if not isinstance(logits, Tensor) or logits.shape != (len(rows), len(self.labels)):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ModelError(
                f"{type(self.model).__name__} answered {shape} for {len(rows)} texts; a classifier must answer "
                f"({len(rows)}, {len(self.labels)}). Load it with AutoModelForSequenceClassification."
            )
        return logits.float()

    @property
    def _left(self) -> bool:
        return bool(self.tokenizer.padding_side == "left")

    def _collated(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        ids = _padded([r.ids for r in rows], self.pad or 0, self._left)
        batch = {"input_ids": ids}
        if "attention_mask" in self.tokenizer.model_input_names:
            batch["attention_mask"] = _padded([np.ones(len(r.ids), np.int64) for r in rows], 0, self._left)
        for name in rows[0].extras:
            blank = getattr(self.tokenizer, "pad_token_type_id", 0) if name == "token_type_ids" else 0
            batch[name] = _padded([r.extras[name] for r in rows], blank, self._left)
        return {name: values.to(self.device) for name, values in batch.items()}

    def embed(self, row: Row) -> Tensor:
        return self._filled(torch.as_tensor(row.ids, device=self.device)[None], [row])[0].float()

    def _filled(self, ids: Tensor, rows: Sequence[Row]) -> Tensor:
        """[B, S, D]: the embeddings of ids, with the absent positions' replaced."""
        if not self.tables:
            raise ModelError(f"{type(self.model).__name__} has no embedding layer to look into.")
        table = self.tables[0]
        vectors: Tensor = table(ids)
        for filler in {row.filler for row in rows if row.absent is not None}:
            chosen = [
                r.absent if r.absent is not None and r.filler == filler else np.zeros(len(r.ids), bool) for r in rows
            ]
            absent = _padded(chosen, False, self._left).to(ids.device)
            fill = torch.zeros_like(vectors[:1, :1])
            if filler is not None:
                fill = table(torch.tensor([[filler]], device=ids.device))
            vectors = torch.where(absent[..., None], fill, vectors)
        return vectors

    @contextmanager
    def still(self) -> Iterator[None]:
        training = [(module, module.training) for module in self.model.modules()]
        asking = [p for p in self.model.parameters() if p.requires_grad]
        try:
            self.model.train(False)
            for p in asking:
                p.requires_grad_(False)
            yield
        finally:
            for p in asking:
                p.requires_grad_(True)
            for module, flag in training:
                module.training = flag

    # ---- what is found out once, at construction --------------------------------------------------------------------

    def _sample(self, words: int) -> Row:
        encoded = self.tokenizer(" ".join(["the"] * words))
        names = [
            n for n in self.tokenizer.model_input_names if n in encoded and n not in ("input_ids", "attention_mask")
        ]
        return Row(np.array(encoded["input_ids"]), {name: np.array(encoded[name]) for name in names})

    def _probe_embeddings(self) -> tuple[nn.Module, ...]:
        batch = self._collated([self._sample(3)])
        return find_embeddings(self.model, batch["input_ids"], lambda: self.model(**batch))

    def _padding_matters(self) -> bool:
        """Does a row answer otherwise beside a longer one than alone? Then only rows of equal length share a batch."""
        short, long = self._sample(2), self._sample(7)
        alone, beside = self.forward([short])[0], self.forward([short, long])[0]
        precise = alone.abs().max().clamp(min=1) * (
            1e-5 if next(self.model.parameters()).dtype == torch.float32 else 1e-2
        )
        return not bool((alone - beside).abs().max() <= precise)


def _padded(rows: Sequence[np.ndarray[Any, Any]], value: Any, left: bool) -> Tensor:
    """[B, longest], filled up with `value`."""
    longest = max(len(row) for row in rows)
    out = np.full((len(rows), longest), value, dtype=rows[0].dtype)
    for b, row in enumerate(rows):
        out[b, longest - len(row) if left else 0 : longest if left else len(row)] = row
    return torch.as_tensor(out)
