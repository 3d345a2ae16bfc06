"""The explainer of question answering."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.explanation import Explanations
from ...tasks.question_answering import QuestionAnswering
from .attributions import LIGAttributions
from .errors import AttributionsNotCalculatedError, InputIdsNotCalculatedError
from .explainer import TextExplainer
from .page import Page

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class QuestionAnsweringExplainer(TextExplainer):
    """Why an answer starts and ends where it does: `explainer(question, text)` -> {"start": [(token, score), …], "end": …}.

    The answer is that of the transformers pipeline, and stays the same along the path from the padded input.
    """

    task = QuestionAnswering()

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, attribution_type: str = "lig"):
        super().__init__(model, tokenizer, attribution_type)
        self.position = 0
        self.attributions: list[LIGAttributions] | None = None
        self.start_attributions: LIGAttributions | None = None
        self.end_attributions: LIGAttributions | None = None

    def __call__(
        self,
        question: str,
        text: str,
        embedding_type: int = 2,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> dict[str, list[tuple[str, float]]]:
        """Scores of every token of both for the start and the end of the answer."""
        return self._run(question, text, embedding_type, internal_batch_size, n_steps)

    def _run(
        self,
        question: str,
        text: str,
        embedding_type: int | None = None,
        internal_batch_size: int | None = None,
        n_steps: int | None = None,
    ) -> dict[str, list[tuple[str, float]]]:
        self.question, self.text = question, text
        given = (question, text)
        settings: dict[str, Any] = {
            "internal_batch_size": internal_batch_size,
            "n_steps": n_steps,
            "embedding_type": embedding_type,
        }
        [found] = self._explained([given], unit="logit", each_target=True, **settings)
        self._keep_inputs(*given)
        self._start, self._end = found[0].target.index[0], found[1].target.index[0]
        self._answer = found[0].prediction or ""
        self._calculate_attributions(given, found)
        return self.word_attributions

    def _calculate_attributions(self, given: tuple[str, str], found: Explanations) -> None:
        self.attributions = [self._laid_out(given, e) for e in found]
        self.start_attributions, self.end_attributions = self.attributions
        self.position = 1

    @property
    def word_attributions(self) -> dict[str, list[tuple[str, float]]]:
        """{"start": [(token, score), …], "end": [(token, score), …]} of the last call."""
        if self.start_attributions is None or self.end_attributions is None:
            raise ValueError("Attributions have not yet been calculated. Please call the explainer on text first.")
        return {
            "start": self.start_attributions.word_attributions,
            "end": self.end_attributions.word_attributions,
        }

    def _after_a_call(self) -> None:
        if not self.attributions:
            raise InputIdsNotCalculatedError("input_ids have not been created yet. Please call the explainer on text.")

    @property
    def start_pos(self) -> int:
        """Where the answer starts among the tokens."""
        self._after_a_call()
        return self._start

    @property
    def end_pos(self) -> int:
        """Where the answer ends among the tokens, itself included."""
        self._after_a_call()
        return self._end

    @property
    def predicted_answer(self) -> str:
        """The answer, as it stands in the text."""
        self._after_a_call()
        return self._answer

    def visualize(self, html_filepath: str | Path | None = None) -> Page:
        """The last call as a page with a row for each end of the answer."""
        if not self.attributions:
            raise AttributionsNotCalculatedError(
                "There is nothing to draw yet. Please call the explainer on text first."
            )
        records = []
        for a, place in zip(self.attributions, (self._start, self._end), strict=True):
            assert a.explanation is not None
            named = f"{a.tokens[place]} ({place})"
            records.append(a.visualize_attributions(a.explanation.value, named, "n/a", named, a.tokens))
        return Page.of(records, html_filepath)
