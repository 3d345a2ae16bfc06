"""The local linear model: which features it has, and their weights. Source: Ribeiro, Singh & Guestrin 2016."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.errors import OptionError, unknown

Floats: TypeAlias = "NDArray[np.float64]"
Ints: TypeAlias = "NDArray[np.int64]"
SELECTIONS = ("auto", "forward_selection", "highest_weights", "lasso_path", "none")
FORWARD = 6  # features up to which "auto" is forward selection


class Regressor(Protocol):
    """A linear model as scikit-learn has them."""

    coef_: Any
    intercept_: Any

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = ...) -> object: ...  # noqa: N803
    def score(self, X: Floats, y: Floats, sample_weight: Floats | None = ...) -> float: ...  # noqa: N803
    def predict(self, X: Floats) -> ArrayLike: ...  # noqa: N803


class LimeBase:
    """Fits a sparse linear model to what a classifier says of perturbed data, weighted by nearness."""

    def __init__(self, kernel_fn: Callable[[Floats], Floats], verbose: bool = False, random_state: object = None):
        self.kernel_fn, self.verbose, self.random_state = kernel_fn, verbose, random_state

    def explain_instance_with_data(
        self,
        neighborhood_data: Floats,
        neighborhood_labels: Floats,
        distances: Floats,
        label: int,
        num_features: int,
        feature_selection: str = "auto",
        model_regressor: Regressor | None = None,
    ) -> tuple[float, list[tuple[int, float]], float, Floats]:
        """Fit one label.

        Parameters
        ----------
        neighborhood_data : [N, features] 0 and 1; the first row is the instance itself.
        neighborhood_labels : [N, classes], what the classifier says of each row.
        distances : [N] to the instance.
        label, num_features, feature_selection : as in LimeTextExplainer.
        model_regressor : a linear model of scikit-learn's kind; by default a ridge regression of alpha 1.

        Returns
        -------
        (intercept, [(feature, weight), …] the heaviest first, weighted R², [prediction for the instance])
        """
        data = np.asarray(neighborhood_data, dtype=np.float64)
        values = np.asarray(neighborhood_labels, dtype=np.float64)[:, label]
        weights = np.asarray(self.kernel_fn(np.asarray(distances, dtype=np.float64)), dtype=np.float64)
        chosen = self.feature_selection(data, values, weights, num_features, feature_selection)
        part = data[:, chosen]
        if model_regressor is None:
            intercept, coefficients = ridge(part, values, weights, alpha=1.0)
            fitted = intercept + part @ coefficients
            score, local = r_squared(fitted, values, weights), fitted[:1]
        else:
            model_regressor.fit(part, values, sample_weight=weights)
            score = float(model_regressor.score(part, values, sample_weight=weights))
            local = np.asarray(model_regressor.predict(part[:1]), dtype=np.float64)
            intercept, coefficients = float(model_regressor.intercept_), np.ravel(model_regressor.coef_)
        order = np.argsort(-np.abs(coefficients), kind="stable")
        if self.verbose:
            sys.stdout.write(f"Intercept {intercept}\nPrediction_local {local}\nRight: {values[0]}\n")
        return intercept, [(int(chosen[i]), float(coefficients[i])) for i in order], score, local

    def feature_selection(self, data: Floats, labels: Floats, weights: Floats, num_features: int, method: str) -> Ints:
        """The features that the model is to have: one of SELECTIONS."""
        if method not in SELECTIONS:
            raise unknown("feature_selection", method, SELECTIONS)
        if method == "auto":
            method = "forward_selection" if num_features <= FORWARD else "highest_weights"
        if method == "none":
            return np.arange(data.shape[1])
        if method == "forward_selection":
            return self.forward_selection(data, labels, weights, num_features)
        if method == "highest_weights":
            heavy = np.abs(ridge(data, labels, weights, alpha=0.01)[1] * data[0])
            return np.argsort(-heavy, kind="stable")[:num_features]
        return on_lasso_path(data, labels, weights, num_features)

    def forward_selection(self, data: Floats, labels: Floats, weights: Floats, num_features: int) -> Ints:
        """One feature after the other, each the one that leaves the least weighted squared error of a linear fit.

        A feature's gain is its squared correlation with what is left, once what the chosen ones explain of it is taken out.
        """
        centred, target = _centred(data, labels, weights)
        gram, link = centred.T @ (weights[:, None] * centred), centred.T @ (weights * target)
        chosen: list[int] = []
        start = gram.diagonal().copy()
        for _ in range(min(num_features, data.shape[1])):
            size = gram.diagonal()
            gains = np.where(size > 1e-10 * start.clip(1e-300), link**2 / size.clip(1e-300), 0.0)
            gains[chosen] = -1.0
            best = int(gains.argmax())
            chosen.append(best)
            if size[best] > 1e-10 * max(float(start[best]), 1e-300):
                step = gram[best] / gram[best, best]
                link = link - step * link[best]
                gram = gram - np.outer(step, gram[best])
        return np.array(chosen, dtype=np.int64)


def ridge(data: Floats, values: Floats, weights: Floats, alpha: float) -> tuple[float, Floats]:
    """(intercept, [features]) of the weighted ridge regression; the intercept is not shrunk. Source: Hoerl & Kennard 1970."""
    centred, target = _centred(data, values, weights)
    gram = centred.T @ (weights[:, None] * centred) + alpha * np.eye(data.shape[1])
    coefficients: Floats = np.linalg.solve(gram, centred.T @ (weights * target))
    share = weights / weights.sum()
    return float(share @ values - (share @ data) @ coefficients), coefficients


def _centred(data: Floats, values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    total = float(weights.sum())
    if not total > 0 or not np.isfinite(total):
        raise OptionError("The kernel gave no sample any weight: it must answer numbers above 0 for some distances.")
    share = weights / total
    return data - share @ data, values - float(share @ values)


def r_squared(fitted: Floats, values: Floats, weights: Floats) -> float:
    """The share of the weighted variance that a fit explains; 1 of a constant that it hits, 0 of one that it misses."""
    mean = float(weights @ values / weights.sum())
    left, total = float(weights @ (values - fitted) ** 2), float(weights @ (values - mean) ** 2)
    if total == 0:
        return 1.0 if left == 0 else 0.0
    return 1.0 - left / total


def on_lasso_path(data: Floats, values: Floats, weights: Floats, most: int) -> Ints:
    """The features of the last knot of the lasso path that has at most `most` of them, in the order of their index."""
    centred, target = _centred(data, values, weights)
    root = np.sqrt(weights)
    knots = lasso_path(centred * root[:, None], target * root)
    found = np.arange(data.shape[1])
    for coefficients in reversed(knots):
        found = np.flatnonzero(coefficients)
        if len(found) <= most:
            break
    return found


def lasso_path(data: Floats, values: Floats) -> list[Floats]:
    """The coefficients at every knot of the lasso path, from the first feature to the least squares fit.

    Least angle regression with the lasso's modification: all active features keep the same correlation with the residual, one
    enters where it reaches theirs, and one leaves where its coefficient passes zero. Source: Efron et al. 2004.
    """
    count = data.shape[1]
    gram, link = data.T @ data, data.T @ values
    out: list[Floats] = []
    current = np.zeros(count)
    active: list[int] = []
    small = 1e-9 * max(1e-300, float(np.abs(link).max(initial=0.0)))
    left = -1
    for _ in range(8 * count):
        correlation = link - gram @ current
        level = float(np.abs(correlation).max(initial=0.0))
        if level <= small:
            break
        reached = np.flatnonzero(np.abs(correlation) >= level * (1 - 1e-9))
        active += [int(j) for j in reached if j not in active and j != left and gram[j, j] > 0]
        signs = np.sign(correlation[active])
        direction = np.linalg.lstsq(gram[np.ix_(active, active)], signs, rcond=None)[0]
        along = gram[:, active] @ direction  # what a unit step takes off each correlation; signs for the active ones
        step = _until_one_enters(level, correlation, along, [*active, left])
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = -current[active] / direction
        crossing = np.where(crossing > 1e-12 * level, crossing, np.inf)
        dropped = int(crossing.argmin())
        left = -1
        if crossing[dropped] < step:
            step, left = float(crossing[dropped]), active[dropped]
        current = current.copy()
        current[active] += step * direction
        if left >= 0:
            current[left] = 0.0
            active.remove(left)
        out.append(current)
    return out


def _until_one_enters(level: float, correlation: Floats, along: Floats, taken: list[int]) -> float:
    """How far to go until another feature's correlation reaches that of the active ones, or all are used up."""
    steps = [level]
    for j in range(len(correlation)):
        if j not in taken:
            pairs = ((level - correlation[j], 1 - along[j]), (level + correlation[j], 1 + along[j]))
            steps += [top / below for top, below in pairs if below > 1e-12 and top / below > 1e-12 * level]
    return float(min(steps))
