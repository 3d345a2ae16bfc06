"""The explainer of zero-shot classification over a model of natural language inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ...tasks.zero_shot_classification import ZeroShotClassification
from .attributions import LIGAttributions
from .errors import AttributionsNotCalculatedError
from .explainer import TextExplainer, custom_names
from .page import Page
from .sequence import Words

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class ZeroShotClassificationExplainer(TextExplainer):
    """Why a label fits a text: `explainer(text, labels=[…])` -> {label: [(token, score), …]}.

    `pred_probs` are those of the transformers pipeline; a label's scores explain the probability that its hypothesis follows
    from the text rather than contradicts it.
    """

    task = ZeroShotClassification()

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, attribution_type: str = "lig"):
        super().__init__(model, tokenizer, attribution_type)
        self.id2label, _ = custom_names(model.config, None)
        self.label2id = {label: int(i) for label, i in (model.config.label2id or {}).items()}
        self.label_exists, key = self._entailment_label_exists()
        if not self.label_exists or key is None:
            raise ValueError(
                f'A zero-shot model has a label "entailment" in model.config.label2id; this one has {list(self.label2id)}.'
            )
        self.entailment_key, self.entailment_idx = key, self.label2id[key]
        if self.id2label.get(self.entailment_idx, "").casefold() != key.casefold():
            raise ValueError(
                f"model.config.label2id has {key!r} at {self.entailment_idx} and model.config.id2label has "
                f"{self.id2label.get(self.entailment_idx)!r} there: give both the same names."
            )
        self.include_hypothesis = False
        self.labels: list[str] = []
        self.hypothesis_labels: list[str] = []
        self.attributions: list[LIGAttributions] = []

    def _entailment_label_exists(self) -> tuple[bool, str | None]:
        """(is there one?, the name in `label2id` that means entailment)."""
        key = next((name for name in self.label2id if name.casefold().startswith("entail")), None)
        return key is not None, key

    @overload
    def __call__(self, text: str, labels: Sequence[str], *args: Any, **settings: Any) -> dict[str, Words]: ...
    @overload
    def __call__(
        self, text: list[str], labels: Sequence[str], *args: Any, **settings: Any
    ) -> list[dict[str, Words]]: ...
    def __call__(
        self,
        text: str | list[str],
        labels: Sequence[str],
        embedding_type: int = 0,
        hypothesis_template: str = "this text is about {} .",
        include_hypothesis: bool = False,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> dict[str, Words] | list[dict[str, Words]]:
        """{label: [(token, score), …]}: all tokens of the text, and with `include_hypothesis` those of its hypothesis."""
        self.why.task = ZeroShotClassification(template=hypothesis_template, include_hypothesis=include_hypothesis)
        self.include_hypothesis = include_hypothesis
        settings = {"embedding_type": embedding_type, "internal_batch_size": internal_batch_size, "n_steps": n_steps}
        out = [self._run(one, labels, settings) for one in (text if isinstance(text, list) else [text])]
        return out if isinstance(text, list) else out[0]

    def _run(self, text: str, labels: Sequence[str], settings: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
        self.text = text
        self.labels = labels.split(",") if isinstance(labels, str) else list(labels)
        self.pred_probs = self._label_probabilities(text)
        self.predicted_label = self.labels[int(np.argmax(self.pred_probs))]
        template = self.why.task.template  # type: ignore[attr-defined]
        self.hypothesis_labels = [template.format(label) for label in self.labels]
        self._keep_inputs(text, self.hypothesis_labels[0])
        self._calculate_attributions(text, settings)
        return self.word_attributions

    def _label_probabilities(self, text: str) -> list[float]:
        """The pipeline's probability of each label; one that is given twice counts twice, as it does there."""
        unit = "prob" if len(self.labels) == 1 else "logit"
        found = self.why.each_target(
            {"text": text, "labels": [*dict.fromkeys(self.labels)]},
            method="random",
            unit=unit,
            overlong="truncate",
            trust="none",
        )
        if len(self.labels) == 1:
            return [e.value for e in found]
        logits = {e.target.label: e.value for e in found}
        each = np.array([logits[label] for label in self.labels])
        odds = np.exp(each - each.max())
        return [float(p) for p in odds / odds.sum()]

    def _calculate_attributions(self, text: str, settings: dict[str, Any]) -> None:
        names = [*dict.fromkeys(self.labels)]
        inputs = [{"text": text, "labels": [label]} for label in names]
        found = self._explained(inputs, unit="prob", **settings)
        made: dict[str, LIGAttributions] = {}
        for name, one, explanations in zip(names, inputs, found, strict=True):
            attributions = self._laid_out(one, explanations[0])
            if not self.include_hypothesis:
                tokens = self._encoding(one).tokens
                end = 1 + max(i for i, token in enumerate(tokens) if token.part == "text")
                attributions.tokens = attributions.tokens[:end]
                attributions.summarize(end_idx=end)
            made[name] = attributions
        self.attributions = [made[label] for label in self.labels]

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
