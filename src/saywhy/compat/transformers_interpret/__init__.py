"""transformers-interpret's names over saywhy: change the import, and the code runs on today's transformers.

>>> from saywhy.compat.transformers_interpret import SequenceClassificationExplainer
"""

from .attributions import Attributions, LIGAttributions
from .explainer import BaseExplainer
from .image import ImageClassificationExplainer
from .question import QuestionAnsweringExplainer
from .sequence import (
    MultiLabelClassificationExplainer,
    PairwiseSequenceClassificationExplainer,
    SequenceClassificationExplainer,
)
from .tokens import TokenClassificationExplainer
from .zero_shot import ZeroShotClassificationExplainer

__all__ = [
    "Attributions",
    "BaseExplainer",
    "ImageClassificationExplainer",
    "LIGAttributions",
    "MultiLabelClassificationExplainer",
    "PairwiseSequenceClassificationExplainer",
    "QuestionAnsweringExplainer",
    "SequenceClassificationExplainer",
    "TokenClassificationExplainer",
    "ZeroShotClassificationExplainer",
]
