"""What the author of a method, a metric, a task or a model adapter needs; all else inside may be renamed at any time.

A **method** is a generator function that is handed a `Problem`, yields questions (`Values`, `Gradients`, `AttentionMaps`,
`LabelAttentions`) and returns `Scores`. A **metric** is one that is handed a `Problem` and a `Candidate`, and returns a
`Judgement`. A **task** turns an input into an `Encoding` and outputs into the numbers of `Target`s. A **model** answers rows.
"""

from __future__ import annotations

from .core.errors import (
    FileError,
    InputError,
    MethodError,
    MissingError,
    ModelError,
    OptionError,
    SaywhyError,
    unknown,
)
from .core.features import words
from .core.sentences import sentences
from .core.types import (
    AttentionMaps,
    AttentionWeights,
    Cost,
    EmbeddingPath,
    Encoding,
    Feature,
    Gradients,
    Held,
    LabelAttentions,
    MethodGenerator,
    Problem,
    Question,
    Scores,
    Target,
    Token,
    Values,
)
from .methods import METHODS, Method
from .metrics import METRICS, Metric
from .metrics.candidate import Candidate, Judgement
from .models.protocol import EncodingOptions, Model
from .tasks import (
    TASKS,
    FillMask,
    ImageClassification,
    QuestionAnswering,
    SentenceSimilarity,
    TextClassification,
    TextGeneration,
    TokenClassification,
    ZeroShotClassification,
)
from .tasks.protocol import Case, Task

__all__ = [
    "METHODS",
    "METRICS",
    "TASKS",
    "AttentionMaps",
    "AttentionWeights",
    "Candidate",
    "Case",
    "Cost",
    "EmbeddingPath",
    "Encoding",
    "EncodingOptions",
    "Feature",
    "FileError",
    "FillMask",
    "Gradients",
    "Held",
    "ImageClassification",
    "InputError",
    "Judgement",
    "LabelAttentions",
    "Method",
    "MethodError",
    "MethodGenerator",
    "Metric",
    "MissingError",
    "Model",
    "ModelError",
    "OptionError",
    "Problem",
    "Question",
    "QuestionAnswering",
    "SaywhyError",
    "Scores",
    "SentenceSimilarity",
    "Target",
    "Task",
    "TextClassification",
    "TextGeneration",
    "Token",
    "TokenClassification",
    "Values",
    "ZeroShotClassification",
    "sentences",
    "unknown",
    "words",
]
