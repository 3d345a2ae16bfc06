"""What an explainer keeps of one target: a score for every token, special tokens too, divided by their L2 norm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...core.explanation import Explanation
from ...core.types import EmbeddingPath, Encoding, Feature, Problem, Target
from ...engine.batching import BoundProblem, OutputCache
from ...engine.engine import Engine
from ...methods import METHODS
from ...models.text.embedding import embedded


class Record(NamedTuple):
    """One row of a drawing, by the names that Captum's record has."""

    word_attributions: Tensor  # [T], L2-normalised
    pred_prob: float
    pred_class: object
    true_class: object
    attr_class: object
    attr_score: float
    raw_input_ids: list[str]
    convergence_score: float


class Attributions(ABC):
    """A score for every token."""

    def __init__(self, custom_forward: Callable[..., Any] | None, embeddings: nn.Module | None, tokens: Sequence[str]):
        self.custom_forward, self.embeddings, self.tokens = custom_forward, embeddings, list(tokens)

    @abstractmethod
    def summarize(self, end_idx: int | None = None, flip_sign: bool = False) -> None:
        """Normalise the scores, up to a token if one is given."""


class LIGAttributions(Attributions):
    """Integrated gradients over the embeddings of one input, with the arguments and members of transformers-interpret.

    Made by the explainers from a saywhy `explanation` (raw scores, spans, gap), which hangs on it; or made by hand from a
    forward function and its embedding module. `_attributions` holds each token's sum over the embedding width, [1, T, 1];
    `delta` is what the scores and the two ends of the path leave unexplained.
    """

    explanation: Explanation | None = None

    def __init__(
        self,
        custom_forward: Callable[..., Any],
        embeddings: nn.Module,
        tokens: Sequence[str],
        input_ids: Tensor,
        ref_input_ids: Tensor,
        sep_id: int,
        attention_mask: Tensor | None,
        target: int | tuple[int, ...] | Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        ref_token_type_ids: Tensor | None = None,
        ref_position_ids: Tensor | None = None,
        internal_batch_size: int | None = None,
        n_steps: int = 50,
    ):
        super().__init__(custom_forward, embeddings, tokens)
        forward: Any = _Forward(
            custom_forward, embeddings, input_ids, [token_type_ids, position_ids, attention_mask], target
        )
        forward.most_rows = internal_batch_size
        with torch.no_grad():
            point, origin = embeddings(input_ids)[0].float(), embeddings(ref_input_ids)[0].float()
        n = input_ids.shape[1]
        features = tuple(Feature(token) for token in tokens)
        encoding = Encoding({}, features, lambda coalitions: [None] * len(coalitions), np.arange(n))
        problem = Problem(features, (Target("", (0,)),), EmbeddingPath(point, origin, np.arange(n), n))
        bound = BoundProblem(problem, encoding, lambda outputs: outputs, OutputCache())
        asking = METHODS["integrated_gradients"].function(problem, steps=n_steps)
        [scores] = Engine(forward).run([(bound, asking)])
        with torch.no_grad():
            ends = [float(forward.forward([None], [at])[0, 0]) for at in (point, origin)]
        self._fill(scores.values[0], ends[0] - ends[1])

    @classmethod
    def of(cls, explanation: Explanation | None, tokens: Sequence[str], scores: ArrayLike) -> LIGAttributions:
        """From an explanation and its scores laid out over all tokens; None for a text with nothing to explain."""
        made = cls.__new__(cls)
        Attributions.__init__(made, None, None, tokens)
        made.explanation = explanation
        made._fill(
            torch.as_tensor(np.asarray(scores)), 0.0 if explanation is None else explanation.value - explanation.base
        )
        return made

    def _fill(self, scores: Tensor, rise: float) -> None:
        self._attributions = scores[None, :, None].double()  # [1, T, 1]
        self.delta = torch.tensor([float(scores.sum()) - rise])
        self.summarize()

    def summarize(self, end_idx: int | None = None, flip_sign: bool = False) -> None:
        """Fill `attributions_sum` [T]: the scores divided by their L2 norm; all zero where there is nothing to divide."""
        raw = self._attributions[0, :end_idx, 0] * (-1 if flip_sign else 1)
        norm = raw.norm()
        self.attributions_sum = raw / norm if float(norm) > 0 else raw

    @property
    def word_attributions(self) -> list[tuple[str, float]]:
        """[(token, score), …], one for each token."""
        pairs = zip(self.tokens, self.attributions_sum.tolist(), strict=False)
        return [(token, float(score)) for token, score in pairs]

    def visualize_attributions(
        self, pred_prob: float, pred_class: object, true_class: object, attr_class: object, all_tokens: Sequence[str]
    ) -> Record:
        """A row for a drawing."""
        total, left = float(self.attributions_sum.sum()), float(self.delta)
        return Record(
            self.attributions_sum, float(pred_prob), pred_class, true_class, attr_class, total, list(all_tokens), left
        )


class _Forward:
    """A caller's forward function as a model with one kind of row: its input, with other embeddings put in."""

    uniform, batch_tokens = False, 1 << 30

    def __init__(
        self,
        function: Callable[..., Any],
        table: nn.Module,
        ids: Tensor,
        others: list[Tensor | None],
        target: int | tuple[int, ...] | Tensor | None,
    ):
        self.function, self.table, self.ids, self.target = function, table, ids, target
        while others and others[-1] is None:
            others.pop()
        self.others = others
        self.most_rows: int | None = None

    def forward(self, rows: Sequence[Any], points: Sequence[Tensor] | None = None) -> Tensor:
        assert points is not None
        ids = self.ids.expand(len(points), -1)
        others = [None if o is None else o.expand(len(points), *o.shape[1:]) for o in self.others]
        with embedded("word", (self.table,), ids, torch.stack(list(points))):
            out = self.function(ids, *others)
        if self.target is not None:
            for place in self.target if isinstance(self.target, tuple) else (self.target,):
                out = out[:, int(place)]
        numbers: Tensor = out.reshape(len(points), -1)[:, :1].float()
        return numbers

    def sizes(self, rows: Sequence[Any]) -> list[int]:
        return [int(self.ids.shape[1])] * len(rows)

    def keys(self, rows: Sequence[Any]) -> list[Hashable]:
        return [0] * len(rows)

    def frozen(self) -> AbstractContextManager[None]:
        return nullcontext()
