"""What a metric judges and what it answers with."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from ..core.types import Bools, MethodGenerator, Problem, Question

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Candidate:
    """The scores of one method for one input, and what else a judge may ask for. The first target is the one explained."""

    scores: Float[Tensor, "K n"]
    again: Callable[[Problem, int], MethodGenerator] | None = (
        None  # the method once more, on this problem with this seed
    )
    others: Sequence[Float[Tensor, " n"]] = ()  # what the other methods say of the first target
    randomised: Float[Tensor, "L n"] | None = (
        None  # the scores when ever more of the model's weights are random; the last, all
    )
    smoothed: Float[Tensor, "models n"] | None = (
        None  # the same, the model as it is first, each the mean over noisy embeddings
    )
    human: Bool[Bools, " n"] | None = None  # the features that a person marked
    pairs: Float[Tensor, " pairs"] | None = (
        None  # the FSII of every two features, as in PairScores, where the method told
    )

    @property
    def order(self) -> Int[Tensor, " n"]:
        """The features by falling score of the first target; equal scores in the order of the text."""
        return torch.argsort(self.scores[0], descending=True, stable=True)


@dataclass(frozen=True, eq=False)
class Judgement:
    """A metric's answer. None where it does not apply: an empty rationale, a method that cannot be asked again."""

    value: float | None
    reverse: float | None = None  # the same for the reversed order, where the metric is about an order
    curve: Sequence[float] = ()  # the target at each level of removal, where the metric removes


Judging: TypeAlias = "Generator[Question, Any, Judgement]"
NOT_APPLICABLE = Judgement(None)
