"""A Hugging Face text model and its tokenizer: ids, or embeddings in place of ids, to logits."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import InputError, ModelError
from ...core.types import Array, Bools, Encoding, Held
from ..heads import HEADS, Wanted
from ..lock import exclusive, frozen
from ..protocol import ABSENCES, EncodingOptions, Model
from .attention import AttentionOutputs, eager, extract_attention, unavailable_reason
from .config import accepted_inputs, forwards_only, label_names, length_limit, output_kind, padding_id
from .embedding import embedded, find_embeddings, looked_up, word_vectors
from .tokens import PLAIN, Absence, Reading, Row, Tokens, blank_id, tokenised, without

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..pipelines import PipelineSettings


_ONE_BY_ONE = (
    "no padding token, so inputs went through the model one at a time; "
    "to batch them set tokenizer.pad_token and model.config.pad_token_id"
)


_NO_BOXES = (
    "the model reads where words stand on a page, and a text does not say: every box is 0, as the tokenizer leaves it; words "
    "with their boxes are not explained here"
)


class TextModel(Model[Row]):
    """Rows are token ids. The model and the tokenizer are the caller's, and stay as they were."""

    reading = PLAIN
    whole = False  # does its forward take one mapping of all inputs?

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        labels: Sequence[str] | None = None,
        head: str = "labels",
        pooling: str = "mean",
    ):
        self.model, self.tokenizer, self.head = model, tokenizer, head
        if head == "vector" and _decodes(model):
            raise ModelError(
                f"{type(model).__name__} has an encoder and a decoder, and no one vector for a text; give its encoder alone, "
                "model.get_encoder(), with task='sentence-similarity'."
            )
        self.name = getattr(model, "name_or_path", "") or type(model).__name__
        self.labels = label_names(model, labels) if head in ("labels", "tokens") else ()
        self.kind = output_kind(model, self.labels) if head == "labels" else "softmax"
        self.wanted = Wanted(len(self.labels), pooling)
        self.pad = padding_id(model, tokenizer)
        self.takes = accepted_inputs(model)
        self.boxes = "bbox" in inspect.signature(model.forward).parameters
        self.most_rows = 1 if self.pad is None else None
        self.limit = length_limit(model, tokenizer)
        self.batch_tokens = 1_024 if self.device.type == "cpu" else 32_768
        with self.frozen(), torch.no_grad():
            self._take_whole_batch()
            self.tables = self._probe_embeddings()
            self.embeddings = tuple(self.tables)
            self.differentiable = bool(self.tables) and not forwards_only(model)
            self.absences = self._absences()
            self.uniform = self.pad is not None and self._padding_matters()
        self.attention_unavailable = unavailable_reason(model, self.differentiable)

    def follow(self, settings: PipelineSettings) -> None:
        super().follow(settings)
        self.reading = Reading(before=settings.prompt, cut=settings.cut)
        self.wanted = replace(self.wanted, width=settings.width, normalised=settings.normalised)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    # ---- the input -------------------------------------------------------------------------------------------------

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: Held | None = None) -> Encoding:
        """The rows of one text, or of a pair, as `model(**tokenizer(text))` would see them; windows of it as their tuple."""
        with exclusive(self.tokenizer):  # truncation is a state of a tokenizer, which another thread would change
            t = tokenised(self.tokenizer, texts, self.limit, options, held or Held(), self.reading)
        self._refuse_unknown_ids(t)
        rows = self._windows(t, options.embedding)
        replacement_id = self.replacement_id(options.absent)
        in_ids = options.embedding == "word" and (replacement_id != self.pad or not self.tables)
        absence = Absence(options.absent, blank_id(self.tokenizer), replacement_id, in_ids)

        def at(coalitions: Bools) -> list[Any]:
            gone = (t.owner >= 0) & ~coalitions[:, t.owner]  # [N, S]
            made = zip(*(without(row, gone[:, places], absence) for row, places in rows), strict=True)
            return [row if t.windows else row[0] for row in made]

        owner = np.concatenate([t.owner[places] for _, places in rows])
        notes = t.notes + (() if self.pad is not None else (_ONE_BY_ONE,)) + ((_NO_BOXES,) if self.boxes else ())
        return Encoding(texts, t.features, at, owner, notes, self.labels if self.head == "labels" else (), t.tokens)

    def _refuse_unknown_ids(self, t: Tokens) -> None:
        """Raises InputError for an id that the model has no embedding of."""
        known = self._known_ids()
        if known is not None and len(t.row.ids) and int(t.row.ids.max()) >= known:
            place = int(t.row.ids.argmax())
            raise InputError(
                f"The tokenizer gives {t.tokens[place].label!r} the id {int(t.row.ids[place])}, and the model has embeddings of "
                f"{known} tokens: take the tokenizer that belongs to the model, or model.resize_token_embeddings(len(tokenizer))."
            )

    def _windows(self, t: Tokens, embedding: str) -> list[tuple[Row, Any]]:
        """Each window's row and the positions it holds; a text that fits is one window that holds all of them."""
        blanks = t.row.ids == self.tokenizer.mask_token_id if self.head == "blanks" else None
        whole = replace(t.row, embedding=embedding, read=None if blanks is None else np.flatnonzero(blanks))
        if not t.windows:
            return [(whole, slice(None))]
        placed = self.head in ("tokens", "span")
        return [
            (replace(whole.only(w), places=w, whole=len(t.tokens)) if placed else whole.only(w), w) for w in t.windows
        ]

    def replacement_id(self, absent: str) -> int | None:
        """The id that stands for an absent token; None for the zero vector, for dropping, and for one the model does not know."""
        token = {"mask": self.tokenizer.mask_token_id, "pad": self.pad, "unk": self.tokenizer.unk_token_id}.get(absent)
        known = self._known_ids()
        return None if token is None or (known is not None and int(token) >= known) else int(token)

    def _known_ids(self) -> int | None:
        """How many tokens the model has embeddings of, where its tables tell."""
        table = self.tables.get("word", ())
        return min((int(m.weight.shape[0]) for m in table if isinstance(m, nn.Embedding)), default=None)

    def _absences(self) -> tuple[str, ...]:
        has = {name: self.replacement_id(name) is not None for name in ("mask", "pad", "unk")}
        bare = len(self.tokenizer("")["input_ids"]) == 0  # with nothing left to look at, attention has no answer
        masked = "attention_mask" in self.tokenizer.model_input_names and not bare
        has |= {"zero": self.differentiable, "drop": True, "hide": masked and self._hides()}
        return tuple(name for name in ABSENCES if has[name])

    # ---- the model -------------------------------------------------------------------------------------------------

    @property
    def module(self) -> nn.Module:
        return self.model

    @property
    def text_tokenizer(self) -> PreTrainedTokenizerBase:
        return self.tokenizer

    def sizes(self, rows: Sequence[Row]) -> list[int]:
        return [len(row.ids) for row in rows]

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [
            (
                row.ids.tobytes(),
                tuple([values.tobytes() for values in row.extras.values()]),
                tuple([None if m is None else m.tobytes() for m in (row.absent, row.hidden, row.read, row.places)]),
                row.replacement_id,
                row.embedding,
            )
            for row in rows
        ]

    def forward(self, rows: Sequence[Row], points: Sequence[Tensor] | None = None) -> Tensor | list[Tensor]:
        out, at = self._called(rows, points)
        return HEADS[self.head].read(out, rows, at, self.wanted)

    def attention_maps(self, rows: Sequence[Row], points: Sequence[Tensor]) -> AttentionOutputs:
        """The outputs at these embeddings, and what every head looked at. MethodError where the model does not say."""
        with eager(self.model):
            out, at = self._called(rows, points, output_attentions=True, output_hidden_states=True)
            return extract_attention(
                out, at, HEADS[self.head].read(out, rows, at, self.wanted), type(self.model).__name__
            )

    def _called(
        self, rows: Sequence[Row], points: Sequence[Tensor] | None, **more: bool
    ) -> tuple[Any, Sequence[slice]]:
        """The model's answer, and where each row's positions are in it."""
        batch = self._collated(rows)
        vectors: Tensor | None = None
        if points is not None:
            vectors = together(points, self._left)
        elif any(row.absent is not None for row in rows):
            vectors = self._filled(batch[self.ids_name], rows)
        embedding = rows[0].embedding
        if vectors is None:
            out = self._asked(batch, **more)
        else:
            with embedded(embedding, self.tables.get(embedding, ()), batch[self.ids_name], vectors):
                out = self._asked(batch, **more)
        longest = batch[self.ids_name].shape[1]
        return out, [slice(longest - len(r.ids), longest) if self._left else slice(0, len(r.ids)) for r in rows]

    def _asked(self, batch: Mapping[str, Tensor], **more: bool) -> Any:
        """The model's answer: its inputs by name, or all of them as one mapping, as a tokenizer gives them."""
        if not self.whole:
            return self.model(**batch, **more)
        from transformers import BatchEncoding

        return self.model(BatchEncoding(dict(batch)), **more)

    @property
    def ids_name(self) -> str:
        """What the model calls the ids."""
        return "input_ids" if self.takes is None else self.takes["input_ids"]

    @property
    def _left(self) -> bool:
        return bool(self.tokenizer.padding_side == "left")

    def _collated(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        ids = padded([r.ids for r in rows], self.pad or 0, self._left)
        batch = {"input_ids": ids}  # under transformers' names; `taken` below has the model's own
        if "attention_mask" in self.tokenizer.model_input_names or (self.takes and "attention_mask" in self.takes):
            batch["attention_mask"] = padded([_shown(r) for r in rows], 0, self._left)
        for name in rows[0].extras:
            blank = getattr(self.tokenizer, "pad_token_type_id", 0) if name == "token_type_ids" else 0
            batch[name] = padded([r.extras[name] for r in rows], blank, self._left)
        device = self.device
        taken = (
            batch if self.takes is None else {self.takes[name]: v for name, v in batch.items() if name in self.takes}
        )
        return {name: values.to(device) for name, values in taken.items()}

    def embed(self, row: Row) -> Tensor:
        return self._filled(torch.as_tensor(row.ids, device=self.device)[None], [row])[0].float()

    def _filled(self, ids: Tensor, rows: Sequence[Row]) -> Tensor:
        """[B, S, D]: the embeddings of the ids [B, S] that are looked at, with the absent positions' replaced."""
        embedding = rows[0].embedding
        if embedding not in self.tables:
            raise ModelError(f"{type(self.model).__name__} has no {embedding} embeddings to look into.")
        tables = self.tables[embedding]

        def answer(ids: Tensor) -> Tensor:
            if embedding == "word":
                return word_vectors(tables, ids, lambda ids: self._asked({**self._collated(rows), self.ids_name: ids}))
            return looked_up(tables[0], ids, lambda: self._asked(self._collated(rows)))

        vectors = answer(ids)
        for replacement_id in {row.replacement_id for row in rows if row.absent is not None}:
            chosen = [
                r.absent if r.absent is not None and r.replacement_id == replacement_id else np.zeros(len(r.ids), bool)
                for r in rows
            ]
            absent = padded(chosen, False, self._left).to(ids.device)
            fill = (
                torch.zeros_like(vectors)
                if replacement_id is None
                else answer(torch.where(absent, replacement_id, ids))
            )
            vectors = torch.where(absent[..., None], fill, vectors)
        return vectors

    def frozen(self) -> AbstractContextManager[None]:
        return frozen(self.model)

    # ---- what is found out once, at construction --------------------------------------------------------------------

    def _sample(self, words: int) -> Row:
        text = " ".join(["the"] * words)
        encoded = self.tokenizer("the", text) if self.head == "span" else self.tokenizer(text)
        names = [
            n for n in self.tokenizer.model_input_names if n in encoded and n not in ("input_ids", "attention_mask")
        ]
        return Row(np.array(encoded["input_ids"]), {name: np.array(encoded[name]) for name in names})

    def _take_whole_batch(self) -> None:
        """A forward of one argument takes the ids, or where it fails with them the mapping of all that the tokenizer gives."""
        if self.takes is None or len(inspect.signature(self.model.forward).parameters) > 1:
            return
        row, takes = self._sample(3), self.takes
        try:
            self._asked(self._collated([row]))
        except Exception as error:  # of whatever it does with ids
            self.whole, self.takes = True, None
            try:
                self._asked(self._collated([row]))
            except Exception:  # neither: what it says of the ids is what counts
                self.whole, self.takes = False, takes
                raise ModelError(
                    f"{type(self.model).__name__}.forward takes neither the ids nor a mapping of all inputs as its one argument: "
                    f"{type(error).__name__}: {error!s:.200} Wrap it in a module whose forward takes (input_ids, attention_mask)."
                ) from error

    def _probe_embeddings(self) -> dict[str, tuple[nn.Module, ...]]:
        batch = self._collated([self._sample(3)])
        found = find_embeddings(self.model, batch[self.ids_name], lambda: self._asked(batch))
        return found if found["word"] else {}

    def _hides(self) -> bool:
        """Does the attention mask take a position out? Its word must then make no difference to the answer."""
        row = self._sample(7)
        gone = np.arange(len(row.ids)) == len(row.ids) // 2
        taken = {*self.tokenizer.all_special_ids, *row.ids.tolist()}
        another = next((i for i in range(len(self.tokenizer)) if i not in taken), 0)
        other = replace(row, ids=np.where(gone, another, row.ids), hidden=gone)
        one, two = self.forward([replace(row, hidden=gone), other])
        return bool(torch.isfinite(one).all()) and bool(torch.allclose(one, two, atol=1e-5, rtol=1e-4))

    def _padding_matters(self) -> bool:
        """Does a row answer otherwise beside a longer one than alone? Then only rows of equal length share a batch."""
        short, long = self._sample(5), self._sample(11)
        alone, beside = self.forward([short])[0], self.forward([short, long])[0]
        precise = alone.abs().max().clamp(min=1) * (
            1e-5 if next(self.model.parameters()).dtype == torch.float32 else 1e-2
        )
        return not bool((alone - beside).abs().max() <= precise)


def _shown(row: Row) -> Array:
    """[S]: 1 where the model may look."""
    return np.ones(len(row.ids), np.int64) if row.hidden is None else (~row.hidden).astype(np.int64)


def _decodes(model: PreTrainedModel) -> bool:
    whole = not type(model).__name__.endswith(("Encoder", "EncoderModel", "Stack"))
    return whole and bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def padded(rows: Sequence[np.ndarray[Any, Any]], value: object, left: bool) -> Tensor:
    """[B, longest], filled up with `value`."""
    longest = max(len(row) for row in rows)
    out = np.full((len(rows), longest), value, dtype=rows[0].dtype)
    for b, row in enumerate(rows):
        out[b, longest - len(row) if left else 0 : longest if left else len(row)] = row
    return torch.as_tensor(out)


def together(points: Sequence[Tensor], left: bool = False) -> Tensor:
    """[B, longest, D]: rows of vectors [S, D], filled up with zeros.

    As torch's pad_sequence; but that writes row after row into one tensor, and its way back copies all of it for each row.
    """
    longest = max(len(point) for point in points)
    gaps = [longest - len(point) for point in points]
    return torch.stack(
        [
            nn.functional.pad(point, (0, 0, gap, 0) if left else (0, 0, 0, gap)) if gap else point
            for point, gap in zip(points, gaps, strict=True)
        ]
    )
