"""The explainer of zero-shot classification over a model of natural language inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import ModelError
from ...tasks.zero_shot_classification import ZeroShotClassification, entailment
from .attributions import LIGAttributions
from .errors import AttributionsNotCalculatedError
from .explainer import TextExplainer
from .page import Page


class ZeroShotClassificationExplainer(TextExplainer):
    """Why a label fits a text: `explainer(text, labels=[…])` -> {label: [(token, score), …]}.

    `pred_probs` are those of the transformers pipeline; a label's scores explain the probability that its hypothesis follows
    from the text rather than contradicts it.
    """

    task = ZeroShotClassification()

    def __init__(self, model: Any, tokenizer: Any, attribution_type: str = "lig"):
        super().__init__(model, tokenizer, attribution_type)
        names = tuple(model.config.id2label[i] for i in sorted(model.config.id2label))
        try:
            self.entailment_idx = entailment(names)
        except ModelError as error:
            raise ValueError(str(error)) from error
        self.id2label = dict(enumerate(names))
        self.label2id = {label: i for i, label in self.id2label.items()}
        self.entailment_key = names[self.entailment_idx]
        self.label_exists = True
        self.include_hypothesis = False
        self.labels: list[str] = []
        self.hypothesis_labels: list[str] = []
        self.attributions: list[LIGAttributions] = []

    def __call__(
        self,
        text: str | list[str],
        labels: Sequence[str],
        embedding_type: int = 0,
        hypothesis_template: str = "this text is about {} .",
        include_hypothesis: bool = False,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> Any:
        """{label: [(token, score), …]}: all tokens of the text, and with `include_hypothesis` those of its hypothesis."""
        self.why.task = ZeroShotClassification(template=hypothesis_template, include_hypothesis=include_hypothesis)
        self.include_hypothesis = include_hypothesis
        settings = {"embedding_type": embedding_type, "internal_batch_size": internal_batch_size, "n_steps": n_steps}
        out = [self._run(one, labels, settings) for one in (text if isinstance(text, list) else [text])]
        return out if isinstance(text, list) else out[0]

    def _run(self, text: str, labels: Sequence[str], settings: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
        told = self.why.each_target(
            {"text": text, "labels": labels}, method="random", unit="prob", overlong="truncate", trust="none"
        )
        self.text = text
        self.labels = [e.target.label for e in told]
        self.pred_probs = [e.value for e in told]
        self.predicted_label = self.labels[int(np.argmax(self.pred_probs))]
        self.hypothesis_labels = [self.why.task.template.format(label) for label in self.labels]  # type: ignore[attr-defined]
        self._keep_inputs(text, self.hypothesis_labels[0])
        self._calculate_attributions(text, settings)
        return self.word_attributions

    def _calculate_attributions(self, text: str, settings: dict[str, Any]) -> None:
        inputs = [{"text": text, "labels": [label]} for label in self.labels]
        found = self._explained(inputs, unit="prob", **settings)
        self.attributions = []
        for one, explanations in zip(inputs, found, strict=True):
            attributions = self._laid_out(one, explanations[0])
            if not self.include_hypothesis:
                tokens = self._encoding(one).tokens
                end = 1 + max(i for i, token in enumerate(tokens) if token.part == "text")
                attributions.tokens = attributions.tokens[:end]
                attributions.summarize(end_idx=end)
            self.attributions.append(attributions)

    @property
    def word_attributions(self) -> dict[str, list[tuple[str, float]]]:
        """{label: [(token, score), …]} of the last call."""
        if not self.attributions:
            raise ValueError("Attributions have not yet been calculated. Please call the explainer on text first.")
        return {label: a.word_attributions for label, a in zip(self.labels, self.attributions, strict=True)}

    def visualize(self, html_filepath: str | Path | None = None, true_class: object = None) -> Page:
        """The last call as a page with a row for each label."""
        if not self.attributions:
            raise AttributionsNotCalculatedError(
                "There is nothing to draw yet. Please call the explainer on text first."
            )
        records = [
            a.visualize_attributions(prob, label, "n/a" if true_class is None else true_class, label, a.tokens)
            for a, prob, label in zip(self.attributions, self.pred_probs, self.labels, strict=True)
        ]
        return Page.of(records, html_filepath)
