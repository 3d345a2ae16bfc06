"""An estimator by scikit-learn's protocol: what it answers, the names of its outputs, and whether it reads texts or rows.

Nothing is imported from scikit-learn; XGBoost, LightGBM, SetFit and others that have its methods are read in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, cast

import numpy as np

from ..core.checks import one_of
from ..core.errors import OptionError
from ..core.types import Array, Feature, Target
from .additive import VECTORIZERS, AdditiveSteps, additive_steps, steps_of, words_stand_alone
from .background import Background, background_of
from .callable import Additive, CallableModel
from .columns import numbers_alike
from .flair_classifier import flair_texts, is_flair
from .labels import label_names, same_order
from .protocol import Model
from .spacy_pipeline import is_spacy, spacy_texts
from .table import TableModel

OUTPUTS = ("probability", "decision", "score", "logit")  # what a caller may say that the numbers are
_KINDS = {"probability": "probability", "decision": "decision", "score": "score", "logit": "softmax"}


@dataclass(frozen=True, eq=False)
class Answers:
    """What an estimator is asked: a function of a batch, the names of its columns, and what they are."""

    function: Callable[[Any], Any]  # a batch as the estimator reads it -> numbers [B, K]
    labels: tuple[str, ...]
    kind: str


class Estimator(Protocol):
    """What can be asked of an estimator; each has some of these."""

    def predict_proba(self, batch: object, /) -> object:
        """[B, K]; of several outputs a list of those."""
        ...

    def decision_function(self, batch: object, /) -> object:
        """[B, K], or [B] of two classes."""
        ...

    def predict(self, batch: object, /) -> object:
        """[B], a class or a number each; [B, K] of several outputs."""
        ...


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
    if not is_estimator(model):
        kind = _KINDS[one_of("value of `output`", "score" if output is None else output, OUTPUTS)]
        function = cast(Callable[[Any], Any], model)
        texts = CallableModel(function, labels, mask_token, kind)
        if background is None:
            return texts
        known = background_of(background)
        return TableModel(function, texts.labels, kind, texts.name, tuple(known.columns), background=known)
    _refuse_unfitted(model)
    asked, name = answers(model, labels, output), estimator_name(model)
    steps = additive_steps(model)
    columns = columns_of(model)
    if columns or background is not None:
        return _of_rows(model, asked, name, columns, background, steps, mask_token)
    made = CallableModel(asked.function, asked.labels, mask_token, asked.kind)
    made.name, made.deterministic = name, True
    made.additive = None if steps is None or None not in steps.vectorizers else _of_text(steps, asked.kind)
    return made


def _of_rows(
    model: object,
    asked: Answers,
    name: str,
    columns: Sequence[str],
    background: object,
    steps: AdditiveSteps | None,
    mask_token: str | None,
) -> TableModel:
    if mask_token is not None:
        raise OptionError("`mask_token` is for models of one text; of a row, absent words are left out.")
    known = None if background is None else background_of(background, columns, text_columns(model))
    additive = None if steps is None else _of_columns(steps, asked.kind)
    return TableModel(
        *(asked.function, asked.labels, asked.kind, name, tuple(columns or (known.columns if known else ()))),
        texts=text_columns(model),
        named=named_columns(model) is not None or not columns,
        background=known,
        additive=additive,
        numbers_alike=numbers_alike(model),
        deterministic=True,
    )


# ---- what is asked ---------------------------------------------------------------------------------------------------


def answers(model: Estimator, labels: Sequence[str] | None, output: str | None) -> Answers:
    """What is asked of an estimator: `output`, or the first that it has of probability, decision and score."""
    has = {"probability": "predict_proba", "decision": "decision_function", "score": "predict"}
    there = [each for each, method in has.items() if hasattr(model, method)]
    if output is not None and output not in there:
        what = f"has no {has[output]}" if output in has else "is no function of logits"
        raise OptionError(
            f"output={output!r:.40}: {type(model).__name__} {what}. It can be asked for {', '.join(map(repr, there))}."
        )
    wanted = there[0] if output is None else output
    classes = _classes(model)
    if isinstance(classes, list):
        return _several_outputs(model, wanted, classes, labels)
    own = None if classes is None else label_names(classes)
    if wanted == "probability":
        names = _named(model, labels, own, None)
        many = bool(getattr(model, "multilabel_", False))
        return Answers(model.predict_proba, names, "independent-probability" if many else "probability")
    if wanted == "decision":
        names = _named(model, labels, own, ("decision",))
        return Answers(lambda batch: _two_sided(model.decision_function(batch), len(names)), names, "decision")
    if own is not None:
        names = _named(model, labels, own, None)
        return Answers(lambda batch: _indicators(model.predict(batch), own), names, "score")
    names = _named(model, labels, None, _regression_labels(model))
    return Answers(model.predict, names, "score")


def _classes(model: object) -> object:
    """The names of the classes: an array; a list of arrays for several outputs; None for a regression."""
    classes: Any = getattr(model, "classes_", None)
    if classes is None and hasattr(model, "predict_proba"):
        classes = getattr(model, "labels", None)  # SetFit's name for them
    if not isinstance(classes, list | tuple):
        return classes
    nested = bool(classes) and hasattr(classes[0], "__len__") and not isinstance(classes[0], str)
    return list(classes) if nested else tuple(classes)


def _named(
    model: object, labels: Sequence[str] | None, own: tuple[str, ...] | None, usual: tuple[str, ...] | None
) -> tuple[str, ...]:
    if labels is not None:
        known = label_names(labels)
        same_order(known, own, f"{type(model).__name__}.classes_")
        return known
    if own is None and usual is None:
        raise OptionError(f"{type(model).__name__} does not name its classes: Explainer(model, labels=['neg', 'pos']).")
    return own or usual or ()


def _several_outputs(model: Estimator, wanted: str, classes: list[Any], labels: Sequence[str] | None) -> Answers:
    """Several questions answered at once: every class of every output is a label, "output 0: yes"."""
    own = tuple(f"output {i}: {name}" for i, names in enumerate(classes) for name in label_names(names))
    names = _named(model, labels, own, None)
    if wanted == "probability":
        return Answers(
            lambda batch: np.concatenate([*map(np.asarray, cast(list[Array], model.predict_proba(batch)))], axis=1),
            names,
            "independent-probability",
        )

    def chosen(batch: object) -> Array:
        said = np.asarray(model.predict(batch))
        return np.concatenate([_indicators(said[:, i], label_names(each)) for i, each in enumerate(classes)], axis=1)

    return Answers(chosen, names, "score")


def _two_sided(decision: object, many: int) -> Array:
    """[B, K]: of two classes an estimator tells one number, how far it is for the second."""
    known = np.asarray(decision, dtype=np.float64)
    return np.stack([-known, known], axis=1) if known.ndim == 1 and many == 2 else known


def _indicators(said: object, labels: Sequence[str]) -> Array:
    """[B, K]: 1 for the class that was predicted."""
    named = [str(each) for each in np.asarray(said).tolist()]
    return np.array([[float(name == label) for label in labels] for name in named]).reshape(len(named), len(labels))


def _regression_labels(model: object) -> tuple[str, ...]:
    last = steps_of(model)[-1]
    weights: Any = getattr(last, "coef_", None)
    many = getattr(last, "n_outputs_", None) or (weights.shape[0] if getattr(weights, "ndim", 1) == 2 else 1)
    return ("prediction",) if many == 1 else tuple(f"output {i}" for i in range(many))


# ---- what it reads ---------------------------------------------------------------------------------------------------


def estimator_name(model: object) -> str:
    """The classes of its steps; of a file its own name."""
    if isinstance(name := getattr(model, "__name__", None), str):
        return name
    return " + ".join(type(step).__name__ for step in steps_of(model))


def named_columns(model: object) -> tuple[str, ...] | None:
    """The names of the columns that it was fitted on, if it was fitted on names."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(map(str, names))


def columns_of(model: object) -> tuple[str, ...]:
    """The columns that it reads, by name or as x0, x1, …; none where it reads texts."""
    if type(steps_of(model)[0]).__name__ in VECTORIZERS:
        return ()
    named = named_columns(model)
    if named is not None:
        dropped = _dropped_columns(steps_of(model)[0], named)
        return tuple(name for name in named if name not in dropped)
    many = getattr(model, "n_features_in_", None)
    return () if many is None else tuple(f"x{i}" for i in range(int(many)))


def _dropped_columns(first: object, named: Sequence[str]) -> set[str]:
    """The columns that a ColumnTransformer throws away, and that it need not be given."""
    kept: set[str] = set()
    gone: set[str] = set()
    for _, step, columns in getattr(first, "transformers_", ()):
        chosen = [columns] if isinstance(columns, str) else columns
        if not isinstance(chosen, Sequence) or isinstance(chosen, slice):  # masks and slices: as if all were read
            return set()
        names = {named[each] if isinstance(each, int) else str(each) for each in chosen}
        (gone if isinstance(step, str) and step == "drop" else kept).update(names)
    return gone - kept


def text_columns(model: object) -> tuple[str, ...]:
    """The columns that a ColumnTransformer hands to a reader of texts."""
    first = steps_of(model)[0]
    return tuple(
        columns
        for _, step, columns in getattr(first, "transformers_", ())
        if isinstance(columns, str) and not isinstance(step, str) and type(steps_of(step)[0]).__name__ in VECTORIZERS
    )


def _refuse_unfitted(model: object) -> None:
    last = steps_of(model)[-1]
    if type(last).__module__.split(".")[0] != "sklearn" or hasattr(last, "__sklearn_is_fitted__"):
        return
    if not any(name.endswith("_") and not name.startswith("_") for name in vars(last)):
        raise OptionError(f"{estimator_name(model)} is not fitted yet: call its fit(…) first, then explain it.")


# ---- what of it is additive ------------------------------------------------------------------------------------------


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
