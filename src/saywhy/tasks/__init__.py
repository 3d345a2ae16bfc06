"""Tasks: how an input becomes features, and which numbers of the model's outputs can be explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..types import Encoding, Target

if TYPE_CHECKING:
    from torch import Tensor

    from ..models import Look, Model

WantedTarget = int | str | None


class Task(Protocol):
    """One kind of question about one kind of model. About 25 lines; a row in TASKS."""

    name: str

    def encode(self, model: Model, given: Any, look: Look) -> Encoding:
        """What was given, as rows and features. Raises InputError before any forward."""

    def targets(
        self, model: Model, output: Tensor, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        """The targets named by `wanted` for an input with this output; None is what the model predicts. Refuses unknown names."""

    def score(self, model: Model, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        """[B, outputs] -> [B, K]: each target's number for each row."""

    def says(self, model: Model, output: Tensor) -> tuple[str, float]:
        """The label the model gives to an input with this output, and its probability (or score)."""


def _rows() -> Mapping[str, Task]:
    from .classification import TextClassification

    return {task.name: task for task in (TextClassification(),)}


TASKS: Mapping[str, Task] = _rows()
