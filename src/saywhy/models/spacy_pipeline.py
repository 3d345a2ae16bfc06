"""A pipeline of spaCy that classifies texts: what its `textcat` says, by the names of its labels. spaCy is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeGuard

from ..core.errors import OptionError
from .callable import CallableModel
from .labels import label_names, same_order

_KINDS = {
    "textcat": "probability",
    "textcat_multilabel": "independent-probability",
}  # a factory -> what its numbers are


class Component(Protocol):
    """A step of a pipeline of spaCy that classifies texts, or what the pipeline tells of it."""

    labels: Sequence[str]
    factory: str


class Doc(Protocol):
    """What spaCy makes of a text."""

    cats: Mapping[str, float]


class Language(Protocol):
    """A pipeline of spaCy, as far as it is asked here."""

    pipe_names: Sequence[str]

    def pipe(self, texts: Iterable[str], /) -> Iterable[Doc]: ...

    def get_pipe(self, name: str, /) -> Component: ...

    def get_pipe_meta(self, name: str, /) -> Component: ...


def is_spacy(model: object) -> TypeGuard[Language]:
    """Is it a `Language` of spaCy?"""
    return all(hasattr(model, name) for name in ("pipe", "pipe_names", "get_pipe", "get_pipe_meta"))


def spacy_texts(nlp: Language, labels: Sequence[str] | None, mask_token: str | None) -> CallableModel:
    """The adapter of a pipeline with a component `textcat` or `textcat_multilabel`; the last, where it has several.

    Raises OptionError for one that classifies no texts, with the components that it has.
    """
    found = [(name, nlp.get_pipe_meta(name).factory) for name in nlp.pipe_names]
    texts = [(name, factory) for name, factory in found if factory in _KINDS]
    if not texts:
        raise OptionError(
            f"This pipeline of spaCy classifies no texts: it has {', '.join(nlp.pipe_names) or 'no component'}, and needs one "
            f"of {', '.join(_KINDS)}."
        )
    name, factory = texts[-1]
    own = label_names(nlp.get_pipe(name).labels)
    if labels is not None:
        same_order(label_names(labels), own, f"the component {name!r}")

    def answer(batch: list[str]) -> list[list[float]]:
        return [[doc.cats[label] for label in own] for doc in nlp.pipe(batch)]

    made = CallableModel(answer, own if labels is None else labels, mask_token, _KINDS[factory])
    made.name, made.deterministic = f"spaCy {name}", True
    return made
