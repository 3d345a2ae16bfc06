"""What an estimator answers: which of its methods is asked, the names of its outputs, and what the numbers are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..core.checks import plain
from ..core.errors import ModelError, OptionError
from ..core.types import Array
from .additive import steps_of
from .boosting import several_labels
from .labels import label_names, same_order

METHODS = {"probability": "predict_proba", "decision": "decision_function", "score": "predict"}


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


def answers(
    model: Estimator, labels: Sequence[str] | None, output: str | None, sample: Callable[[], object] | None = None
) -> Answers:
    """What is asked of an estimator: `output`, or the first that it has of probability, decision and score.

    `sample` makes an input of which a regression is asked how many numbers it gives, where nothing else tells.
    """
    there = [each for each, method in METHODS.items() if hasattr(model, method)]
    if output is not None and output not in there:
        what = f"has no {METHODS[output]}" if output in METHODS else "is no function of logits"
        raise OptionError(
            f"output={output!r:.40}: {type(model).__name__} {what}. It can be asked for {', '.join(map(repr, there))}."
        )
    wanted = there[0] if output is None else output
    classes = _classes(model)
    if isinstance(classes, list):
        return _several_outputs(model, wanted, classes, labels)
    clusters = _clusters(model, labels) if classes is None else None
    told: Any = classes if clusters is None else clusters
    own = None if told is None else label_names(told if clusters is None else [f"cluster {i}" for i in clusters])
    if many := several_labels(_last_of(model)):
        told, own = list(range(many)), tuple(f"label {i}" for i in range(many))
    if wanted == "probability":
        names = _named(model, labels, own, None)
        return Answers(model.predict_proba, names, "independent-probability" if _multilabel(model) else "probability")
    if wanted == "decision":
        names = _pairs(model, labels, own) or _named(model, labels, own, ("decision",))
        return Answers(lambda batch: _two_sided(model.decision_function(batch), len(names)), names, "decision")
    if own is not None:
        names = _named(model, labels, own, None)
        return Answers(lambda batch: _indicators(model.predict(batch), told), names, "score")
    names = _named(model, labels, None, ("",) if labels is not None else _regression_labels(model, sample))
    return Answers(lambda batch: _as_many(model.predict(batch), names, model), names, "score")


def _classes(model: object) -> object:
    """The names of the classes: an array; a list of arrays for several outputs; None for a regression."""
    classes: Any = getattr(model, "classes_", None)
    if classes is None and hasattr(model, "predict_proba"):
        classes = getattr(model, "labels", None)  # SetFit's name for them
    if type(model).__name__ == "CatBoost" or (classes is not None and len(classes) == 0):
        return None  # whose `predict` gives no classes, or a regression of CatBoost
    if not isinstance(classes, list | tuple):
        return classes
    nested = bool(classes) and hasattr(classes[0], "__len__") and not isinstance(classes[0], str)
    return list(classes) if nested else tuple(classes)


def _last_of(model: object) -> Any:
    """The estimator at the end of pipelines and of searches over settings, which tells of the outputs."""
    last = steps_of(model)[-1]
    inner = getattr(last, "best_estimator_", None) or getattr(last, "regressor_", None)
    if inner is not None:
        return _last_of(inner)
    return last if last is model else _last_of(last)


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


def _multilabel(model: object) -> bool:
    """Was it fitted on labels that do not exclude each other, a column of 0 and 1 for each?"""
    last = _last_of(model)
    binarizer = getattr(last, "_label_binarizer", None)
    return (
        bool(several_labels(last) or getattr(last, "multilabel_", False))
        or getattr(binarizer, "y_type_", "") == "multilabel-indicator"
    )


def _pairs(model: object, labels: Sequence[str] | None, own: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The caller's names of pairs of classes, where the decision is of pairs; None where it is of classes."""
    if getattr(_last_of(model), "decision_function_shape", "") != "ovo" or own is None or len(own) < 3:
        return None
    if labels is not None and not set(known := label_names(labels)) <= set(own):
        return known
    name = type(_last_of(model)).__name__
    raise OptionError(
        f"{name} with decision_function_shape='ovo' decides between each two classes, so it has no number for a class. Set "
        "decision_function_shape='ovr' on it, which needs no new fit; or name the pairs in their order, "
        f"labels=['{own[0]} rather than {own[1]}', …]."
    )


# ---- several outputs, clusters and regressions -----------------------------------------------------------------------


def _several_outputs(model: Estimator, wanted: str, classes: list[Any], labels: Sequence[str] | None) -> Answers:
    """Several questions answered at once: every class of every output is a label, "output 0: yes"."""
    own = tuple(f"output {i}: {name}" for i, names in enumerate(classes) for name in label_names(names))
    names = _named(model, labels, own, None)
    if wanted == "probability":
        return Answers(
            lambda batch: _of_each_output(model.predict_proba(batch), classes, lambda p: 1 - p),
            names,
            "independent-probability",
        )
    if wanted == "decision":
        return Answers(
            lambda batch: _of_each_output(model.decision_function(batch), classes, np.negative), names, "decision"
        )

    def chosen(batch: object) -> Array:
        said: Any = model.predict(batch)
        said = said.toarray() if hasattr(said, "toarray") else np.asarray(said)
        return np.concatenate([_indicators(said[:, i], each) for i, each in enumerate(classes)], axis=1)

    return Answers(chosen, names, "score")


def _of_each_output(answer: Any, classes: Sequence[Any], other: Callable[[Array], Array]) -> Array:
    """[B, K]: every class of every output; of two classes there may be one number, from which `other` makes the first's."""
    parts = list(answer) if isinstance(answer, list | tuple) else list(np.asarray(answer, dtype=np.float64).T)
    made = [np.asarray(part, dtype=np.float64) for part in parts]
    made = [np.stack([other(part), part], axis=1) if part.ndim == 1 else part for part in made]
    if [part.shape[1] for part in made] != [len(each) for each in classes]:
        raise ModelError(
            f"It answers with {[part.shape[1] for part in made]} numbers for its {len(classes)} outputs, which have "
            f"{[len(each) for each in classes]} classes: give a function that has one number a label, and `labels`."
        )
    return np.concatenate(made, axis=1)


def _two_sided(decision: object, many: int) -> Array:
    """[B, K]: of two classes an estimator tells one number, how far it is for the second."""
    known = np.asarray(decision, dtype=np.float64)
    return np.stack([-known, known], axis=1) if known.ndim == 1 and many == 2 else known


def _indicators(said: Any, classes: Sequence[Any]) -> Array:
    """[B, K]: 1 for the class that was predicted; of labels that do not exclude each other, for each that was."""
    told = said.toarray() if hasattr(said, "toarray") else np.asarray(said)
    if told.ndim == 2 and told.shape[1] == len(classes) > 1:
        return np.asarray(told, dtype=np.float64)
    known = [plain(each) for each in classes]  # chains of classifiers predict 1.0 where the class is 1
    found = [[float(one == each or str(one) == str(each)) for each in known] for one in told.ravel().tolist()]
    return np.array(found).reshape(len(found), len(known))


def _clusters(model: object, labels: Sequence[str] | None) -> list[int] | None:
    """The numbers that a clusterer gives to its clusters; None of another estimator. Raises OptionError where it is not known."""
    last = _last_of(model)
    try:
        kind = last.__sklearn_tags__().estimator_type
    except Exception:  # of a version or a library without tags
        kind = getattr(last, "_estimator_type", None)
    if kind == "density_estimator" and hasattr(model, "predict_proba"):  # a mixture
        return list(range(last.n_components))
    if kind != "clusterer":
        return None
    if (centres := getattr(last, "cluster_centers_", None)) is not None:
        return list(range(len(centres)))
    if (found := getattr(last, "labels_", None)) is not None:
        return sorted(set(np.asarray(found).tolist()))
    if labels is not None:
        return list(range(len(label_names(labels))))
    raise OptionError(
        f"{type(last).__name__} predicts the number of a cluster, and does not tell how many there are: name them, "
        "Explainer(model, labels=['cluster 0', 'cluster 1', …])."
    )


def _regression_labels(model: Estimator, sample: Callable[[], object] | None) -> tuple[str, ...]:
    last = _last_of(model)
    weights: Any = getattr(last, "coef_", None)
    many = getattr(last, "n_outputs_", None) or (weights.shape[0] if getattr(weights, "ndim", 1) == 2 else None)
    if many is None and weights is None and sample is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                told: Any = np.asarray(model.predict(sample()))
            many = told.shape[1] if told.ndim == 2 else 1
        except Exception:  # of an input that is like none of its own
            many = 1
    return tuple(f"output {i}" for i in range(many)) if many is not None and many > 1 else ("prediction",)


def _as_many(answer: Any, names: Sequence[str], model: object) -> object:
    """The answer of a regression, if it has a number for each name."""
    shape: Sequence[int] = getattr(answer, "shape", ())
    if len(shape) == 2 and shape[1] != len(names):
        raise ModelError(
            f"{type(model).__name__} predicts {shape[1]} numbers for an input, and {len(names)} have a name: name them all, "
            "Explainer(model, labels=['first', 'second', …])."
        )
    return answer
