"""Explainers of classifiers over whole texts: one class, a pair of texts, every label."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor

from ...core.explanation import Explanation
from ...tasks.protocol import OutputIndex
from ...tasks.text_classification import TextClassification, parts
from .attributions import LIGAttributions, Record
from .errors import AttributionsNotCalculatedError, InputIdsNotCalculatedError
from .explainer import TextExplainer, custom_names, texts_of
from .page import Page

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


Words: TypeAlias = "list[tuple[str, float]]"  # (token, score)
OneText: TypeAlias = "str | tuple[str, str]"


class SequenceClassificationExplainer(TextExplainer):
    """Why a classifier gives a text its class: `explainer(text)` -> [(token, score), …].

    Scores are integrated gradients of the class's probability (sigmoid for one output) from a padded text, divided by their
    L2 norm. Raw scores, spans and gap are on `explainer.attributions.explanation`. A list of texts gives a list of results.
    """

    task = TextClassification()

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        attribution_type: str = "lig",
        custom_labels: Sequence[str] | None = None,
    ):
        super().__init__(model, tokenizer, attribution_type)
        self.id2label, self.label2id = custom_names(model.config, custom_labels)
        self.custom_labels = custom_labels
        self.attributions: LIGAttributions | None = None
        self.input_ids: Tensor = torch.empty(0)
        self.selected_index: int | None = None

    @overload
    def __call__(
        self,
        text: str,
        index: int | None = ...,
        class_name: str | None = ...,
        embedding_type: int = ...,
        internal_batch_size: int | None = ...,
        n_steps: int | None = ...,
    ) -> Words: ...
    @overload
    def __call__(
        self,
        text: list[str],
        index: int | None = ...,
        class_name: str | None = ...,
        embedding_type: int = ...,
        internal_batch_size: int | None = ...,
        n_steps: int | None = ...,
    ) -> list[Words]: ...
    def __call__(
        self,
        text: str | list[str],
        index: int | None = None,
        class_name: str | None = None,
        embedding_type: int = 0,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> Words | list[Words]:
        """[(token, score), …] of a text; for a list of texts a list of those, with the members telling of the last."""
        return self._run(text, index, class_name, embedding_type, internal_batch_size, n_steps)

    def _run(
        self,
        text: str | list[str],
        index: int | None = None,
        class_name: str | None = None,
        embedding_type: int | None = None,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> Words | list[Words]:
        """As a call; the first four arguments are those that subclasses of transformers-interpret's class pass."""
        settings: dict[str, Any] = {"internal_batch_size": internal_batch_size, "n_steps": n_steps}
        texts, many = texts_of(text)
        out = self._explain(texts, self._selected(index, class_name), embedding_type, settings)
        return out if many else out[0]

    def _explain(
        self,
        inputs: Sequence[OneText],
        target: int | None,
        embedding_type: int | None,
        settings: dict[str, Any],
        flip_sign: bool = False,
    ) -> list[Words]:
        full = [one for one in inputs if any(text.strip() for text in self._texts(one))]
        found = iter(
            self._explained(
                full,
                unit="score" if self.why.model.kind == "regression" else "prob",
                embedding_type=embedding_type,
                target=None if target is None else OutputIndex(target),
                **settings,
            )
            if full
            else []
        )
        return [self._calculate_attributions(one, next(found)[0] if one in full else None, flip_sign) for one in inputs]

    def _texts(self, given: OneText) -> tuple[str, ...]:
        return given if isinstance(given, tuple) else (given,)

    def _selected(self, index: int | None, class_name: str | None) -> int | None:
        """The index of the class to be explained; None is the predicted one. An index goes before a name."""
        if index is None and class_name is not None:
            if class_name in self.label2id:
                return self.label2id[class_name]
            warnings.warn(
                f"'{class_name}' is not found in self.label2id keys.Defaulting to predicted index instead.",
                UserWarning,
                stacklevel=4,
            )
            return None
        if index is None:
            return None
        many = len(self.why.model.labels)
        if not -many <= int(index) < many:
            raise IndexError(f"The index {index} is out of range: the model has {many} labels.")
        return int(index) % many

    def _calculate_attributions(self, given: OneText, explanation: Explanation | None, flip: bool = False) -> Words:
        """The attributions of one input; None is a blank one, where there is nothing to give a score to."""
        self._predict(given)
        if explanation is None:
            self.selected_index = int(self._logits.argmax())
            self.attributions = self._nothing()
        else:
            self.selected_index = explanation.target.index[0]
            self.attributions = self._laid_out(given, explanation)
        if flip:
            self.attributions.summarize(flip_sign=True)
        self.pred_probs = self._probabilities(self._logits)[self.selected_index]
        return self.word_attributions

    def _predict(self, given: OneText) -> None:
        """What the model says of one input, by itself."""
        texts = self._texts(given)
        self._keep_inputs(*texts)
        self.text = texts[0]
        self._logits = self._forward(**{name: value for name, value in self._inputs().items() if value is not None})[0]

    def _inputs(self) -> dict[str, Any]:
        named = {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "token_type_ids": self.token_type_ids,
        }
        return {name: named[name] for name in self.tokenizer.model_input_names if name in named}

    def _probabilities(self, logits: Tensor) -> Tensor:
        if self.why.model.kind == "regression":
            return logits
        return logits.sigmoid() if self.why.model.kind == "sigmoid" else logits.softmax(-1)

    @property
    def word_attributions(self) -> Words:
        """[(token, score), …] of the last call."""
        if self.attributions is None:
            raise ValueError("Attributions have not yet been calculated. Please call the explainer on text first.")
        return self.attributions.word_attributions

    @property
    def predicted_class_index(self) -> np.ndarray[Any, Any]:
        """The index of the class that the model predicts for the last text."""
        if self.attributions is None:
            raise InputIdsNotCalculatedError("input_ids have not been created yet. Please call the explainer on text.")
        return np.array(int(self._logits.argmax()))

    @property
    def predicted_class_name(self) -> str | int:
        """The name of the class that the model predicts for the last text."""
        index = int(self.predicted_class_index)
        return self.id2label.get(index, index)

    def visualize(self, html_filepath: str | Path | None = None, true_class: object = None) -> Page:
        """The last call as a page, written to a path if one is given."""
        if self.attributions is None:
            raise AttributionsNotCalculatedError(
                "There is nothing to draw yet. Please call the explainer on text first."
            )
        single = len(self.id2label) == 1
        said: object = round(float(self.pred_probs)) if single else self.predicted_class_name
        explained: object = said if single else self.id2label.get(int(self.selected_index or 0), self.selected_index)
        record = self._record(self.attributions, float(self.pred_probs), said, true_class, explained)
        return Page.of([record], html_filepath)

    def _record(
        self, attributions: LIGAttributions, prob: float, predicted: object, true: object, explained: object
    ) -> Record:
        known = "n/a" if true is None else self.id2label.get(true, true) if isinstance(true, int) else true
        return attributions.visualize_attributions(prob, predicted, known, explained, attributions.tokens)


class PairwiseSequenceClassificationExplainer(SequenceClassificationExplainer):
    """Why a classifier of two texts says what it says: `explainer(text1, text2)` -> [(token, score), …]."""

    def __call__(  # type: ignore[override]
        self,
        text1: str,
        text2: str,
        index: int | None = None,
        class_name: str | None = None,
        embedding_type: int = 0,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
        flip_sign: bool = False,
    ) -> Words:
        """[(token, score), …] of both texts; `flip_sign` tells what speaks against, for models with one output."""
        return self._run(text1, text2, index, class_name, embedding_type, flip_sign, internal_batch_size, n_steps)

    def _run(  # type: ignore[override]
        self,
        text1: str,
        text2: str,
        index: int | None = None,
        class_name: str | None = None,
        embedding_type: int | None = None,
        flip_sign: bool = False,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> Words:
        self.text1, self.text2 = text1, text2
        parts((text1, text2))
        settings: dict[str, Any] = {"internal_batch_size": internal_batch_size, "n_steps": n_steps}
        target = self._selected(index, class_name)
        return self._explain([(text1, text2)], target, embedding_type, settings, flip_sign)[0]


class MultiLabelClassificationExplainer(SequenceClassificationExplainer):
    """Why each of several labels has its probability: `explainer(text)` -> {label: [(token, score), …]}, in label order."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        attribution_type: str = "lig",
        custom_labels: Sequence[str] | None = None,
    ):
        super().__init__(model, tokenizer, attribution_type, custom_labels)
        model_of_ours: Any = self.why.model
        model_of_ours.kind = "sigmoid"  # every label for itself, whatever the config says
        self.labels: list[str] = []
        self.attributions: list[LIGAttributions] | None = None  # type: ignore[assignment]

    @overload  # type: ignore[override]
    def __call__(
        self, text: str, embedding_type: int = ..., internal_batch_size: int | None = ..., n_steps: int | None = ...
    ) -> dict[str, Words]: ...
    @overload
    def __call__(
        self,
        text: list[str],
        embedding_type: int = ...,
        internal_batch_size: int | None = ...,
        n_steps: int | None = ...,
    ) -> list[dict[str, Words]]: ...
    def __call__(
        self,
        text: str | list[str],
        embedding_type: int = 0,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> dict[str, Words] | list[dict[str, Words]]:
        """{label: [(token, score), …]} of a text; for a list of texts a list of those."""
        inputs, many = texts_of(text)
        full = [one for one in inputs if one.strip()]
        settings: dict[str, Any] = {"n_steps": n_steps, "internal_batch_size": internal_batch_size, "each_target": True}
        found = iter(self._explained(full, unit="prob", embedding_type=embedding_type, **settings) if full else [])
        out = []
        for one in inputs:
            self._predict(one)
            self.labels = [self.id2label[i] for i in range(len(self._logits))]
            if one.strip():
                self.attributions = [self._laid_out(one, e) for e in next(found)]
            else:
                self.attributions = [self._nothing() for _ in self.labels]
            self.pred_probs_list = list(self._probabilities(self._logits))
            self.label_probs_dict = dict(zip(self.labels, self.pred_probs_list, strict=True))
            out.append(self.word_attributions)
        return out if many else out[0]

    @property
    def word_attributions(self) -> dict[str, Words]:  # type: ignore[override]
        """{label: [(token, score), …]} of the last call."""
        if not self.attributions:
            raise ValueError("Attributions have not yet been calculated. Please call the explainer on text first.")
        return dict(zip(self.labels, (a.word_attributions for a in self.attributions), strict=True))

    def visualize(self, html_filepath: str | Path | None = None, true_class: object = None) -> Page:
        """The last call as a page with a row for each label."""
        if not self.attributions:
            raise AttributionsNotCalculatedError(
                "There is nothing to draw yet. Please call the explainer on text first."
            )
        records = [
            self._record(a, float(p), "n/a", true_class, label)
            for a, p, label in zip(self.attributions, self.pred_probs_list, self.labels, strict=True)
        ]
        return Page.of(records, html_filepath, predicted="Prediction Score")
