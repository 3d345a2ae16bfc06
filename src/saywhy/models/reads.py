"""What an estimator reads: texts or rows, the names of its columns, and which of these it reads word by word or as categories.

Searches over settings, calibrations, votes and pipelines within pipelines hand on what they are given, so it is found within.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .additive import VECTORIZERS, steps_of
from .boosting import own_categories, own_dtypes, own_names, own_texts

_ONE_WITHIN = ("best_estimator_", "regressor_")  # what an estimator has that was fitted on the same input
_SEVERAL_WITHIN = ("estimators_", "calibrated_classifiers_", "transformer_list")
_OF_CATEGORIES = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")


def estimator_name(model: object) -> str:
    """The classes of its steps; of a file its own name."""
    if isinstance(name := getattr(model, "__name__", None), str):
        return name
    return " + ".join(type(step).__name__ for step in steps_of(model))


def named_columns(model: object) -> tuple[str, ...] | None:
    """The names of the columns that it was fitted on, if it was fitted on names."""
    names: Any = getattr(model, "feature_names_in_", None)
    if names is None:
        names = own_names(model)
    if names is not None:
        return tuple(map(str, names))
    return next((found for each in _within(model) if (found := named_columns(each)) is not None), None)


def columns_of(model: object) -> tuple[str, ...]:
    """The columns that it reads, by name or as x0, x1, …; none where it reads texts."""
    first = _first_of(model)
    if is_vectorizer(first):
        return ()
    named = named_columns(model)
    if named is not None:
        dropped = _dropped_columns(first, named)
        return tuple(name for name in named if name not in dropped)
    many = getattr(model, "n_features_in_", None)
    return () if many is None else tuple(f"x{i}" for i in range(int(many)))


def text_columns(model: object) -> tuple[str, ...]:
    """The columns that some ColumnTransformer hands, each alone, to a reader of texts."""
    columns = columns_of(model)
    parts = _parts(model, named_columns(model) or columns) if columns else ()
    found: set[str] = set()
    for part, chosen in parts:
        if part is not model and len(chosen) == 1 and _reads_texts(part):
            found.add(chosen[0])
        found.update(chosen[i] for i in own_texts(part))
    return tuple(name for name in columns if name in found)


def category_columns(model: object) -> tuple[str, ...]:
    """The columns whose values it reads as names of categories, be they numbers or not."""
    columns = columns_of(model)
    found: set[str] = set()
    for part, chosen in _parts(model, named_columns(model) or columns, functions=False):
        steps = [step for step in steps_of(part) if type(step).__name__ != "SimpleImputer"]
        mask = getattr(steps[0], "is_categorical_", None) if steps else None  # of gradient boosting by histograms
        own = own_categories(steps[0]) if steps else []
        if steps and type(steps[0]).__name__ in _OF_CATEGORIES:
            found.update(chosen)
        elif own and max(own) < len(chosen):
            found.update(chosen[i] for i in own)
        elif mask is not None and len(mask) == len(chosen):
            found.update(name for name, so in zip(chosen, mask, strict=True) if so)
    return tuple(name for name in columns if name in found)


def column_dtypes(model: object) -> dict[str, Any]:
    """The types of the columns that were categories where it was fitted, as far as boosted trees within tell them."""
    columns = columns_of(model)
    found: dict[str, Any] = {}
    for part, chosen in _parts(model, named_columns(model) or columns, functions=False):
        found |= own_dtypes(steps[0], chosen) if (steps := steps_of(part)) else {}
    return {name: kind for name, kind in found.items() if name in columns}


def is_vectorizer(step: object) -> bool:
    """Does it read texts, as scikit-learn's readers of texts and their subclasses do?"""
    return any(each.__name__ in VECTORIZERS for each in type(step).__mro__)


def _first_of(model: object) -> object:
    """What is given the input as it is: the first step, where there is one way only."""
    while len(within := list(_within(model))) == 1:
        [model] = within
    return model


def _within(model: object) -> Iterator[object]:
    """The fitted estimators within, that are given the same input."""
    if isinstance(getattr(model, "steps", None), list):
        yield from steps_of(model)[:1]
        return
    yield from (inner for name in _ONE_WITHIN if (inner := getattr(model, name, None)) is not None)
    for name in _SEVERAL_WITHIN:
        several = getattr(model, name, None)
        for each in several if isinstance(several, list) else ():
            inner = each[1] if isinstance(each, tuple) else each
            yield getattr(inner, "estimator", inner) if name == "calibrated_classifiers_" else inner


def _parts(step: object, names: Sequence[str], functions: bool = True) -> Iterator[tuple[object, list[str]]]:
    """The estimators within that are handed some of the columns with these names, and which; `functions`: after those too."""
    if (parts := getattr(step, "transformers_", None)) is not None:
        for _, part, columns in parts:
            chosen = [name for name in chosen_columns(columns, names) if name in names]
            if chosen and not isinstance(part, str):
                yield from _parts(part, chosen, functions)
        return
    yield step, list(names)
    steps = steps_of(step) if isinstance(getattr(step, "steps", None), list) else []
    while (
        functions and len(steps) > 1 and type(steps[0]).__name__ == "FunctionTransformer"
    ):  # tidies a frame up, and hands it on
        steps = steps[1:]
    for each in steps[:1] or _within(step):
        yield from _parts(each, names, functions)


def _reads_texts(step: object) -> bool:
    """Is there a reader of texts in it, of what it is given or of what its own steps make of that?"""
    steps = steps_of(step) if isinstance(getattr(step, "steps", None), list) else list(_within(step))
    return is_vectorizer(step) or any(_reads_texts(each) for each in steps)


def chosen_columns(columns: Any, names: Sequence[str]) -> list[str]:
    """The names of columns that are told by name, by number, by a slice, a mask or a list, as for a ColumnTransformer."""
    if isinstance(columns, slice):  # of names with its end, as in pandas
        start, stop = (names.index(end) if isinstance(end, str) else end for end in (columns.start, columns.stop))
        return list(names[start : stop + 1 if isinstance(columns.stop, str) else stop : columns.step])
    known = np.atleast_1d(np.asarray(columns, dtype=object)).tolist()
    if known and all(isinstance(each, bool) for each in known):
        return [name for name, kept in zip(names, known, strict=True) if kept]
    return [names[each] if isinstance(each, int) else str(each) for each in known]


def _dropped_columns(first: object, named: Sequence[str]) -> set[str]:
    """The columns that a ColumnTransformer throws away, and that it need not be given."""
    kept: set[str] = set()
    gone: set[str] = set()
    for _, step, columns in getattr(first, "transformers_", ()):
        (gone if isinstance(step, str) and step == "drop" else kept).update(chosen_columns(columns, named))
    return gone - kept
