"""The text explainers, by the place that transformers-interpret keeps them in."""

from ..question import QuestionAnsweringExplainer
from ..sequence import (
    MultiLabelClassificationExplainer,
    PairwiseSequenceClassificationExplainer,
    SequenceClassificationExplainer,
)
from ..tokens import TokenClassificationExplainer
from ..zero_shot import ZeroShotClassificationExplainer

__all__ = [
    "MultiLabelClassificationExplainer",
    "PairwiseSequenceClassificationExplainer",
    "QuestionAnsweringExplainer",
    "SequenceClassificationExplainer",
    "TokenClassificationExplainer",
    "ZeroShotClassificationExplainer",
]
