"""The explainer of token classification (named entities)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tasks.protocol import WantedTarget
from ...tasks.token_classification import TokenClassification
from .attributions import LIGAttributions
from .errors import AttributionsNotCalculatedError, InputIdsNotCalculatedError
from .explainer import TextExplainer, custom_names, texts_of
from .page import Page

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TokenClassificationExplainer(TextExplainer):
    """Why each token has its label: `explainer(text)` -> {token: {"label": …, "attribution_scores": [(token, score), …]}}.

    A token that comes again is kept under its name and its number, "paris (2)"; `attributions` has all by their index.
    Special tokens have a label of the model's too, and are explained like the others unless they are ignored.
    """

    task = TokenClassification(ignored_labels=())

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, attribution_type: str = "lig"):
        super().__init__(model, tokenizer, attribution_type)
        self.id2label, self.label2id = custom_names(model.config, None)
        self.ignored_indexes: list[int] = []
        self.ignored_labels: list[str] = []
        self.attributions: dict[int, LIGAttributions] | None = None

    def __call__(
        self,
        text: str,
        embedding_type: int = 0,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
        ignored_indexes: Sequence[int] | None = None,
        ignored_labels: Sequence[str] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Each token's label and scores, but for the indexes and labels to be ignored; {} where all are."""
        self.ignored_indexes = [] if ignored_indexes is None else [int(index) for index in ignored_indexes]
        self.ignored_labels = [] if ignored_labels is None else list(ignored_labels)
        return self._run(text, embedding_type, internal_batch_size, n_steps)

    def _run(
        self,
        text: str,
        embedding_type: int | None = None,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> dict[str, dict[str, Any]]:
        [self.text], _ = texts_of([text])
        self._keep_inputs(text)
        names = [n for n in self.tokenizer.model_input_names if getattr(self, n, None) is not None]
        self.pred_probs = self._forward(**{name: getattr(self, name) for name in names})[0].softmax(-1)
        self._calculate_attributions(
            text, embedding_type=embedding_type, internal_batch_size=internal_batch_size, n_steps=n_steps
        )
        return self.word_attributions

    def _calculate_attributions(self, text: str, **settings: Any) -> None:
        positions: list[WantedTarget] = [*self._selected_indexes]
        self.attributions = {}
        if not text.strip():
            self.attributions = {i: self._nothing() for i in self._selected_indexes}
        if not positions or not text.strip():
            return
        [found] = self._explained([text], unit="prob", each_target=True, targets=positions, **settings)
        self.attributions = {e.target.index[0]: self._laid_out(text, e) for e in found}

    @property
    def _selected_indexes(self) -> list[int]:
        """The positions that are explained, special tokens too: all but the ignored ones, and those of ignored labels."""
        labels = [self._name(i) for i in self.pred_probs.argmax(-1).tolist()]
        return [
            i for i, label in enumerate(labels) if i not in self.ignored_indexes and label not in self.ignored_labels
        ]

    def _name(self, index: int) -> str | int:
        """The name of a label; its index, where `id2label` was changed and has none for it."""
        return self.id2label.get(index, index)

    @property
    def predicted_class_indexes(self) -> np.ndarray[Any, Any]:
        """[T]: the index of each token's label, special tokens too."""
        if self.attributions is None:
            raise InputIdsNotCalculatedError("input_ids have not been created yet. Please call the explainer on text.")
        indexes: np.ndarray[Any, Any] = self.pred_probs.argmax(-1).cpu().numpy()
        return indexes

    @property
    def predicted_class_names(self) -> list[str | int]:
        """The name of each token's label, special tokens too; its index where `id2label` has no name for it."""
        return [self._name(int(i)) for i in self.predicted_class_indexes]

    @property
    def word_attributions(self) -> dict[str, dict[str, Any]]:
        """{token: {"label": …, "attribution_scores": …}} of the last call, in the order of the text."""
        if self.attributions is None:
            raise ValueError("Attributions have not yet been calculated. Please call the explainer on text first.")
        names = self.predicted_class_names
        out: dict[str, dict[str, Any]] = {}
        for index, a in self.attributions.items():
            token, times = a.tokens[index], 2
            while token in out:
                token, times = f"{a.tokens[index]} ({times})", times + 1
            out[token] = {"label": names[index], "attribution_scores": a.word_attributions}
        return out

    def visualize(self, html_filepath: str | Path | None = None, true_classes: Sequence[str] | None = None) -> Page:
        """The last call as a page with a row for each explained token; `true_classes` has one entry for every token."""
        if self.attributions is None:
            raise AttributionsNotCalculatedError(
                "There is nothing to draw yet. Please call the explainer on text first."
            )
        names = self.predicted_class_names
        if true_classes is not None and len(true_classes) != len(names):
            raise ValueError(f"{len(true_classes)} true classes were given for {len(names)} tokens; give one for each.")
        records = []
        for index, a in self.attributions.items():
            true = "n/a" if true_classes is None else true_classes[index]
            prob = float(self.pred_probs[index].max())
            records.append(a.visualize_attributions(prob, names[index], true, f"{a.tokens[index]} ({index})", a.tokens))
        return Page.of(records, html_filepath)
