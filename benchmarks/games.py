"""Games for the benchmarks of coalitions: what an estimator may ask, and the right answers, worked out without sampling where they can be.

A game is played on coalitions, rows of bool [m, n], and answers float64 [m]. Tables hold all 2^n answers of a model; boosted trees
have exact values at any number of features; a text's model is asked as the estimators ask.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.polynomial import polynomial

import saywhy
import saywhy.extend
from saywhy.core.types import Feature, MethodGenerator, Problem, Scores, Target, Values
from saywhy.methods import METHODS
from saywhy.methods.coalitions import shapley_of_table
from saywhy.methods.interactions import exact_pairs
from saywhy.methods.walsh import PAIR_INDICES, every_coalition

AT_ONCE = 128  # rows of a text's model in one batch


@dataclass
class Game:
    """What may be asked of n features, and what is right: float64 [n], and [n (n - 1) / 2] for each index of pairs."""

    n: int
    answers: Callable[[np.ndarray], np.ndarray]
    shapley: torch.Tensor
    pairs: dict[str, torch.Tensor] = field(default_factory=dict)
    text: tuple[saywhy.Explainer, str] | None = None  # what plays it, where that is a model with gradients
    seconds: float = 0.0  # processor time that the answers took

    def play(self, rows: Any) -> np.ndarray:
        """The numbers of coalitions, float64 [m]."""
        started = time.process_time()
        values = self.answers(np.atleast_2d(np.asarray(rows)).astype(bool))
        self.seconds += time.process_time() - started
        return values


def of_table(table: torch.Tensor, text: tuple[saywhy.Explainer, str] | None = None) -> Game:
    """The game of all 2^n answers, float64 [2^n, 1]; bit i of a row is feature i."""
    n, numbers = int(math.log2(len(table))), table[:, 0].numpy()
    pairs = {index: values[0] for index, values in exact_pairs(table, n).values.items()}
    return Game(n, lambda rows: numbers[rows @ 2 ** np.arange(n)], shapley_of_table(table, n)[0], pairs, text)


class TextModel:
    """The rows of one text on a model: all in one call, or in batches."""

    def __init__(self, explainer: saywhy.Explainer, text: str):
        self.model = explainer.model
        self.encoding = self.model.encode({"text": text}, saywhy.extend.EncodingOptions(absent="mask"))
        self.n = len(self.encoding.features)

    def play(self, rows: Any) -> np.ndarray:
        """The number of label 1 for coalitions, float32 [m], in one batch."""
        with torch.no_grad():
            return self.model.forward(self.encoding.at(np.asarray(rows).astype(bool)))[:, 1].numpy()

    def in_batches(self, rows: np.ndarray) -> np.ndarray:
        """The same, float64, `AT_ONCE` rows at a time."""
        found = [self.play(rows[at : at + AT_ONCE]) for at in range(0, len(rows), AT_ONCE)]
        return np.concatenate(found).astype(np.float64)


def of_text(explainer: saywhy.Explainer, text: str, shapley: torch.Tensor) -> Game:
    """The game of a text, asked as estimators ask."""
    asked = TextModel(explainer, text)
    return Game(asked.n, asked.in_batches, shapley, text=(explainer, text))


def by_random_orders(explainer: saywhy.Explainer, text: str, rows: int) -> tuple[torch.Tensor, float]:
    """Shapley values of a text from as many orders as the rows allow, and the length of their standard errors over theirs."""
    asked = TextModel(explainer, text)
    asking = METHODS["shapley_sampling"].function(problem_of(asked.n), permutations=rows // asked.n // 2 * 2, seed=77)
    scores = answered(asking, asked.in_batches)
    assert scores.stderr is not None
    return scores.values[0], float(scores.stderr[0].norm() / scores.values[0].norm())


@dataclass
class Leaf:
    """A leaf of a tree: reached when all features of `present` keep their values and all of `absent` have the background's."""

    present: frozenset[int]
    absent: frozenset[int]
    value: float


def of_trees(model: Any, row: np.ndarray, background: np.ndarray) -> Game:
    """The game of gradient-boosted trees (scikit-learn's, one output) between a row and a background: exact for any n.

    Every leaf is a product of presences and absences, whose orders are those of (1 + x)^p (1 - x)^a.
    """
    leaves = [
        leaf
        for (tree,) in model.estimators_
        for leaf in _leaves(tree.tree_, row.astype(np.float32), background.astype(np.float32), model.learning_rate)
    ]
    n = len(row)
    present, absent = (np.zeros((n, len(leaves)), dtype=np.float32) for _ in range(2))
    for at, leaf in enumerate(leaves):
        present[list(leaf.present), at] = 1
        absent[list(leaf.absent), at] = 1
    values, needed = np.array([leaf.value for leaf in leaves]), present.sum(0)

    def grown(rows: np.ndarray) -> np.ndarray:
        here = rows.astype(np.float32)
        reached = (here @ present == needed) & (here @ absent == 0)
        return np.asarray(reached @ values)

    start = float(model.decision_function(background[None])[0]) - float(grown(np.zeros((1, n)))[0])

    shapley, pairs = np.zeros(n), {index: np.zeros((n, n)) for index in PAIR_INDICES}
    for leaf in leaves:
        _add(leaf, shapley, pairs)
    upper = np.triu_indices(n, 1)
    right = {index: torch.from_numpy(each[upper]) for index, each in pairs.items()}
    return Game(n, lambda rows: start + grown(rows), torch.from_numpy(shapley), right)


def boosted_trees(n: int, many: int) -> list[Game]:
    """Held-out rows of scikit-learn's pictures of digits beside their mean: is it an eight, by the n pixels that vary most?"""
    from sklearn.datasets import load_digits
    from sklearn.ensemble import GradientBoostingClassifier

    pixels, digits = load_digits(return_X_y=True)
    x = pixels[:, np.argsort(-pixels.var(0), kind="stable")[:n]]
    model = GradientBoostingClassifier(random_state=0).fit(x[:1500], digits[:1500] == 8)
    return [of_trees(model, row, x[:1500].mean(0)) for row in x[1500 : 1500 + many]]


def _leaves(tree: Any, row: np.ndarray, background: np.ndarray, rate: float) -> Iterator[Leaf]:
    """The leaves of a tree that a mixture of the two can reach."""
    waiting = [(0, frozenset[int](), frozenset[int]())]
    while waiting:
        node, present, absent = waiting.pop()
        left, feature = tree.children_left[node], int(tree.feature[node])
        if left < 0:
            yield Leaf(present, absent, rate * float(tree.value[node][0, 0]))
            continue
        sides = [left if x[feature] <= tree.threshold[node] else tree.children_right[node] for x in (row, background)]
        if sides[0] == sides[1]:
            waiting.append((sides[0], present, absent))
            continue
        if feature not in absent:
            waiting.append((sides[0], present | {feature}, absent))
        if feature not in present:
            waiting.append((sides[1], present, absent | {feature}))


def _add(leaf: Leaf, shapley: np.ndarray, pairs: dict[str, np.ndarray]) -> None:
    """Adds what a leaf is worth to the Shapley values and to the interactions, by the orders of its product."""
    signs = {**dict.fromkeys(leaf.present, 1), **dict.fromkeys(leaf.absent, -1)}
    size = leaf.value / 2 ** len(signs)
    for i, sign in signs.items():
        orders = _orders(leaf, {i})
        shapley[i] += 2 * size * sign * sum(c / (k + 1) for k, c in enumerate(orders) if k % 2 == 0)
    for i, j in combinations(signs, 2):
        even = {k: c for k, c in enumerate(_orders(leaf, {i, j})) if k % 2 == 0}
        here = 4 * size * signs[i] * signs[j]
        pairs["SII"][min(i, j), max(i, j)] += here * sum(c / (k + 1) for k, c in even.items())
        pairs["FSII"][min(i, j), max(i, j)] += here * sum(3 * c / ((k + 1) * (k + 3)) for k, c in even.items())
        pairs["Banzhaf"][min(i, j), max(i, j)] += here * even[0]


def _orders(leaf: Leaf, without: set[int]) -> np.ndarray:
    """The coefficients of (1 + x)^p (1 - x)^a over the leaf's other features."""
    kept = polynomial.polypow([1, 1], len(leaf.present - without))
    return np.asarray(polynomial.polymul(kept, polynomial.polypow([1, -1], len(leaf.absent - without))))


def problem_of(n: int) -> Problem:
    return Problem(tuple(Feature(str(i)) for i in range(n)), (Target("", (0,)),))


def answered(asking: MethodGenerator, play: Callable[[np.ndarray], np.ndarray]) -> Scores:
    """The scores of a method whose questions a game answers."""
    answer: Any = None
    while True:
        try:
            question = asking.send(answer)
        except StopIteration as end:
            scores: Scores = end.value
            return scores
        answer = torch.as_tensor(play(question.coalitions.numpy().astype(bool)))[:, None]


def tables(explainer: saywhy.Explainer, texts: list[str]) -> list[torch.Tensor]:
    """For each text, the target for all 2^n subsets of its words, float64 [2^n, 1]."""
    found: list[torch.Tensor] = []

    def every(problem: Problem) -> MethodGenerator:
        found.append((yield Values(every_coalition(problem.n))))
        return Scores(torch.zeros(1, problem.n, dtype=torch.float64))

    for text in texts:
        explainer(text, method=every, target=1, absent="mask", trust="none", progress=False)
    return found


def random_berts(tokenizer: Any, many: int) -> list[saywhy.Explainer]:
    """Small BERTs with random weights: games that no training has made easy."""
    from transformers import BertConfig, BertForSequenceClassification

    found = []
    for seed in range(many):
        torch.manual_seed(seed)
        sizes = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128}
        config = BertConfig(vocab_size=len(tokenizer), initializer_range=0.15, num_labels=2, **sizes)
        found.append(saywhy.Explainer(BertForSequenceClassification(config).eval(), tokenizer))
    return found


def away(got: Any, right: torch.Tensor) -> float:
    """The length of the difference over the length of what is right."""
    return float((torch.as_tensor(got, dtype=torch.float64) - right).norm() / right.norm())


def covered(values: torch.Tensor, stderr: torch.Tensor, right: torch.Tensor) -> float:
    """How many right values lie within 1.96 standard errors."""
    return float(((values - right).abs() <= 1.96 * stderr).double().mean())
