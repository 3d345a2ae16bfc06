"""Shapley values and pairs: error at equal rows, coverage and time, against shap, Captum and shapiq.

    python -m benchmarks.coalitions --cache .cache --shapiq PYTHON

Exact Shapley values and interactions come from all 2^n subsets of real sentences of 9 to 12 words (words masked, the logit of
one label) on three kinds of models, and of rows of a table on gradient-boosted trees. Every estimator then sees the same table of
answers, so equal budgets are equal rows, and the error is the length of the difference over the length of the exact values. PYTHON
is an interpreter that has shapiq, which needs a newer Python than the rest; without it shapiq's columns are left out. Times are on
the real model, or on a function that costs nothing. Longer texts and rows are in `benchmarks.many_features`.
"""

from __future__ import annotations

import logging
import statistics
import time
import warnings
from itertools import combinations
from typing import Any

import numpy as np
import shap
import torch
from captum.attr import KernelShap

import saywhy
import saywhy.extend
from benchmarks.common import arguments, kept, paired, real, write
from benchmarks.estimators import PAIR_HEADS, errors, heads, line, medians, of_shapiq, pair_errors, pair_line
from benchmarks.games import Game, TextModel, answered, boosted_trees, of_table, problem_of, random_berts, tables
from saywhy.core.features import words
from saywhy.methods import METHODS

BUDGETS = (32, 64, 128, 256, 512)


def planted_pairs(many: int) -> list[list[Any]]:
    """How often the planted pair is the strongest: an exclusive or, and a negation, in a saturating sum of all words."""
    rows = []
    for n in (10, 20, 35):
        hits = {"exclusive or": 0, "negation": 0}
        for seed in range(many):
            draw = torch.Generator().manual_seed(seed)
            weights = torch.randn(n, 1, generator=draw, dtype=torch.float64)[:, 0].numpy() / 3
            i, j = torch.randperm(n, generator=draw)[:2].sort().values.tolist()
            place = list(combinations(range(n), 2)).index((i, j))
            for kind in hits:

                def play(rows: np.ndarray, kind: str = kind, w: Any = weights, i: int = i, j: int = j) -> Any:
                    p = rows.astype(np.float64)
                    both = np.abs(p[:, i] - p[:, j]) if kind == "exclusive or" else p[:, j] * (1 - 2 * p[:, i])
                    return np.tanh(p @ w) + both

                pairs = answered(METHODS["kernel_shap"].function(problem_of(n), seed=seed), play).pairs
                hits[kind] += int(int(pairs.values["SII"][0].abs().argmax()) == place)
        rows.append([n, min(16 * n + 64, 2**n), *(f"{hit / many:.0%}" for hit in hits.values())])
    return rows


class Peer(TextModel):
    """The peers on the real model, at their best: all rows of one text in one call."""

    def shap(self, budget: int) -> None:
        explainer = shap.KernelExplainer(self.play, np.zeros((1, self.n)))
        explainer.shap_values(np.ones((1, self.n)), nsamples=budget, silent=True, l1_reg=f"num_features({self.n})")

    def captum(self, budget: int) -> None:
        method = KernelShap(lambda rows: torch.as_tensor(self.play(rows)))
        method.attribute(torch.ones(1, self.n), n_samples=budget, perturbations_per_eval=budget)


def timing(explainer: saywhy.Explainer, texts: list[str], rounds: int) -> list[list[Any]]:
    """Time of ten texts at a budget of 128 rows each, ours and the peers' in turn."""
    peers = [Peer(explainer, text) for text in texts]

    def mine(_: int) -> None:
        explainer(texts, method="kernel_shap", budget=128, target=1, progress=False)

    rows = []
    for name in ("shap", "captum"):
        timed = paired(lambda _, name=name: [getattr(peer, name)(128) for peer in peers], mine, rounds)
        label = {"shap": "shap KernelExplainer", "captum": "Captum KernelShap"}[name]
        rows.append(
            [label, timed["a"], timed["b"], f"{timed['ratio']:.2f} ({timed['least']:.2f} to {timed['most']:.2f})"]
        )
    return rows


def fit_times() -> list[list[Any]]:
    """Milliseconds of kernel_shap itself, for the first text of a length and for further ones, with a function that costs nothing."""
    rows = []
    for n in (10, 20, 40, 60, 100, 200, 300):
        weights = torch.randn(n, 1, generator=torch.Generator().manual_seed(n), dtype=torch.float64)

        def text(weights: torch.Tensor = weights, n: int = n) -> float:
            asking = METHODS["kernel_shap"].function(problem_of(n))
            started = time.perf_counter()
            question: Any = next(asking)
            asked_in = time.perf_counter() - started
            values = torch.tanh(question.coalitions.double() @ weights)
            started = time.perf_counter()
            try:
                asking.send(values)
            except StopIteration:
                return 1e3 * (asked_in + time.perf_counter() - started)
            raise RuntimeError("the method asked twice")

        rows.append([n, 16 * n + 64, text(), statistics.median(text() for _ in range(20))])
    return rows


def measured(games: list[Game], seeds: int, python: str | None) -> dict[str, Any]:
    """The median errors at each budget, over the games that it does not hold all coalitions of."""
    peer = of_shapiq(python, games, [[b for b in BUDGETS if b < 2**game.n] for game in games], seeds)
    found = {}
    for budget in BUDGETS:
        kept_in = [i for i, game in enumerate(games) if budget < 2**game.n]
        asked = [games[i] for i in kept_in]
        told = [{k: [each[i] for i in kept_in] for k, each in peer[kind].items()} for kind in ("values", "pairs")]
        found[budget] = {
            "values": medians(errors(asked, budget, seeds, told[0])),
            "pairs": medians(pair_errors(asked, budget, seeds, told[1])),
        }
    return {"errors": found, "heads": heads(peer), "version": peer.get("version", "")}


def main() -> None:
    options = arguments(__doc__ or "", shapiq=True)
    warnings.simplefilter("ignore")
    logging.getLogger("shap").setLevel(logging.ERROR)
    times = fit_times()  # before anything is worked out
    seeds, rounds, each = (2, 1, {9: 1}) if options.quick else (5, 2, {9: 2, 10: 2, 11: 2, 12: 2})
    model, tokenizer, sentences = real(options.cache)
    explainer, own = saywhy.Explainer(model, tokenizer), saywhy.Explainer()
    chosen = [t for n, many in each.items() for t in [t for t in sentences if len(words(t)) == n][:many]]
    short = [t for t in chosen if len(words(t)) < 12]
    berts = random_berts(tokenizer, len(short))
    games = {
        "MiniLM, fine-tuned": [
            of_table(t, (explainer, text)) for t, text in zip(tables(explainer, chosen), chosen, strict=True)
        ],
        "the package's": [of_table(t, (own, text)) for t, text in zip(tables(own, short), short, strict=True)],
        "random BERTs": [of_table(tables(bert, [t])[0], (bert, t)) for bert, t in zip(berts, short, strict=True)],
        "boosted trees": [game for n in ([9] if options.quick else [9, 10, 11]) for game in boosted_trees(n, 2)],
    }
    rows: list[list[Any]] = []
    pairs: list[list[Any]] = []
    results = {}
    for name, played in games.items():
        file = options.cache / ("quick" if options.quick else "short_coalitions") / f"{name.split()[-1]}.json"
        told = kept(file, lambda played=played: measured(played, seeds, options.shapiq))
        for budget, found in told["errors"].items():
            rows.append([name, budget, *line(found["values"], told["heads"])])
            pairs.append([name, budget, *pair_line(found["pairs"])])
            results[f"{name}, {budget}"] = found
    found_pairs = planted_pairs(4 if options.quick else 40)
    speed = timing(explainer, [t for t in sentences if len(words(t)) > 12][:10], rounds)
    results = {"errors": results, "times": times, "time": speed, "planted": found_pairs}
    if options.quick:
        print(*rows, *pairs, *found_pairs, *times, *speed, sep="\n")
        return
    version = f" shapiq is {told['version']}." if told["version"] else " shapiq was not at hand."
    write(
        "coalitions",
        "Shapley values and pairs: error at equal rows, coverage, and time",
        f"Real sentences of 9 to 12 words ({len(chosen)}; {len(short)} of up to 11 for the other models), and as many rows of 9 to 11 pixels "
        f"on boosted trees, {seeds} seeds; median relative "
        "error against the exact values from all 2^n subsets. Budgets count rows of the model; Captum's sampling is given as many whole "
        'orders as the budget holds, and the four gradient passes of guided_shap are not counted, which boosted trees have not. Ratios are saywhy\'s error over that of the best peer; below 1 saywhy is nearer. "Covered" is how '
        f"many exact values lie within 1.96 standard errors of kernel_shap.{version}",
        results,
        [
            ("How far from the exact values?", ["model", "rows", *told["heads"]], rows),
            (
                "How far from the exact interactions of pairs?",
                ["model", "rows", *PAIR_HEADS],
                pairs,
            ),
            (
                "Is a planted pair found first?",
                ["features", "rows", "exclusive or", "negation"],
                found_pairs,
            ),
            (
                "How long does kernel_shap itself take a text, in milliseconds?",
                ["features", "rows", "the first of a length", "further ones"],
                times,
            ),
            (
                "How long do ten longer sentences take at 128 rows each?",
                ["peer", "peer, s", "saywhy, s", "ratio"],
                speed,
            ),
        ],
    )


if __name__ == "__main__":
    main()
