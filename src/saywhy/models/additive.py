"""Which fitted estimators are additive in what is removed: found from their steps, so that Shapley values have a closed form.

A linear model over counts of words, or over columns each of which is encoded by itself, gives each word and each column a
share of its own, whatever else is there. A norm over the row (TF-IDF's l2), pairs of words, and trees do not.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..core.features import Span
from ..core.types import Array

# what each does to a column depends on that column alone
_BY_COLUMN = {
    *("OneHotEncoder", "OrdinalEncoder", "TargetEncoder", "SimpleImputer", "KBinsDiscretizer", "Binarizer"),
    *("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "QuantileTransformer", "PowerTransformer"),
    *("SplineTransformer", "MissingIndicator"),
}
# what each does to a row is affine in that row: a sum of what it does to each entry
_AFFINE = {
    *("StandardScaler", "MaxAbsScaler", "RobustScaler", "TruncatedSVD", "PCA"),
    *("SelectKBest", "SelectPercentile", "SelectFromModel", "VarianceThreshold"),
}
VECTORIZERS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
_RUNS_OF_LETTERS = (r"(?u)\b\w\w+\b", r"(?u)\b\w+\b", r"\b\w\w+\b", r"\b\w+\b", r"\w+", r"(?u)\w+")
_LINEAR = {
    *("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "SGDRegressor"),
    *(
        "LinearSVR",
        "HuberRegressor",
        "BayesianRidge",
        "RidgeClassifier",
        "RidgeClassifierCV",
        "LinearSVC",
        "Perceptron",
    ),
    *("PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "LogisticRegression", "LogisticRegressionCV"),
    "SGDClassifier",
}
_LOGISTIC = {"LogisticRegression", "LogisticRegressionCV"}  # whose log-probabilities differ by a linear function
_BAYES = {"MultinomialNB", "ComplementNB"}


class Vectorizer(Protocol):
    """What is looked at of scikit-learn's readers of texts, those of VECTORIZERS."""

    analyzer: object
    tokenizer: object
    preprocessor: object
    strip_accents: object
    token_pattern: str
    ngram_range: tuple[int, int]
    binary: bool

    def transform(self, texts: Sequence[str]) -> Array:
        """[B, V], sparse: the counts of each text."""
        ...


class ColumnTransformer(Protocol):
    """scikit-learn's, after it was fitted."""

    transformers_: Sequence[tuple[str, Any, object]]  # name, step, columns


@dataclass(frozen=True, eq=False)
class AdditiveSteps:
    """What makes an estimator additive, and what its texts must be like for that to hold."""

    linear: bool  # is what `decision_function` or `predict` says linear?
    log_odds: bool  # are the log-odds of its two classes linear?
    log_ratios: bool  # is the logarithm of the ratio of any two probabilities linear?
    vectorizers: Mapping[str | None, Vectorizer] = field(
        default_factory=dict
    )  # text column (None: the input is the text) -> its own


def steps_of(estimator: object) -> list[Any]:
    """The steps of a pipeline, those that do nothing left out; an estimator alone is one step."""
    named = getattr(estimator, "steps", None)
    steps = [step for _, step in named] if isinstance(named, list) else [estimator]
    return [step for step in steps if step is not None and not (isinstance(step, str) and step == "passthrough")]


def additive_steps(estimator: object) -> AdditiveSteps | None:
    """What is known of a fitted estimator of scikit-learn; None where it is not known to be additive."""
    *before, last = steps_of(estimator)
    name, classes = _name(last), getattr(last, "classes_", None)
    two = classes is not None and not isinstance(classes, list) and len(classes) == 2
    if name not in _LINEAR | _BAYES:
        return None
    vectorizers = _vectorizers(before)
    if vectorizers is None:
        return None
    # one weight vector a class, whose softmax is the probability; liblinear fits the classes one by one
    apart = getattr(last, "solver", "") == "liblinear" or getattr(last, "multi_class", "") == "ovr"
    softmax = name in _BAYES or (name in _LOGISTIC and (two or not apart))
    odds = two and (softmax or (name == "SGDClassifier" and getattr(last, "loss", "") == "log_loss"))
    return AdditiveSteps(name in _LINEAR, odds, softmax, vectorizers)


def _name(step: object) -> str:
    """The class of a step, if it is scikit-learn's own: a subclass may do anything."""
    return type(step).__name__ if type(step).__module__.split(".")[0] == "sklearn" else ""


def _vectorizers(before: Sequence[Any]) -> dict[str | None, Vectorizer] | None:
    """What reads the texts; None where some step mixes what is removed with what stays."""
    if not before:
        return {}
    first, *rest = before
    if _name(first) == "ColumnTransformer":
        found = _by_columns(first)
        return found if found is not None and all(_affine(step) for step in rest) else None
    if _counts(first):
        return {None: first} if all(_affine(step) for step in rest) else None
    return {} if _columns_alone(before) else None


def _columns_alone(steps: Sequence[Any]) -> bool:
    """Steps that look at each column by itself, then steps that are affine."""
    at = 0
    while at < len(steps) and _name(steps[at]) in _BY_COLUMN:
        at += 1
    return all(_affine(step) for step in steps[at:])


def _by_columns(transformer: ColumnTransformer) -> dict[str | None, Vectorizer] | None:
    found: dict[str | None, Vectorizer] = {}
    for _, step, columns in transformer.transformers_:
        if isinstance(step, str):  # "drop" or "passthrough"
            continue
        steps = steps_of(step)
        if isinstance(columns, str):
            if not steps or not _counts(steps[0]) or not all(_affine(each) for each in steps[1:]):
                return None
            found[columns] = steps[0]
        elif not _columns_alone(steps):
            return None
    return found


def _affine(step: object) -> bool:
    if _name(step) == "MinMaxScaler":
        return getattr(step, "clip", True) is False
    if _name(step) == "TfidfTransformer":
        return getattr(step, "norm", "") is None and not getattr(step, "sublinear_tf", True)
    return _name(step) in _AFFINE


def _counts(step: Vectorizer) -> bool:
    """Does it count the words of a text one by one, without a norm over the text?"""
    if _name(step) not in VECTORIZERS or getattr(step, "norm", None) is not None:
        return False
    if _name(step) == "HashingVectorizer" and step.binary:  # two words in one place
        return False
    plain = step.analyzer == "word" and step.tokenizer is None and step.preprocessor is None
    return plain and tuple(step.ngram_range) == (1, 1) and step.token_pattern in _RUNS_OF_LETTERS


def words_stand_alone(text: str, features: Sequence[Sequence[Span]], vectorizer: Vectorizer) -> bool:
    """Does taking some features out of this text leave the words of the others as they were, and count each by itself?

    Each run of letters must lie in one feature (or in none), with white space that stays between it and the next one; and
    where a word counts once however often it stands, it must not stand in two features.
    """
    if vectorizer.strip_accents is not None and not text.isascii():
        return False
    placed = sorted((span, i) for i, spans in enumerate(features) for span in spans)
    if any(not text[a:b].strip() for (a, b), _ in placed):
        return False
    starts, ends = [a for (a, _), _ in placed], [b for (_, b), _ in placed]
    before: tuple[int, int] | None = None  # the end of the run before, and the span that it lies in
    for found in re.finditer(r"\w+", text):
        first, last = bisect_right(ends, found.start()), bisect_left(starts, found.end())
        if last - first > 1 or (last > first and not _within(found.span(), placed[first][0])):
            return False
        mine = first if last > first else -1
        if before is not None and mine != before[1] and not _parted(text, before[0], found.start(), placed):
            return False
        before = (found.end(), mine)
    return not _once(vectorizer) or _in_one_feature(text, features, vectorizer)


def _within(inner: Span, outer: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _parted(text: str, start: int, end: int, placed: Sequence[tuple[Span, int]]) -> bool:
    """Does something between two runs of letters always stay: white space, or a sign of no feature?"""
    return any(text[at].isspace() or not any(a <= at < b for (a, b), _ in placed) for at in range(start, end))


def _once(vectorizer: Vectorizer) -> bool:
    return bool(vectorizer.binary or getattr(vectorizer, "sublinear_tf", False))


def _in_one_feature(text: str, features: Sequence[Sequence[Span]], vectorizer: Vectorizer) -> bool:
    counts = vectorizer.transform([" ".join(text[a:b] for a, b in spans) for spans in features])
    return bool(((counts != 0).sum(0) <= 1).all())
