"""Shapley values of 20, 35 and 60 features: error from n/2 to 16 n rows, pairs and time, against shap, Captum and shapiq.

    python -m benchmarks.many_features --cache .cache --shapiq PYTHON

Texts have no exact values at these lengths. Theirs come from as many random orders as 8,000 rows allow, which favour no estimator
that is compared here; the page tells their own standard error. Values and interactions of boosted trees are exact, worked out leaf
by leaf. What is measured is kept in the cache folder, so that a run goes on. All else is as in `benchmarks.coalitions`.
"""

from __future__ import annotations

import logging
import math
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import saywhy
from benchmarks.common import arguments, kept, real, write
from benchmarks.estimators import (
    ESTIMATORS,
    PAIR_HEADS,
    errors,
    heads,
    line,
    medians,
    of_shapiq,
    pair_errors,
    pair_line,
)
from benchmarks.games import Game, boosted_trees, by_random_orders, of_text, random_berts
from saywhy.core.features import words

FEATURES = (20, 35, 60)
TRUTH = 8_000  # rows behind the values of a text
TREES = "boosted trees"
MODELS = (TREES, "the package's", "random BERTs", "MiniLM, fine-tuned")


def budgets(n: int) -> dict[str, int]:
    """Rows by what they are called; two are the full and the empty coalition."""
    return {
        "n/2": 2 * ((n + 3) // 4) + 2,
        "n": n + 2,
        "2 n": 2 * n + 2,
        "4 n": 4 * n + 2,
        "8 n": 8 * n + 2,
        "16 n + 64": 16 * n + 64,
    }


def texts_of(sentences: list[str], n: int, many: int) -> list[str]:
    """Texts of exactly n words, of sentences one after the other, cut where the words are enough."""
    found, text = [], ""
    for piece in " ".join(sentences).split():
        text = f"{text} {piece}".strip()
        if len(words(text)) >= n:
            found += [text] if len(words(text)) == n else []
            text = ""
        if len(found) == many:
            break
    return found


def known(explainer: saywhy.Explainer, text: str, file: Path, rows: int) -> tuple[Game, float]:
    """The game of a text and the standard error of what it is held against, which is kept in the file."""
    if not file.exists():
        shapley, error = by_random_orders(explainer, text, rows)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, shapley=shapley.numpy(), error=error)
    data = np.load(file)
    return of_text(explainer, text, torch.from_numpy(data["shapley"])), float(data["error"])


def seconds(games: list[Game], budget: int, peer: dict[str, Any]) -> dict[str, float]:
    """Processor time of the estimators themselves, without the answers of the game: the median over games."""
    out = {}
    for name, estimate in ESTIMATORS.items():
        taken = []
        for game in games:
            before, started = game.seconds, time.process_time()
            if estimate(game, budget, 0) is not None:
                taken.append(time.process_time() - started - (game.seconds - before))
        out[name] = statistics.median(taken) if taken else math.nan
    for name, told in peer["values"].items():
        out[f"shapiq {name}"] = statistics.median(each["seconds"][str(budget)] for each in told)
    return out


def games_of(n: int, name: str, cache: Path, quick: bool) -> tuple[list[Game], list[float]]:
    """The games of n features of one model, and the standard errors of what texts are held against."""
    if name == TREES:
        return boosted_trees(n, 6), []
    model, tokenizer, sentences = real(cache)
    explainers = {
        "MiniLM, fine-tuned": [saywhy.Explainer(model, tokenizer)] * (2 if n < 60 else 1),  # its rows take longest
        "the package's": [saywhy.Explainer()] * 3,
        "random BERTs": random_berts(tokenizer, 3),
    }[name]
    folder = cache / ("quick" if quick else "many") / name.split()[-1].strip(",")
    chosen = zip(explainers[: 1 if quick else None], texts_of(sentences, n, len(explainers)), strict=not quick)
    told = [known(*pair, folder / f"{n}-{i}.npz", 400 if quick else TRUTH) for i, pair in enumerate(chosen)]
    return [game for game, _ in told], [error for _, error in told]


def measured(n: int, name: str, options: Any) -> dict[str, Any]:
    """The lines of the page for n features of one model, and what is in them."""
    games, noise = games_of(n, name, options.cache, options.quick)
    out: dict[str, Any] = {"rows": [], "pairs": [], "times": [], "errors": {}, "noise": noise}
    named = budgets(n)
    peer = of_shapiq(options.shapiq, games, [list(named.values())] * len(games), 1)
    out["heads"], out["version"] = heads(peer), peer.get("version", "")
    for called, budget in named.items():
        found = medians(errors(games, budget, 1, peer["values"]))
        out["rows"].append([n, name, called, *line(found, out["heads"])])
        out["errors"][f"{n}, {name}, {called}"] = {"values": found}
        if name == TREES and budget >= 2 * n + 2:
            told = medians(pair_errors(games, budget, 1, peer["pairs"]))
            out["pairs"].append([n, called, *pair_line(told)])
            out["errors"][f"{n}, {name}, {called}"]["pairs"] = told
    if name == TREES:
        taken = seconds(games, named["16 n + 64"], peer)
        cells = ["–" if math.isnan(each) else f"{1e3 * each:.0f}" for each in taken.values()]
        out["times"].append([n, named["16 n + 64"], *cells])
    return out


def main() -> None:
    options = arguments(__doc__ or "", shapiq=True)
    warnings.simplefilter("ignore")
    logging.getLogger("shap").setLevel(logging.ERROR)
    folder = options.cache / ("quick" if options.quick else "many")
    parts = []
    for n in FEATURES[:1] if options.quick else FEATURES:
        for name in MODELS:
            file = folder / f"{n}-{name.split()[-1]}.json"
            parts.append(kept(file, lambda n=n, name=name: measured(n, name, options)))
    rows, pairs, times = ([line for part in parts for line in part[each]] for each in ("rows", "pairs", "times"))
    noise = [each for part in parts for each in part["noise"]]
    if options.quick:
        print(*rows, *pairs, *times, sep="\n")
        return
    version = f" shapiq is {parts[0]['version']}." if parts[0]["version"] else " shapiq was not at hand."
    write(
        "many_features",
        "Shapley values of 20, 35 and 60 features",
        "Movie sentences one after the other, cut to 20, 35 and 60 words, on three kinds of models (words masked, one logit; two texts of "
        "20 and of 35 words and one of 60 on MiniLM, three of each on the others), and six rows of pixels on boosted trees. Median relative error, as on [the page of short "
        "texts](coalitions.md); what texts are held against comes from "
        f"{TRUTH:,} rows of random orders and has a standard error of {statistics.median(noise):.1%} of its own length ({max(noise):.1%} at "
        "most). Budgets count the full and the empty input, two rows beside those named; the four gradient passes of guided_shap are not "
        f"counted, which boosted trees have not. A dash: the estimator takes no such budget.{version}",
        {
            "errors": {key: each for part in parts for key, each in part["errors"].items()},
            "seconds": times,
            "standard errors of what texts are held against": noise,
        },
        [
            ("How far from the right values?", ["features", "model", "rows", *parts[0]["heads"]], rows),
            (
                "How far from the exact interactions of pairs, on boosted trees?",
                ["features", "rows", *PAIR_HEADS],
                pairs,
            ),
            (
                "How many milliseconds of processor time does an estimate take beside the model, on boosted trees?",
                ["features", "rows", *parts[0]["heads"][:-2]],
                times,
            ),
        ],
    )


if __name__ == "__main__":
    main()
