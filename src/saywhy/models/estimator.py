"""An estimator by scikit-learn's protocol, or a function, as a model of texts or of rows.

Nothing is imported from scikit-learn; XGBoost, LightGBM, SetFit and others that have its methods are read in the same way.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeGuard, cast

import numpy as np

from ..core.checks import one_of
from ..core.errors import OptionError
from ..core.types import Feature, Target
from .additive import AdditiveSteps, additive_steps, steps_of, words_stand_alone
from .answers import METHODS, Answers, Estimator, answers
from .background import Background, background_of
from .boosting import as_estimator
from .callable import Additive, CallableModel
from .columns import frames, numbers_alike
from .flair_classifier import flair_texts, is_flair
from .protocol import Model
from .reads import (
    category_columns,
    column_dtypes,
    columns_of,
    estimator_name,
    is_vectorizer,
    named_columns,
    text_columns,
)
from .spacy_pipeline import is_spacy, spacy_texts
from .table import TableModel

OUTPUTS = ("probability", "decision", "score", "logit")  # what a caller may say that the numbers are
_KINDS = {"probability": "probability", "decision": "decision", "score": "score", "logit": "softmax"}


def is_estimator(model: object) -> TypeGuard[Estimator]:
    """Has it the methods of an estimator? A function that happens to have `predict` is asked as a function."""
    if isinstance(model, type):
        return False
    if hasattr(model, "predict_proba") or hasattr(model, "decision_function"):
        return True
    return hasattr(model, "predict") and (hasattr(model, "get_params") or not callable(model))


def black_box(
    model: object,
    labels: Sequence[str] | None = None,
    mask_token: str | None = None,
    output: str | None = None,
    background: object = None,
) -> Model[Any]:
    """The adapter of an estimator or a function: of texts, or of rows where it was fitted on columns or has a background.

    Raises OptionError for an estimator that is not fitted, or that lacks what `output` asks for.
    """
    if is_spacy(model):
        if output is not None or background is not None:
            raise OptionError(
                "`output` and `background` are not for a pipeline of spaCy: it gives probabilities of texts."
            )
        return spacy_texts(model, labels, mask_token)
    if is_flair(model):
        if output is not None or background is not None:
            raise OptionError(
                "`output` and `background` are not for a model of Flair: it gives probabilities of texts."
            )
        return flair_texts(model, labels, mask_token)
    if (bound := _bound(model, output)) is not None:
        return black_box(bound[0], labels, mask_token, bound[1], background)
    if not is_estimator(model):
        return _of_function(cast(Callable[[Any], Any], model), labels, mask_token, output, background)
    model = cast(Estimator, as_estimator(model))
    _refuse_unfitted(model)
    columns = columns_of(model)
    if background is not None and columns[:1] == ("Column_0",) and not isinstance(background, np.ndarray):
        columns = ()  # LightGBM's own names of columns without one: those of the background are the caller's, in this order
    if columns or background is not None:
        return _of_rows(model, labels, output, columns, background, mask_token)
    asked = answers(model, labels, output, lambda: ["a"])
    steps = _steps(model, asked)
    function = asked.function if is_vectorizer(steps_of(model)[0]) else _as_fitted(asked.function)
    made = CallableModel(function, asked.labels, mask_token, asked.kind)
    made.name, made.deterministic = estimator_name(model), True
    made.additive = None if steps is None or None not in steps.vectorizers else _of_text(steps, asked.kind)
    return made


def _of_function(
    function: Callable[[Any], Any],
    labels: Sequence[str] | None,
    mask_token: str | None,
    output: str | None,
    background: object,
) -> Model[Any]:
    kind = _KINDS[one_of("value of `output`", "score" if output is None else output, OUTPUTS)]
    texts = CallableModel(function, labels, mask_token, kind)
    if background is None:
        return texts
    known = background_of(background)
    shape = (function, texts.labels, kind, texts.name, tuple(known.columns))
    return TableModel(*shape, background=known, numbers_alike=True)  # in a frame a function finds a column of one type


def _of_rows(
    model: Estimator,
    labels: Sequence[str] | None,
    output: str | None,
    columns: Sequence[str],
    background: object,
    mask_token: str | None,
) -> TableModel:
    if mask_token is not None:
        raise OptionError("`mask_token` is for models of one text; of a row, absent words are left out.")
    texts, named = text_columns(model), named_columns(model) is not None or not columns
    known = None if background is None else background_of(background, columns, texts, category_columns(model))
    reads = tuple(columns or (known.columns if known else ()))
    asked = answers(model, labels, output, partial(_one_row, reads, texts, named, known))
    steps = _steps(model, asked)
    return TableModel(
        *(asked.function, asked.labels, asked.kind, estimator_name(model), reads),
        texts=texts,
        categories=category_columns(model),
        dtypes=column_dtypes(model),
        named=named,
        background=known,
        additive=None if steps is None else _of_columns(steps, asked.kind),
        numbers_alike=numbers_alike(model),
        deterministic=True,
    )


def _bound(model: object, output: str | None) -> tuple[Estimator, str] | None:
    """The estimator whose method this is, and what that method answers with; None for other functions."""
    owner = getattr(model, "__self__", None)
    if not inspect.ismethod(model) or not hasattr(owner, "get_params") or not is_estimator(owner):
        return None
    kind = next((kind for kind, method in METHODS.items() if method == model.__name__), None)
    return None if kind is None or output not in (None, kind) else (owner, kind)


def _one_row(columns: Sequence[str], texts: Sequence[str], named: bool, known: Background | None) -> object:
    """A row that the estimator can be asked about: one of the background, else one of zeros and of texts."""
    row = {name: "a" if name in texts else 0.0 for name in columns} if known is None else known.rows[0]
    values = [row[name] for name in columns]
    return frames(columns, [values], known.dtypes if known else {}, True)[0][1] if named else np.array([values])


def _as_fitted(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function of a list of texts; where a list has not what a step of it asks for, of a Series or an array of them."""

    def asked(texts: list[str]) -> Any:
        try:
            return function(texts)
        except (AttributeError, TypeError, IndexError, KeyError):
            series = getattr(sys.modules.get("pandas"), "Series", list)
            for column in (series(texts), np.array(texts, dtype=object)):
                with suppress(Exception):  # the first error is told
                    return function(column)
            raise

    return asked


def _refuse_unfitted(model: object) -> None:
    last: Any = steps_of(model)[-1]
    tells = getattr(last, "__sklearn_is_fitted__", None) or getattr(last, "is_fitted", None)  # the latter CatBoost's
    if callable(tells):
        fitted = tells() is not False
    else:
        fitted = type(last).__module__.split(".")[0] != "sklearn" or any(
            name.endswith("_") and not name.startswith("_") for name in vars(last)
        )
    if not fitted:
        raise OptionError(f"{estimator_name(model)} is not fitted yet: call its fit(…) first, then explain it.")


# ---- what of it is additive ------------------------------------------------------------------------------------------


def _steps(model: object, asked: Answers) -> AdditiveSteps | None:
    """What is known of its steps; nothing where it answers with the class that it predicts, which is no sum of anything."""
    return None if asked.kind == "score" and getattr(model, "classes_", None) is not None else additive_steps(model)


def _additive_target(steps: AdditiveSteps, kind: str) -> Callable[[Target], bool]:
    def known(target: Target) -> bool:
        if kind in ("decision", "score"):
            return steps.linear
        if kind != "probability":
            return False
        held = target.against is not None
        if target.unit == "log-prob":
            return held and (steps.log_ratios or steps.log_odds)
        return target.unit == "log-odds" and steps.log_odds

    return known


def _of_text(steps: AdditiveSteps, kind: str) -> Additive:
    def known(text: str, features: Sequence[Feature]) -> Callable[[Target], bool] | None:
        alone = words_stand_alone(text, [f.spans for f in features], steps.vectorizers[None])
        return _additive_target(steps, kind) if alone else None

    return known


def _of_columns(
    steps: AdditiveSteps, kind: str
) -> Callable[[Mapping[str, str], Sequence[Feature]], Callable[[Target], bool] | None]:
    def known(opened: Mapping[str, str], features: Sequence[Feature]) -> Callable[[Target], bool] | None:
        for column, text in opened.items():
            spans = [f.spans for f in features if f.part == column]
            if column not in steps.vectorizers or not words_stand_alone(text, spans, steps.vectorizers[column]):
                return None
        return _additive_target(steps, kind)

    return known


__all__ = ["OUTPUTS", "Answers", "Background", "answers", "black_box", "is_estimator"]
