"""A language model and its tokenizer: prompts, or embeddings in their place, to the log-probabilities of continuations."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import InputError, ModelError
from ...core.types import Encoding, Held, Ints
from ..heads import HEADS, Wanted, vocabulary_at
from ..lock import exclusive, frozen
from ..protocol import ABSENCES, EncodingOptions, Model
from ..text.config import forwards_only, length_limit
from ..text.embedding import embedded, find_embeddings, word_vectors
from ..text.model import padded, together
from .encode import encoding_of, goal_of, ids_of
from .prefix_cache import bundles, code_of, reusable, shared_answers
from .probe import apart, second_block, states_after
from .prompts import Goal, Prompt, Scored, rendered

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..pipelines import PipelineSettings

_NOT_DRAWN: dict[str, Any] = {
    "do_sample": False,
    "temperature": None,
    "top_p": None,
    "top_k": None,
}  # the same text each time
_NOT_DRAWN |= {"num_return_sequences": 1, "return_dict_in_generate": False}  # and that alone


class LanguageModel(Model[Scored]):
    """Rows are prompts with a continuation; a row's output is the log-probability of each token of it, float32 [T].

    One forward with the continuation in place ("teacher forcing") gives them all, and only their positions go through the
    vocabulary. Rows are padded on the right, where a causal model never looks, whatever the tokenizer's side.
    """

    head = "next"
    labels: tuple[str, ...] = ()
    kind = "softmax"
    prefix_sharing = True
    most_rows: int | None = None
    writing: Mapping[str, Any] = MappingProxyType({})  # what a pipeline told the model's generate
    shares: bool | None  # can beginnings be computed once and kept? None: not tried yet

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        self.model, self.tokenizer = model, tokenizer
        self.name = getattr(model, "name_or_path", "") or type(model).__name__
        self.config: Any = getattr(model, "config", None)
        self.vocabulary = (
            int(getattr(self.config.get_text_config(), "vocab_size", 0) or 0) if self.config is not None else 0
        )
        self.decodes = bool(getattr(self.config, "is_encoder_decoder", False))
        self.takes = dict(inspect.signature(model.forward).parameters)  # a dict, so that the adapter can be copied
        if not self._accepts("input_ids"):
            raise ModelError(
                f"{type(model).__name__}.forward takes no input_ids: wrap it in a module whose forward takes (input_ids, "
                "attention_mask)."
            )
        self.decoder_prefix = self._decoder_prefix()
        self.limit = length_limit(model, tokenizer)
        self.batch_tokens = 1_024 if self.device.type == "cpu" else 32_768
        self.exact = next((p.dtype for p in model.parameters()), torch.float32) == torch.float32
        self.shares = None if reusable(model, self.decodes, self.takes) else False
        self.uniform = False
        self.tables: tuple[nn.Module, ...] = ()
        with self.frozen(), torch.no_grad():
            self._found_out()
        if self.uniform:
            self.shares = False
        self.differentiable = bool(self.tables) and not forwards_only(model)
        self.embeddings: tuple[str, ...] = ("word",) if self.tables else ()
        has = {name: self.replacement_id(name) is not None for name in ("mask", "pad", "unk")}
        has |= {"zero": self.differentiable, "drop": True}
        self.absences = tuple(name for name in ABSENCES if has.get(name))

    @property
    def generation(self) -> Any:
        """What the model was told of how it writes, which may change at any time."""
        return getattr(self.model, "generation_config", None)

    def follow(self, settings: PipelineSettings) -> None:
        super().follow(settings)
        self.writing = settings.writing

    @property
    def device(self) -> torch.device:
        first = next(self.model.parameters(), None)
        return torch.device(getattr(self.model, "device", "cpu")) if first is None else first.device

    def frozen(self) -> AbstractContextManager[None]:
        return frozen(self.model)

    # ---- the input -------------------------------------------------------------------------------------------------

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: Held | None = None) -> Encoding:
        return self.encode_prompt(Prompt("\n".join(texts.values())), options)

    def encode_prompt(self, prompt: Prompt, options: EncodingOptions) -> Encoding:
        """The rows of a prompt or a template with its continuations. Raises InputError before any forward."""
        with exclusive(self.tokenizer):  # truncation is a state of a tokenizer, which another thread would change
            return encoding_of(self, prompt, options)

    def replacement_id(self, absent: str) -> int | None:
        """The id that stands for an absent token; None for the zero vector and for dropping."""
        t = self.tokenizer
        token = {"mask": t.mask_token_id, "pad": t.pad_token_id, "unk": t.unk_token_id}.get(absent)
        return None if token is None else int(token)

    # ---- the model -------------------------------------------------------------------------------------------------

    @property
    def module(self) -> nn.Module:
        return self.model

    @property
    def text_tokenizer(self) -> PreTrainedTokenizerBase:
        return self.tokenizer

    def sizes(self, rows: Sequence[Scored]) -> list[int]:
        return [len(row.ids) + (0 if self.decodes else max(0, len(row.goal) - 1)) for row in rows]

    def keys(self, rows: Sequence[Scored]) -> list[Hashable]:
        return [
            (
                row.ids.tobytes(),
                row.goal.tobytes(),
                row.width,
                None if row.absent is None else row.absent.tobytes(),
                row.replacement_id,
            )
            for row in rows
        ]

    def bundles(self, rows: Sequence[Scored], budget: int) -> list[list[int]] | None:
        """Batches of rows whose prompts begin alike, which `forward` computes once; None where little is shared."""
        return None if self.shares is False else bundles([code_of(row) for row in rows], budget)

    def forward(self, rows: Sequence[Scored], points: Sequence[Tensor] | None = None) -> list[Tensor]:
        shared = None if points is not None or self.shares is False else shared_answers(self, rows)
        return self.plain(rows, points) if shared is None else shared

    def plain(self, rows: Sequence[Scored], points: Sequence[Tensor] | None = None) -> list[Tensor]:
        """The answers with every row computed from its beginning."""
        batch = self.collated(rows)
        vectors: Tensor | None = None
        if points is not None:
            vectors = together(points)
        elif any(row.absent is not None for row in rows):
            vectors = self.filled(batch["input_ids"], rows)
        return self.through(batch.pop("input_ids"), rows, vectors, 0, batch)

    def through(
        self, ids: Tensor, rows: Sequence[Scored] | None, vectors: Tensor | None, start: int, more: Mapping[str, Any]
    ) -> list[Tensor]:
        """The answers of rows whose positions from `start` on are `ids` [B, S]; with no rows, nothing is read off."""
        starts = [len(self.decoder_prefix) - 1 if self.decodes else len(row.ids) - 1 - start for row in rows or ()]
        read = [begin + np.arange(len(row.goal)) for begin, row in zip(starts, rows or (), strict=True)]
        places = padded(read or [np.zeros(1, dtype=np.int64)] * len(ids), 0, False)
        with self._face(ids, vectors), vocabulary_at(self.model, places.to(self.device)) as cut:
            out = self.model(input_ids=ids, **more)
        if rows is None:
            return []
        at = [slice(0, len(r.goal)) if cut else slice(s, s + len(r.goal)) for s, r in zip(starts, rows, strict=True)]
        return list(HEADS[self.head].read(out, rows, at, Wanted()))

    def _face(self, ids: Tensor, vectors: Tensor | None) -> AbstractContextManager[None]:
        """The look-ups of the prompt's ids answer `vectors`; of a model with a decoder the input table's first alone."""
        if vectors is None:
            return nullcontext()
        return (
            embedded("first", self.tables[:1], ids, vectors)
            if self.decodes
            else embedded("word", self.tables, ids, vectors)
        )

    def collated(self, rows: Sequence[Scored]) -> dict[str, Any]:
        """What the model is called with: ids padded on the right, and the mask that says so."""
        before = [row.ids if self.decodes else np.concatenate([row.ids, row.goal[:-1]]) for row in rows]
        pad = self.tokenizer.pad_token_id or 0
        batch = {"input_ids": padded(before, pad, False)}
        if self._accepts("attention_mask"):
            batch["attention_mask"] = padded([np.ones(len(ids), np.int64) for ids in before], 0, False)
        if self.decodes:
            after = [np.concatenate([self.decoder_prefix, row.goal[:-1]]) for row in rows]
            batch["decoder_input_ids"] = padded(after, pad, False)
        made: dict[str, Any] = {name: values.to(self.device) for name, values in batch.items()}
        return made | ({"use_cache": False} if "use_cache" in self.takes else {})

    def _accepts(self, name: str) -> bool:
        return name in self.takes or any(p.kind is p.VAR_KEYWORD for p in self.takes.values())

    def embed(self, row: Scored) -> Tensor:
        return self.filled(self.collated([row])["input_ids"], [row])[0].float()

    def filled(self, ids: Tensor, rows: Sequence[Scored]) -> Tensor:
        """[B, S, D]: the embeddings of prompts and continuations, with the absent positions' replaced."""
        if not self.tables:
            raise ModelError(f"{type(self.model).__name__} has no embeddings to look into.")
        tables = self.tables[:1] if self.decodes else self.tables

        def looked(ids: Tensor) -> Tensor:
            return word_vectors(tables, ids, lambda ids: self.model(input_ids=ids))

        vectors = looked(ids).clone()
        for b, row in enumerate(rows):
            if row.absent is not None:
                gone = torch.as_tensor(np.flatnonzero(row.absent), device=ids.device)
                fill = (
                    0.0 if row.replacement_id is None else looked(torch.full_like(ids[:1], row.replacement_id))[0, gone]
                )
                vectors[b, gone] = fill
        return vectors

    def count(self, goal: Goal) -> int:
        """How many tokens a continuation has."""
        return len(goal_of(self, goal))

    def length(self, prompt: Prompt, usual: int) -> int:
        told, whole = (getattr(self.generation, name, None) for name in ("max_new_tokens", "max_length"))
        if told is not None or whole is None:
            return usual if told is None else int(told)
        before = self.decoder_prefix if self.decodes else ids_of(self, rendered(prompt.given, self.tokenizer))
        return min(usual, whole - len(before)) if whole > len(before) else usual

    def generate(
        self, prompt: Prompt, most: int, settings: Mapping[str, Any] | None = None, *, with_end: bool = False
    ) -> tuple[int, ...]:
        """The ids that the model itself writes after a prompt, up to `most`, as its generation_config says but without drawing:
        greedily or by beams; without what ends them, unless `with_end`.

        `settings` go to the model's generate.
        """
        ids = ids_of(self, rendered(prompt.given, self.tokenizer))
        write: Any = getattr(self.model, "generate", None)
        if not callable(write):
            raise ModelError(f"{type(self.model).__name__} has no generate(): give the target yourself.")
        before = len(self.decoder_prefix) if self.decodes else len(ids)
        room = most if self.limit is None or self.decodes else min(most, self.limit - before)
        if room < 1:
            raise InputError(
                f"The prompt has {len(ids)} tokens and the model can read {self.limit}: no room for an answer."
            )
        row = torch.as_tensor(ids, device=self.device)[None]
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        drawn = settings is not None and bool(settings.get("do_sample"))
        told = {"pad_token_id": pad, **({} if drawn else _NOT_DRAWN), **self.writing, **(settings or {})}
        if told.get("stop_strings") or getattr(self.generation, "stop_strings", None):
            told.setdefault("tokenizer", self.tokenizer)  # by which they are found in what is written
        try:
            with self.frozen(), torch.no_grad():
                out = write(input_ids=row, attention_mask=torch.ones_like(row), max_new_tokens=room, **told)
        except ValueError as error:  # of settings that do not go together, or that need more than the model
            said = str(error).strip().splitlines()[0]
            raise ModelError(
                f"{type(self.model).__name__}.generate() refuses the settings in its generation_config: {said:.300} Change "
                "them, or give the target=… yourself."
            ) from error
        known = (getattr(self.generation, "eos_token_id", None), self.tokenizer.eos_token_id)
        ends = np.atleast_1d(next((end for end in known if end is not None), -1)).tolist()
        new = out[0, before:].tolist()
        new = new[: next((i + with_end for i, token in enumerate(new) if token in ends), len(new))]
        if not new:
            raise InputError(
                "The model wrote nothing after this prompt: it ended at once. Give the target=… that you expected of it."
            )
        return tuple(new)

    # ---- what is found out once, at construction --------------------------------------------------------------------

    def _decoder_prefix(self) -> Ints:
        """What a decoder is given before the continuation: its start token, and the one it is forced to begin with."""
        if not self.decodes:
            return np.zeros(0, dtype=np.int64)
        told = (self.generation, self.config)

        def first(name: str) -> list[int]:
            found = [i for c in told if (i := getattr(c, name, None)) is not None]
            return [int(found[0])] if found else []

        start = first("decoder_start_token_id") or first("bos_token_id") or [int(self.tokenizer.pad_token_id or 0)]
        return np.array(start + first("forced_bos_token_id"), dtype=np.int64)

    def _sample(self, words: int, goal: Sequence[int]) -> Scored:
        ids = self.tokenizer(" ".join(["the"] * words), verbose=False)["input_ids"] or [0]
        return Scored(np.array(ids), np.array(goal), len(goal))

    def _found_out(self) -> None:
        """Where words are looked up, and whether a row answers otherwise beside a longer one.

        Read off the model's first two blocks where all are alike, else off its answers. Raises ModelError for a model that
        sees what it is to predict.
        """
        short, long, other = self._sample(2, [0, 0, 0]), self._sample(7, [0, 1, 0]), self._sample(2, [0, 1, 0])
        block = second_block(self.model)
        rows = [short, long]
        ids = self.collated(rows)["input_ids"]
        answers: list[list[Tensor]] = []
        self.tables = find_embeddings(self.model, ids, lambda: answers.append(self._told(rows, block)))["word"]
        [alone], [changed] = self._told([short], block), self._told([other], block)
        precise = 1e-5 if self.exact else 1e-2
        if apart(alone[0], changed[0]) > precise / 10:  # of equal shape: the same to the last digits
            raise ModelError(
                f"{type(self.model).__name__} looks ahead at the words it is to predict (a decoder needs is_decoder=True); "
                "its probabilities of a continuation mean nothing. Where it has a call that does not, give a function of it: "
                "Explainer(function, labels=[...]), which 'kernel_shap' and 'occlusion' explain."
            )
        self.uniform = not apart(alone, answers[0][0]) <= precise

    def _told(self, rows: Sequence[Scored], block: nn.Module | None) -> list[Tensor]:
        """For each row what the model makes of the places that predict its continuation: [T, D] of a block, or [T]."""
        if block is not None:
            batch = self.collated(rows)
            states = states_after(block, lambda: self.model(**batch))
            if states is not None:
                starts = [len(row.ids) - 1 for row in rows]
                return [
                    states[b, start : start + len(row.goal)]
                    for b, (row, start) in enumerate(zip(rows, starts, strict=True))
                ]
        return [told[: len(row.goal)] for row, told in zip(rows, self.forward(rows), strict=True)]
