"""What the text explainers share: the model's facts, tokens as transformers-interpret writes them, one call into saywhy."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import InputError
from ...core.explanation import Explanation, Explanations
from ...core.frames import several_inputs
from ...core.types import Encoding, Ints
from ...explain.explainer import Explainer
from ...models.protocol import EncodingOptions
from ...models.text.config import own_names
from ...tasks.protocol import Task, WantedTarget
from .attributions import LIGAttributions
from .errors import AttributionTypeNotSupportedError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
    from transformers.utils.generic import ModelOutput

Input: TypeAlias = "str | tuple[str, str] | Mapping[str, Any]"  # a text, a pair of them, or a text and its labels

# Their positions are offset (RoBERTa) or were no argument of forward() when transformers-interpret was written (DistilBERT):
# there `embedding_type=1` explains the word embeddings of these, with a warning.
WITHOUT_POSITION_IDS = ("roberta", "distilbert")
USUAL_STEPS = 50  # stands for "as many as the integral needs" until somebody sets another number


class BaseExplainer(ABC):
    """A model and its tokenizer, with what transformers-interpret tells of them.

    The members and the helpers that subclasses call there are here: token ids with their padded reference, token types,
    positions and the attention mask.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        self.model, self.tokenizer = model, tokenizer
        self.device = next(model.parameters()).device
        self.model_prefix: str = getattr(model, "base_model_prefix", "")
        kind = getattr(getattr(model, "config", None), "model_type", "")
        self.ref_token_id = tokenizer.eos_token_id if kind == "gpt2" else tokenizer.pad_token_id
        self.sep_token_id = _first(tokenizer.sep_token_id, tokenizer.eos_token_id)
        self.cls_token_id = _first(tokenizer.cls_token_id, tokenizer.bos_token_id)
        usual = kind not in WITHOUT_POSITION_IDS
        self.accepts_position_ids = usual and self._model_forward_signature_accepts_parameter("position_ids")
        self.accepts_token_type_ids = usual and self._model_forward_signature_accepts_parameter("token_type_ids")
        inputs = getattr(model, "get_input_embeddings", None)
        self.word_embeddings: nn.Module | None = inputs() if callable(inputs) else None
        self.position_embeddings: nn.Module | None = None
        self.token_type_embeddings: nn.Module | None = None
        self.model_embeddings: nn.Module | None = None
        self._set_available_embedding_types()

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
    def _run(self, *args: Any, **kwargs: Any) -> object:
        """Explain one input."""

    @abstractmethod
    def _forward(self, *args: Any, **kwargs: Any) -> object:
        """The model's number."""

    @abstractmethod
    def _calculate_attributions(self, *args: Any, **kwargs: Any) -> object:
        """Fill the attributions of one input."""

    def _model_forward_signature_accepts_parameter(self, parameter: str) -> bool:
        return parameter in inspect.signature(self.model.forward).parameters

    def _set_available_embedding_types(self) -> None:
        """Find the embeddings of positions and token types by the names that most encoders give them."""
        inner = getattr(self.model, self.model_prefix, None)
        self.position_embeddings = getattr(inner, "wpe", None)
        self.model_embeddings = getattr(inner, "embeddings", None)
        if self.model_embeddings is not None:
            self.position_embeddings = getattr(self.model_embeddings, "position_embeddings", self.position_embeddings)
            self.token_type_embeddings = getattr(self.model_embeddings, "token_type_embeddings", None)

    def _make_input_reference_pair(self, *texts: str) -> tuple[Tensor, Tensor, int]:
        """(ids [1, T], reference ids [1, T], tokens before the first separator without special tokens).

        The ids are the tokenizer's own; in the reference all but the special tokens are `ref_token_id`.
        """
        if not all(isinstance(text, str) for text in texts):
            raise NotImplementedError("Lists of text are not supported here: give one text, or call the explainer.")
        ids = self.tokenizer(*texts, return_tensors="pt", verbose=False)["input_ids"].to(self.device)
        reference = 0 if self.ref_token_id is None else self.ref_token_id
        first = self.tokenizer(texts[0], add_special_tokens=False, verbose=False)["input_ids"]
        return ids, ids.masked_fill(~self._special(ids), reference), len(first)

    def _special(self, input_ids: Tensor) -> Tensor:
        """Which of the ids are special tokens: bool, of the same shape. A model that names none of its own has none."""
        known = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        return torch.isin(input_ids, torch.tensor(sorted(known), dtype=input_ids.dtype, device=input_ids.device))

    def _make_input_reference_token_type_pair(self, input_ids: Tensor, sep_idx: int = 0) -> tuple[Tensor, Tensor]:
        """(0 up to `sep_idx` and 1 after it, all 0), both [1, T]. The explainers use the tokenizer's own token types."""
        types = (torch.arange(input_ids.shape[1], device=self.device) > sep_idx).long().expand_as(input_ids)
        return types, torch.zeros_like(types)

    def _make_input_reference_position_id_pair(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """(0, 1, 2, … and all 0), both [1, T]."""
        positions = torch.arange(input_ids.shape[1], device=self.device).expand_as(input_ids)
        return positions, torch.zeros_like(positions)

    def _make_attention_mask(self, input_ids: Tensor) -> Tensor:
        return torch.ones_like(input_ids)

    def _get_preds(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> ModelOutput:
        """The model's answer to these tensors; those that it does not accept are left out."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        inputs |= {"token_type_ids": token_type_ids} if self.accepts_token_type_ids else {}
        inputs |= {"position_ids": position_ids} if self.accepts_position_ids else {}
        answer: ModelOutput = self.model(**inputs)
        return answer

    def __str__(self) -> str:
        names = f"model={type(self.model).__name__},\n\ttokenizer={type(self.tokenizer).__name__}"
        return f"{type(self).__name__}(\n\t{names})"


class TextExplainer(BaseExplainer):
    """The explainers over text: each call goes down saywhy's line, token by token, from a padded text to the text itself."""

    task: Task

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        attribution_type: str = "lig",
        labels: Sequence[str] | None = None,
    ):
        if attribution_type != "lig":
            raise AttributionTypeNotSupportedError(
                f"The attribution type {attribution_type!r} is not supported. Allowed: ['lig'] (integrated gradients)."
            )
        super().__init__(model, tokenizer)
        self.attribution_type = attribution_type
        self.why = Explainer(model, tokenizer, task=self.task, labels=labels)
        self.internal_batch_size: int | None = None
        self.n_steps = USUAL_STEPS
        tables = getattr(self.why.model, "tables", {})
        self.word_embeddings = tables.get("word", (self.word_embeddings,))[0]
        self.position_embeddings = tables.get("position", (self.position_embeddings,))[0]
        self.token_type_embeddings = tables.get("token_type", (self.token_type_embeddings,))[0]

    def encode(self, text: str | None = None) -> list[int]:
        """The text's ids, without special tokens; by default of the last text explained."""
        chosen = getattr(self, "text", None) if text is None else text
        return list(self.tokenizer(chosen, add_special_tokens=False, verbose=False)["input_ids"])

    def decode(self, input_ids: Tensor | Ints) -> list[str]:
        """The token of each id: a special one by its name, a word piece with its ##, others as they read in a text."""
        ids = torch.as_tensor(input_ids).reshape(-1).tolist()
        names = self.tokenizer.convert_ids_to_tokens(ids)
        special = set(self.tokenizer.all_special_ids)
        text = self.tokenizer.convert_tokens_to_string
        return [n if i in special else text([n]).strip() or n for i, n in zip(ids, names, strict=True)]

    def _explained(
        self,
        inputs: Sequence[Input],
        *,
        unit: str,
        embedding_type: int | None = 0,
        n_steps: int | None = None,
        internal_batch_size: int | None = None,
        targets: Sequence[WantedTarget] | None = None,
        each_target: bool = False,
        **settings: object,
    ) -> list[Explanations]:
        """The explanations of each input, through saywhy, with transformers-interpret's baseline and its options.

        `each_target` explains all of `targets`, or of the task's own, from the same forwards.
        """
        embedding = self._embedding(embedding_type)
        model: Any = self.why.model
        absent = (
            "zero" if embedding != "word" else next((a for a in ("pad", "unk", "zero") if a in model.absences), None)
        )
        if n_steps is None and self.n_steps != USUAL_STEPS:
            n_steps = self.n_steps
        asked: dict[str, Any] = settings | {
            "by": "token",
            "trust": "none",
            "unit": unit,
            "absent": absent,
            "embedding": embedding,
        }
        asked |= {} if n_steps is None else {"steps": n_steps}
        usual = model.most_rows
        model.most_rows = internal_batch_size or self.internal_batch_size or usual
        try:
            if each_target:
                found = list(self.why.each_target(list(inputs), targets, overlong="truncate", **asked))
            else:
                found = [Explanations((e,)) for e in self.why(list(inputs), overlong="truncate", **asked)]
        finally:
            model.most_rows = usual
        for note in {note for each in found for note in each[0].notes if "truncated" in note}:
            warnings.warn(note, UserWarning, stacklevel=4)
        return found

    def _embedding(self, kind: int | None) -> str:
        if kind != 1:
            return "word"
        if self.accepts_position_ids and "position" in self.why.model.embeddings:
            return "position"
        warnings.warn(
            "This model has no position embeddings that can be explained; the word embeddings are used.",
            UserWarning,
            stacklevel=5,
        )
        return "word"

    def _laid_out(self, given: Input, explanation: Explanation) -> LIGAttributions:
        """The explanation's scores over all tokens of its input, special ones too."""
        encoding = self._encoding(given)
        assert encoding.owner is not None
        scores = np.where(encoding.owner >= 0, explanation.scores[encoding.owner], 0.0)
        return LIGAttributions.of(explanation, self.decode(self._ids(encoding)), scores)

    def _nothing(self) -> LIGAttributions:
        """The attributions of a blank text, where there is nothing to give a score to."""
        tokens = self.decode(self.input_ids)
        return LIGAttributions.of(None, tokens, np.zeros(len(tokens)))

    def _encoding(self, given: Input) -> Encoding:
        encoding_options = EncodingOptions(by="token", absent=self.why.model.absences[0], overlong="truncate")
        return self.why.task.encode(self.why.model, given, encoding_options)

    def _ids(self, encoding: Encoding) -> Ints:
        row = encoding.whole
        ids: Ints = np.concatenate([part.ids for part in row]) if isinstance(row, tuple) else row.ids
        return ids

    def _keep_inputs(self, *texts: str) -> None:
        """The tensors of the last input, [1, T], as the model gets them."""
        limit = getattr(self.why.model, "limit", None)
        batch = self.tokenizer(
            *texts, return_tensors="pt", truncation=limit is not None, max_length=limit, verbose=False
        )
        self.input_ids = batch["input_ids"].to(self.device)
        reference = 0 if self.ref_token_id is None else self.ref_token_id
        self.ref_input_ids = self.input_ids.masked_fill(~self._special(self.input_ids), reference)
        self.attention_mask = batch.get("attention_mask", torch.ones_like(self.input_ids))
        self.token_type_ids = batch.get("token_type_ids")
        self.position_ids = torch.arange(self.input_ids.shape[1], device=self.device)[None]
        ends = (self.input_ids[0] == self.sep_token_id).nonzero() if self.sep_token_id is not None else []
        self.sep_idx = int(ends[0]) if len(ends) else self.input_ids.shape[1]

    def _forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """The model's own answer to these tensors, without gradients."""
        with self.why.model.frozen(), torch.no_grad():
            logits: Tensor = self.model(*inputs, **named).logits.float()
        return logits

    def __str__(self) -> str:
        return f"{super().__str__()[:-1]},\n\tattribution_type='{self.attribution_type}',)"


def texts_of(given: object) -> tuple[list[Any], bool]:
    """(the texts, or pairs of them; were they several?). Raises InputError for what is no text."""
    several = several_inputs(given)
    texts = [given] if several is None else several
    for one in texts:
        if not isinstance(one, str | tuple):
            raise InputError(f"The text must be a string (or a list of strings), not {type(one).__name__}: {one!r:.80}")
    return texts, several is not None


def custom_names(
    config: PreTrainedConfig, custom_labels: Sequence[str] | None
) -> tuple[dict[int, str], dict[str, int]]:
    """(id2label, label2id) by the config, or by names of the caller's own.

    As many names are wanted as label2id has, or as the model has outputs: some models name two outputs alike (ImageNet has
    two cranes). Outputs beyond the names keep the config's. Raises ValueError for another number.
    """
    names, label2id = dict(enumerate(own_names(config) or ())), config.label2id or {}
    if custom_labels is None:
        return names, {label: i for i, label in names.items()}
    if len(custom_labels) not in (len(names), len(label2id)):
        raise ValueError(
            f"{len(custom_labels)} custom labels were given and the model has {len(names)} labels: "
            f"{list(names.values())[:20]}."
        )
    chosen = dict(enumerate(map(str, custom_labels)))
    return chosen, {label: i for i, label in chosen.items()}


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
