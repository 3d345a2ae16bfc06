"""LimeTextExplainer: words (or characters) of a text, removed at random, and a linear model of what the classifier says then.

Samples, distances and weights are lime's (Ribeiro, Singh & Guestrin 2016). What differs: a text that is drawn twice is asked
once, in batches of bounded size; progress is shown for long work; several texts can be explained by several processes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.errors import InputError, MissingError, ModelError, OptionError, unknown
from ...core.features import checked
from ...core.progress import Tick
from ...core.progress import progress as shown_progress
from .explanation import Explanation, TextDomainMapper
from .indexed import Indexed, IndexedCharacters, IndexedString, SplitExpression
from .lime_base import SELECTIONS, Floats, LimeBase, Regressor

Classifier: TypeAlias = "Callable[[list[str]], Any]"  # texts to probabilities [N, classes]
BATCH = 512  # texts that the classifier is asked for at once


def exponential_kernel(d: Floats, kernel_width: float) -> Floats:
    """The weight of a sample at distance d: sqrt(exp(-d² / width²))."""
    weights: Floats = np.sqrt(np.exp(-(d**2) / kernel_width**2))
    return weights


class GlobalState:
    """numpy's global random state, by the methods that are drawn with. Unlike numpy.random it goes to other processes."""

    def randint(self, low: int, high: int, size: int) -> NDArray[np.int64]:
        return np.random.randint(low, high, size)

    def permutation(self, count: int) -> NDArray[np.int64]:
        return np.random.permutation(count)


RandomState: TypeAlias = "np.random.RandomState | GlobalState"


def _state(given: int | np.random.RandomState | None) -> RandomState:
    if given is None:
        return GlobalState()
    if isinstance(given, np.random.RandomState):
        return given
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        return np.random.RandomState(int(given))
    raise OptionError(f"`random_state` is a whole number or a numpy.random.RandomState, not {given!r:.60}.")


class LimeTextExplainer:
    """Explains text classifiers by local linear models.

    Parameters
    ----------
    kernel_width : how far from the text samples count, in hundredths of a cosine distance.
    kernel : function of (distances, kernel_width) that gives weights; by default sqrt(exp(-d² / width²)).
    verbose : print intercept, local prediction and the classifier's own.
    class_names : by the classifier's order; by default "0", "1", …
    feature_selection : "forward_selection", "highest_weights", "lasso_path", "none", or "auto": forward selection up to
        6 features, else the highest weights.
    split_expression, bow, mask_string : as in IndexedString.
    random_state : a number or a numpy RandomState; None is numpy's global one.
    char_level : characters in place of words.
    """

    def __init__(
        self,
        kernel_width: float = 25,
        kernel: Callable[..., Floats] | None = None,
        verbose: bool = False,
        class_names: Sequence[str] | None = None,
        feature_selection: str = "auto",
        split_expression: SplitExpression = r"\W+",
        bow: bool = True,
        mask_string: str | None = None,
        random_state: int | np.random.RandomState | None = None,
        char_level: bool = False,
    ):
        if feature_selection not in SELECTIONS:
            raise unknown("feature_selection", feature_selection, SELECTIONS)
        if not kernel_width > 0:
            raise OptionError(f"`kernel_width` must be above 0, not {kernel_width!r}.")
        self.random_state = _state(random_state)
        weigh = partial(kernel or exponential_kernel, kernel_width=kernel_width)
        self.base = LimeBase(weigh, verbose, self.random_state)
        self.class_names = None if class_names is None else list(class_names)
        self.feature_selection, self.split_expression = feature_selection, split_expression
        self.bow, self.mask_string, self.char_level = bow, mask_string, char_level

    def explain_instance(
        self,
        text_instance: str,
        classifier_fn: Classifier,
        labels: Iterable[int] = (1,),
        top_labels: int | None = None,
        num_features: int = 10,
        num_samples: int = 5000,
        distance_metric: str = "cosine",
        model_regressor: Regressor | None = None,
        *,
        batch_size: int = BATCH,
        progress: bool | None = None,
    ) -> Explanation:
        """The weights of a text's words.

        Parameters
        ----------
        text_instance : the text.
        classifier_fn : function from a list of texts to probabilities [N, classes], such as a pipeline's predict_proba.
        labels : the classes that are explained; `top_labels` explains that many likeliest instead.
        num_features : the most words of a label.
        num_samples : texts that are drawn, the text itself with them.
        distance_metric : "cosine", "euclidean", or another of scikit-learn's pairwise_distances.
        model_regressor : a linear model of scikit-learn's kind; by default a ridge regression of alpha 1.
        batch_size : the most texts that the classifier is asked for at once.
        progress : whether a progress line is shown; by default for long work on a terminal.

        Raises
        ------
        InputError : for a text without words, and a label that the classifier has not.
        OptionError : for settings out of range.
        ModelError : for a classifier that answers anything but finite numbers [N, classes].
        """
        asked = _checked_numbers(num_features, num_samples, batch_size, top_labels)
        text = self._indexed(text_instance)
        with shown_progress(1, progress) as tick:
            found = self._explained(
                text,
                classifier_fn,
                labels,
                top_labels,
                distance_metric,
                model_regressor,
                asked,
                self.random_state,
                tick,
            )
            if tick is not None:
                tick(1, 0)
        return found

    def explain_instances(
        self,
        text_instances: Sequence[str],
        classifier_fn: Classifier,
        *,
        processes: int = 1,
        progress: bool | None = None,
        **settings: Any,
    ) -> list[Explanation]:
        """The explanations of many texts; `settings` are those of `explain_instance`.

        Each text has a random state of its own, drawn from the explainer's, so the weights are the same by any number of
        `processes`. With more than one the classifier goes to each of them, and must be picklable.
        """
        if not isinstance(processes, int) or processes < 1:
            raise OptionError(f"`processes` must be at least 1, not {processes!r}.")
        seeds = [int(seed) for seed in self.random_state.randint(0, 2**31 - 1, len(text_instances))]
        for text in text_instances:
            self._indexed(text)
        work = partial(_one, self, settings=settings)
        out = []
        with shown_progress(len(seeds), progress) as tick:
            for found in _mapped(work, list(zip(text_instances, seeds, strict=True)), classifier_fn, processes):
                found.classifier_fn = classifier_fn
                out.append(found)
                if tick is not None:
                    tick(1, settings.get("num_samples", 5000))
        return out

    def _indexed(self, text: str) -> Indexed:
        checked(text)
        if self.char_level:
            return IndexedCharacters(text, bow=self.bow, mask_string=self.mask_string)
        made = IndexedString(text, self.split_expression, bow=self.bow, mask_string=self.mask_string)
        if not made.num_words():
            raise InputError(f"The text {text!r:.60} has no words by split_expression={self.split_expression!r}.")
        return made

    def _explained(
        self,
        text: Indexed,
        classifier_fn: Classifier,
        labels: Iterable[int],
        top_labels: int | None,
        distance_metric: str,
        model_regressor: Regressor | None,
        asked: tuple[int, int, int],
        random_state: RandomState,
        tick: Tick,
    ) -> Explanation:
        num_features, num_samples, batch_size = asked
        data = drawn(text.num_words(), num_samples, random_state)
        distances = distance(data, distance_metric)
        wanted = list(labels)
        answers = answered(text, data, classifier_fn, [] if top_labels else wanted, batch_size, tick)
        names = self.class_names or [str(i) for i in range(answers.shape[1])]
        found = Explanation(TextDomainMapper(text), class_names=names, random_state=random_state)
        found.predict_proba, found.classifier_fn = answers[0], classifier_fn
        if top_labels:
            wanted = [int(i) for i in np.argsort(answers[0])[-top_labels:]]
            found.top_labels = wanted[::-1]
        for label in wanted:
            fit = self.base.explain_instance_with_data(
                data, answers, distances, label, num_features, self.feature_selection, model_regressor
            )
            found.intercept[label], found.local_exp[label], found.score, found.local_pred = fit
            found.scores[label], found.local_preds[label] = found.score, found.local_pred
        return found


def _checked_numbers(
    num_features: int, num_samples: int, batch_size: int, top_labels: int | None
) -> tuple[int, int, int]:
    for name, value, least in (
        ("num_features", num_features, 1), ("num_samples", num_samples, 2), ("batch_size", batch_size, 1),
        ("top_labels", 1 if top_labels is None else top_labels, 0),
    ):  # fmt: skip
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise OptionError(f"`{name}` must be a whole number of at least {least}, not {value!r}.")
    return int(num_features), int(num_samples), int(batch_size)


def drawn(count: int, samples: int, random_state: RandomState) -> Floats:
    """[samples, count] of 1 for a word that stays and 0 for one that is removed; the first row has all.

    How many are removed is drawn evenly from 1 to all, then which. The random state is used up as lime uses it up.
    """
    sizes = random_state.randint(1, count + 1, samples - 1)
    data = np.ones((samples, count))
    for row, size in zip(data[1:], sizes, strict=True):
        row[random_state.permutation(count)[:size]] = 0.0
    return data


def distance(data: Floats, metric: str) -> Floats:
    """[samples]: 100 times the distance of each row to the first, where every word is."""
    share = data.mean(1)
    found: Floats
    if metric in ("cosine", "euclidean"):
        found = 1.0 - np.sqrt(share) if metric == "cosine" else np.sqrt((1.0 - share) * data.shape[1])
        return 100.0 * found
    try:
        from sklearn.metrics import pairwise_distances  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingError(
            f"distance_metric={metric!r} needs the package scikit-learn: pip install scikit-learn"
        ) from error
    try:
        found = 100.0 * pairwise_distances(data, data[:1], metric=metric).ravel()
    except ValueError as error:
        raise OptionError(f"Unknown distance_metric {metric!r}: {error}") from error
    return found


def answered(
    text: Indexed, data: Floats, classifier_fn: Classifier, labels: Sequence[int], batch_size: int, tick: Tick
) -> Floats:
    """[samples, classes]: what the classifier says of each row, every distinct one asked once, `batch_size` at a time."""
    kept = data.astype(bool)
    packed = np.packbits(kept, axis=1)
    known: dict[bytes, int] = {}
    which = [known.setdefault(row.tobytes(), len(known)) for row in packed]
    first = np.unique(np.array(which), return_index=True)[1]
    found: list[Floats] = []
    for start in range(0, len(first), batch_size):
        rows = kept[first[start : start + batch_size]]
        answer = _probabilities(classifier_fn, text.without(rows))
        classes = answer.shape[1]
        if wrong := [label for label in labels if not -classes <= label < classes]:
            raise InputError(
                f"The label {wrong[0]} is out of range: the classifier has {classes} classes, counted from 0."
            )
        found.append(answer)
        if tick is not None:
            tick(0, len(rows))
    return np.concatenate(found)[which]


def _probabilities(classifier_fn: Classifier, texts: list[str]) -> NDArray[np.float64]:
    """[N, classes], a copy: a classifier may use its output again."""
    answer = classifier_fn(texts)
    answer = answer.detach().cpu().numpy() if hasattr(answer, "detach") else answer
    numbers = np.array(answer, dtype=np.float64)
    if numbers.ndim != 2 or len(numbers) != len(texts) or not numbers.shape[1]:
        raise ModelError(
            f"classifier_fn must answer probabilities [{len(texts)}, classes] for {len(texts)} texts, not {numbers.shape}: "
            "a classifier's predict_proba, not its predict."
        )
    if not np.isfinite(numbers).all():
        raise ModelError("classifier_fn answered numbers that are not finite.")
    return numbers


# ---- several processes -----------------------------------------------------------------------------------------------

_CLASSIFIER: list[Classifier] = []  # of this process


def _start(classifier_fn: Classifier) -> None:
    _CLASSIFIER[:] = [classifier_fn]


def _one(
    explainer: LimeTextExplainer,
    item: tuple[str, int],
    classifier_fn: Classifier | None = None,
    *,
    settings: dict[str, Any],
) -> Explanation:
    """One text with a random state of its own."""
    text, seed = item
    usual = explainer.random_state
    explainer.random_state = np.random.RandomState(seed)
    try:
        return explainer.explain_instance(text, classifier_fn or _CLASSIFIER[0], progress=False, **settings)
    finally:
        explainer.random_state = usual


def _mapped(
    work: Callable[..., Explanation], items: Sequence[tuple[str, int]], classifier_fn: Classifier, processes: int
) -> Iterable[Explanation]:
    if processes == 1:
        yield from (work(item, classifier_fn) for item in items)
        return
    for what, each in (("classifier_fn", classifier_fn), ("the explainer, with its kernel and settings,", work)):
        try:
            pickle.dumps(each)
        except Exception as error:  # pickle raises what it likes
            raise OptionError(
                f"With several processes {what} must be picklable, a function of a module and no lambda: {error}"
            ) from error
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, (classifier_fn,)) as pool:
        yield from pool.map(work, items)


__all__ = [
    "IndexedCharacters",
    "IndexedString",
    "LimeTextExplainer",
    "TextDomainMapper",
    "exponential_kernel",
]
