"""What the text explainers share: the model's facts, tokens as transformers-interpret writes them, one call into saywhy."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.explanation import Explanation, Explanations
from ...explain.explainer import Explainer
from ...models.protocol import EncodingOptions
from ...tasks.protocol import Task
from .attributions import LIGAttributions
from .errors import AttributionTypeNotSupportedError


class BaseExplainer(ABC):
    """A model and its tokenizer, with what transformers-interpret tells of them."""

    def __init__(self, model: Any, tokenizer: Any):
        self.model, self.tokenizer = model, tokenizer
        config = getattr(model, "config", None)
        self.device = next(model.parameters()).device
        self.model_prefix = getattr(model, "base_model_prefix", "")
        gpt2 = getattr(config, "model_type", "") == "gpt2"
        self.ref_token_id = tokenizer.eos_token_id if gpt2 else tokenizer.pad_token_id
        self.sep_token_id = _first(tokenizer.sep_token_id, tokenizer.eos_token_id)
        self.cls_token_id = _first(tokenizer.cls_token_id, tokenizer.bos_token_id)

    @abstractmethod
    def encode(self, text: str | None = None) -> list[int]:
        """The text's ids, without special tokens."""

    @abstractmethod
    def decode(self, input_ids: Tensor) -> list[str]:
        """The tokens of some ids."""

    @property
    @abstractmethod
    def word_attributions(self) -> Any:
        """The last call's attributions."""

    @abstractmethod
    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Explain one input."""

    @abstractmethod
    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's number."""

    @abstractmethod
    def _calculate_attributions(self, *args: Any, **kwargs: Any) -> Any:
        """Fill the attributions of one input."""

    def __str__(self) -> str:
        return f"{type(self).__name__}(\n\tmodel={type(self.model).__name__},\n\ttokenizer={type(self.tokenizer).__name__},\n)"


class TextExplainer(BaseExplainer):
    """The explainers over text: each call goes down saywhy's line, token by token, from a padded text to the text itself."""

    task: Task

    def __init__(self, model: Any, tokenizer: Any, attribution_type: str = "lig", labels: Sequence[str] | None = None):
        if attribution_type != "lig":
            raise AttributionTypeNotSupportedError(
                f"The attribution type {attribution_type!r} is not supported. Allowed: ['lig'] (integrated gradients)."
            )
        super().__init__(model, tokenizer)
        self.attribution_type = attribution_type
        self.why = Explainer(model, tokenizer, task=self.task, labels=labels)
        self.internal_batch_size: int | None = None
        self.n_steps = 50
        faces = getattr(self.why.model, "tables", {})
        word, position, kind = (faces.get(face, (None,))[0] for face in ("word", "position", "token_type"))
        self.word_embeddings, self.position_embeddings, self.token_type_embeddings = word, position, kind
        self.model_embeddings = getattr(getattr(model, self.model_prefix, None), "embeddings", None)
        self.accepts_position_ids = position is not None
        self.accepts_token_type_ids = "token_type_ids" in tokenizer.model_input_names

    def encode(self, text: str | None = None) -> list[int]:
        """The text's ids, without special tokens; by default of the last text explained."""
        chosen = getattr(self, "text", None) if text is None else text
        return list(self.tokenizer(chosen, add_special_tokens=False, verbose=False)["input_ids"])

    def decode(self, input_ids: Any) -> list[str]:
        """The token of each id: a special one by its name, a word piece with its ##, others as they read in a text."""
        ids = torch.as_tensor(input_ids).reshape(-1).tolist()
        names = self.tokenizer.convert_ids_to_tokens(ids)
        special = set(self.tokenizer.all_special_ids)
        text = self.tokenizer.convert_tokens_to_string
        return [n if i in special else text([n]).strip() or n for i, n in zip(ids, names, strict=True)]

    def _explained(
        self,
        given: list[Any],
        *,
        unit: str,
        embedding_type: int = 0,
        n_steps: int | None = None,
        internal_batch_size: int | None = None,
        default_targets: bool = False,
        **asked: Any,
    ) -> list[Explanations]:
        """The explanations of each input, through saywhy, with transformers-interpret's baseline and its options."""
        embedding = self._embedding(embedding_type)
        model: Any = self.why.model
        absent = (
            "zero" if embedding != "word" else next((a for a in ("pad", "unk", "zero") if a in model.absences), None)
        )
        steps = {} if n_steps is None else {"steps": n_steps}
        usual, model.most_rows = model.most_rows, internal_batch_size or model.most_rows
        settings: dict[str, Any] = {
            "by": "token",
            "trust": "none",
            "unit": unit,
            "absent": absent,
            "embedding": embedding,
            **steps,
            **asked,
        }
        try:
            call = self.why.each_target if default_targets else self.why
            found = call(given, overlong="truncate", **settings)
        finally:
            model.most_rows = usual
        for note in {
            note for each in found for note in (each[0] if default_targets else each).notes if "truncated" in note
        }:
            warnings.warn(note, UserWarning, stacklevel=4)
        return list(found) if default_targets else [Explanations((e,)) for e in found]

    def _embedding(self, kind: int) -> str:
        if kind != 1 or "position" in self.why.model.embeddings:
            return "position" if kind == 1 else "word"
        warnings.warn(
            "This model has no position embeddings that can be explained; the word embeddings are used.",
            UserWarning,
            stacklevel=5,
        )
        return "word"

    def _laid_out(self, given: Any, explanation: Explanation) -> LIGAttributions:
        """The explanation's scores over all tokens of its input, special ones too."""
        encoding = self._encoding(given)
        assert encoding.owner is not None
        scores = np.where(encoding.owner >= 0, explanation.scores[encoding.owner], 0.0)
        return LIGAttributions.of(explanation, self.decode(self._ids(encoding)), scores)

    def _encoding(self, given: Any) -> Any:
        encoding_options = EncodingOptions(by="token", absent=self.why.model.absences[0], overlong="truncate")
        return self.why.task.encode(self.why.model, given, encoding_options)

    def _ids(self, encoding: Any) -> Any:
        row = encoding.whole
        return np.concatenate([part.ids for part in row]) if isinstance(row, tuple) else row.ids

    def _keep_inputs(self, *texts: str) -> None:
        """The tensors of the last input, [1, T], as the model gets them."""
        limit = getattr(self.why.model, "limit", None)
        batch = self.tokenizer(
            *texts, return_tensors="pt", truncation=limit is not None, max_length=limit, verbose=False
        )
        self.input_ids = batch["input_ids"].to(self.device)
        special = torch.tensor([[i in self.tokenizer.all_special_ids for i in self.input_ids[0].tolist()]])
        reference = 0 if self.ref_token_id is None else self.ref_token_id
        self.ref_input_ids = self.input_ids.masked_fill(~special.to(self.device), reference)
        self.attention_mask = batch.get("attention_mask", torch.ones_like(self.input_ids))
        self.token_type_ids = batch.get("token_type_ids")
        self.position_ids = torch.arange(self.input_ids.shape[1], device=self.device)[None]
        ends = (self.input_ids[0] == self.sep_token_id).nonzero() if self.sep_token_id is not None else []
        self.sep_idx = int(ends[0]) if len(ends) else self.input_ids.shape[1]

    def _forward(self, *inputs: Any, **named: Any) -> Tensor:
        """The model's own answer to these tensors, without gradients."""
        with self.why.model.frozen(), torch.no_grad():
            logits: Tensor = self.model(*inputs, **named).logits.float()
        return logits


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
