"""Image classification: which patches of an image push a label's number up or down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..core.errors import InputError
from ..core.types import Encoding, Target
from .protocol import Case, OutputIndex, Task, every_output
from .text_classification import TextClassification

if TYPE_CHECKING:
    from ..models.protocol import EncodingOptions, Model
    from .protocol import WantedTarget

_LABELS = TextClassification()  # a label is a label, whatever was classified
_MANY, _LIKELIEST = 20, 10


@dataclass(frozen=True)
class ImageClassification(Task):
    """Which parts of an image push a label's logit, probability or log-odds up or down.

    Given: a PIL image, a path, the bytes of an image file, or an array [H, W], [H, W, 3 or 4] or [3, H, W]. `by` is "patch"
    (the default), "pixel", "channel" or a grid (rows, columns).
    """

    name = "image-classification"
    head = "image"
    default_granularity = "patch"

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        if isinstance(given, tuple | dict):
            raise InputError(f"One image at a time, or a list of them; not {type(given).__name__}.")
        return model.encode({"image": given}, options)

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        return _LABELS.targets(case, wanted, against, unit)

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        return _LABELS.score(case, outputs, targets)

    def predict_label(self, case: Case) -> tuple[str, float | None]:
        return _LABELS.predict_label(case)

    def default_targets(self, case: Case) -> Sequence[WantedTarget]:
        """All labels; of more than 20 the ten likeliest."""
        if len(case.model.labels) <= _MANY:
            return every_output(case.model.labels)
        return [OutputIndex(i) for i in case.output.topk(_LIKELIEST).indices]
