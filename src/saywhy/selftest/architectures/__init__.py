"""Every class that transformers registers for the tasks here, made tiny and explained: what works, and where not, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """One kind of model: its mapping in transformers, and the task that explains it."""

    mapping: str
    task: str


HEADINGS: Mapping[str, Heading] = {
    "sequence classification": Heading("MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES", "text-classification"),
    "token classification": Heading("MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES", "token-classification"),
    "question answering": Heading("MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES", "question-answering"),
    "masked LM": Heading("MODEL_FOR_MASKED_LM_MAPPING_NAMES", "fill-mask"),
    "causal LM": Heading("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "text-generation"),
    "seq2seq LM": Heading("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES", "text-generation"),
    "image classification": Heading("MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES", "image-classification"),
}


@dataclass(frozen=True)
class Registered:
    """A class that transformers registers: under which heading, for which kind of configuration."""

    heading: str
    kind: str
    name: str


def registered(names: Sequence[str] = ()) -> Iterator[Registered]:
    """Each class once a heading, in transformers' own order; only those of `names` where some are given."""
    from transformers.models.auto import modeling_auto

    for heading, told in HEADINGS.items():
        seen: set[str] = set()
        for kind, classes in getattr(modeling_auto, told.mapping).items():
            for name in (classes,) if isinstance(classes, str) else classes:
                if name not in seen and (not names or name in names):
                    seen.add(name)
                    yield Registered(heading, kind, name)
