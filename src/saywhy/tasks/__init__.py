"""The table of tasks, and which task is meant: by name, by the pipeline, or by the model's class."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.errors import ModelError, OptionError, unknown
from ..models.heads import HEADS
from .fill_mask import FillMask
from .image_classification import ImageClassification
from .protocol import Task
from .question_answering import QuestionAnswering
from .sentence_similarity import SentenceSimilarity
from .text_classification import TextClassification
from .text_generation import TextGeneration
from .token_classification import TokenClassification
from .zero_shot_classification import ZeroShotClassification

__all__ = [
    "TASKS",
    "FillMask",
    "ImageClassification",
    "QuestionAnswering",
    "SentenceSimilarity",
    "TextClassification",
    "TextGeneration",
    "TokenClassification",
    "ZeroShotClassification",
    "task_for",
]

_ROWS: tuple[Task, ...] = (
    TextClassification(),
    ZeroShotClassification(),
    TokenClassification(),
    QuestionAnswering(),
    FillMask(),
    SentenceSimilarity(),
    TextGeneration(),
    ImageClassification(),
)
TASKS: Mapping[str, Task] = {task.name: task for task in _ROWS}
_ALIASES = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "feature-extraction": "sentence-similarity",
    "text2text-generation": "text-generation",
    "summarization": "text-generation",
    "translation": "text-generation",
}


# endings of transformers' classes that answer several inputs at once, each point of an image, or sounds
_UNREAD = (
    *("ForMultipleChoice", "Segmentation", "Detection", "ForDepthEstimation", "ForVisualQuestionAnswering"),
    *("ForAudioClassification", "ForVideoClassification", "ForCTC", "ForXVector"),
)


# tasks of transformers' pipelines that are about sounds, films, tables, points of an image, or images beside texts
_OF_OTHERS = (
    *(
        "any-to-any",
        "audio-classification",
        "automatic-speech-recognition",
        "depth-estimation",
        "document-question-answering",
    ),
    *("image-feature-extraction", "image-segmentation", "image-text-to-text", "image-to-image", "image-to-text"),
    *(
        "keypoint-matching",
        "mask-generation",
        "object-detection",
        "table-question-answering",
        "text-to-audio",
        "text-to-speech",
    ),
    *("video-classification", "visual-question-answering", "vqa", "zero-shot-audio-classification"),
    *("zero-shot-image-classification", "zero-shot-object-detection"),
)


def names_task(wanted: object, hint: str | None) -> bool:
    """Is what was asked for the name of the task that a pipeline tells of, in one of its spellings?"""
    return isinstance(wanted, str) and hint is not None and _ALIASES.get(wanted, wanted) == _ALIASES.get(hint, hint)


def task_for(wanted: str | Task | None, hint: str | None, head: str | None, architecture: str | None) -> Task:
    """The task asked for by name or given as itself; else the one that the pipeline or the model's class tells of.

    Refuses an unknown name, and a task that this class of model cannot do, with those it can.
    """
    if wanted is None:
        name = _ALIASES.get(hint or "", hint or "")
        if name in _OF_OTHERS:
            raise ModelError(
                f"None of the tasks here does what a pipeline for {name} does: {', '.join(TASKS)}. Give a function of texts "
                "around it, Explainer(function, labels=[…])."
            )
        if head is None and not hint and (architecture or "").endswith(_UNREAD):
            raise ModelError(
                f"{architecture} answers in a way that none of the tasks here reads: {', '.join(TASKS)}. Give a function around "
                "it, Explainer(function, labels=[…])."
            )
        fitting = (task for task in TASKS.values() if task.head == head)
        return TASKS.get(name) or next(fitting, TASKS["text-classification"])
    if isinstance(wanted, str):
        name = _ALIASES.get(wanted, wanted)
        if name not in TASKS:
            raise unknown("task", wanted, TASKS)
        wanted = TASKS[name]
    if isinstance(wanted, type) or not all(hasattr(wanted, name) for name in ("name", "head", "encode", "targets")):
        raise OptionError(
            f"`task` is one of {', '.join(TASKS)}, or such a task with its own settings; not {wanted!r:.60}."
        )
    readable = (architecture or "").endswith(HEADS[wanted.head].named or "-") if wanted.head in HEADS else False
    if head is not None and wanted.head not in (head, "vector") and not readable:
        can = [task.name for task in TASKS.values() if task.head == head]
        raise ModelError(
            f"{architecture} cannot do {wanted.name}; it can do {', '.join(can) or 'none of the tasks here'}."
        )
    return wanted
