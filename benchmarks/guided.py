"""What a guide by gradients gains: `guided_shap` beside `kernel_shap` on 200 sentences of two trained models.

    python -m benchmarks.guided --cache .cache

Sentences of 17 to 29 words have no exact values: both methods are held against `kernel_shap` with 1,600 rows. What the models
answered, and their gradients, are kept by text in the cache folder: a run that was stopped goes on, and another fit of the
same answers takes a minute. `--only` records one of the models, so that two processes share the work.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import saywhy
from benchmarks import faithfulness
from benchmarks.coalitions import Peer, asked, problem_of
from benchmarks.common import real, write
from benchmarks.demo_model import make
from saywhy.core.features import words
from saywhy.core.types import Gradients, MethodGenerator, Problem, Scores
from saywhy.methods import METHODS
from saywhy.methods.design import design
from saywhy.methods.gaussian_process import shapley_of_odd_part
from saywhy.methods.gradients import embedding_path
from saywhy.methods.guided import GUIDES, shapley_with_guide
from saywhy.methods.surrogates import odd_part, paired

TRUTH = 1_600  # rows of what both are held against
BUDGETS = {"n/2": 0.5, "n": 1, "2 n": 2, "4 n": 4, "8 n": 8}
RULES = (None, "libra", "detach_attention", "attn_lrp")
PLACES = (
    0.0,
    0.11270167,
    0.21132487,
    0.5,
    0.78867513,
    0.88729833,
    1.0,
)  # along the path: the nodes of one to three steps
ABOUT = f"""Sentences of 17 to 29 words, which have no exact values: median relative error (length of the difference over the length
of the values) to `kernel_shap` with {TRUTH:,} rows. In brackets how many of those values lie within 1.96 standard errors. For the
default guide, `rules_and_gradients`, the ratio of its error to that of the regression alone, with an interval of 95 % over texts.
Rows do not count the gradient passes of a guide: four for the default, each about three rows' work. The removal area is that of
[the benchmark of faithfulness](faithfulness.md): how much further the logit falls when the highest scores are masked first."""
MODELS = {"MiniLM, fine-tuned": "minilm", "the package's": "own"}


def gradients(explainer: saywhy.Explainer, text: str) -> np.ndarray:
    """[rules, places, n]: what the gradient at each place of the path says of each word, under each backward rule."""
    found: list[torch.Tensor] = []

    def every(problem: Problem) -> MethodGenerator:
        path = embedding_path(problem)
        points = torch.stack([path.baseline + place * (path.input - path.baseline) for place in PLACES])
        for rules in RULES:
            _, slopes = yield Gradients(points, direction=path.input - path.baseline, rules=rules)
            found.append(torch.stack([path.fold(slopes[:, b])[0] for b in range(len(PLACES))]))
        return Scores(torch.zeros(1, problem.n, dtype=torch.float64))

    explainer(text, method=every, target=1, trust="none", progress=False)
    return torch.stack(found).numpy()


def record(explainer: saywhy.Explainer, text: str, seed: int) -> dict[str, np.ndarray]:
    """The values that one sentence is held against, its odd part at every budget's design, and its gradients."""
    peer = Peer(explainer, text)

    def play(rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.as_tensor(peer.play(part.numpy()))[:, None].double() for part in rows.split(256)])

    truth = asked(METHODS["kernel_shap"].function(problem_of(peer.n), budget=TRUTH, seed=77), play).values[0]
    out = {"truth": truth.numpy(), "gradients": gradients(explainer, text)}
    for name, times in BUDGETS.items():
        half, place = design(peer.n, int(times * peer.n) // 2, seed)
        out[name] = odd_part(play(paired(half[:, place]))).numpy()
    return out


def records(explainer: saywhy.Explainer, texts: list[str], folder: Path) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """The record of each text, from its file where it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, text in enumerate(texts):
        file = folder / f"{i}.npz"
        if not file.exists():
            partial = folder / f"{i}.partial.npz"
            np.savez(partial, **record(explainer, text, seed=i))
            partial.replace(file)
        yield i, dict(np.load(file))


def regressors(told: np.ndarray, guide: str) -> torch.Tensor:
    """[1, m, n]: what the guide's regressors say, from gradients at the places of the path."""
    found = []
    for rules, steps in GUIDES[guide]:
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        at = [int(np.abs(np.array(PLACES) - (node + 1) / 2).argmin()) for node in nodes]
        found.append((weights[:, None] / 2 * told[RULES.index(rules), at]).sum(0))
    return torch.as_tensor(np.stack(found))[None]


def fitted(one: dict[str, np.ndarray], budget: str, guide: str | None, seed: int) -> tuple[float, float]:
    """The relative error of a fit of the recorded answers, and how many values its intervals cover."""
    n = len(one["truth"])
    half, place = design(n, int(BUDGETS[budget] * n) // 2, seed)
    signs = torch.cat([torch.ones(1, n), half * 2.0 - 1]).double()
    key, odd = (n, len(half)), torch.as_tensor(one[budget])
    if guide is None:
        scores, errors = shapley_of_odd_part(key, signs, odd)
    else:
        scores, errors = shapley_with_guide(key, signs, odd, regressors(one["gradients"], guide)[..., place.argsort()])
    off = (scores[0, place] - torch.as_tensor(one["truth"])).abs()
    covered = (off <= 1.96 * errors[0, place]).double().mean()
    return float(off.norm() / np.linalg.norm(one["truth"])), float(covered)


def interval(a: list[float], b: list[float]) -> tuple[float, float, float]:
    """median(a) / median(b), and the 2.5th and 97.5th percentiles of 2,000 draws of the texts with replacement."""
    drawn = np.random.default_rng(0).integers(len(a), size=(2_000, len(a)))
    ratios = np.median(np.array(a)[drawn], 1) / np.median(np.array(b)[drawn], 1)
    return float(np.median(a) / np.median(b)), *np.percentile(ratios, [2.5, 97.5]).tolist()


def table(found: dict[int, dict[str, np.ndarray]]) -> tuple[list[list[str]], dict[str, Any]]:
    """A line for each budget: plain, and each guide beside it."""
    rows, results = [], {}
    for budget in BUDGETS:
        each = {
            guide or "none": [fitted(one, budget, guide, i) for i, one in found.items()] for guide in (None, *GUIDES)
        }
        plain, line, told = [error for error, _ in each["none"]], [budget], {}
        for guide, fits in each.items():
            errors = [error for error, _ in fits]
            covered, (ratio, least, most) = statistics.mean(c for _, c in fits), interval(errors, plain)
            cell = f"{statistics.median(errors):.3f} ({covered:.0%})"
            line.append(cell + (f" {ratio:.2f} ({least:.2f} to {most:.2f})" if guide == next(iter(GUIDES)) else ""))
            told[guide] = {
                "error": statistics.median(errors), "covered": covered, "ratio": ratio, "least": least, "most": most,
                "ratio of each text, geometric mean": float(np.exp(np.mean(np.log(np.array(errors) / plain)))),
            }  # fmt: skip
        rows.append(line)
        results[budget] = told
    return rows, results


def orders(explainer: saywhy.Explainer, texts: list[str]) -> list[list[Any]]:
    """Rows, gradient passes and mean removal area of methods, and the area less that of Shapley values from 16 orders."""
    recipes: dict[str, faithfulness.Recipe] = {
        "shapley_sampling, 16 orders": ("shapley_sampling", {"permutations": 16}, None),
        "guided_shap, 2 n + 2 rows": ("guided_shap", {}, None),
        "kernel_shap, 16 n + 64 rows": ("kernel_shap", {}, None),
        "integrated_rules, libra, 2": ("integrated_rules", {}, None),
    }
    found = {name: faithfulness.measured(explainer, texts, recipe) for name, recipe in recipes.items()}
    first = np.array(next(iter(found.values()))["areas"])
    drawn = np.random.default_rng(0).integers(len(texts), size=(2_000, len(texts)))
    rows = []
    for name, one in found.items():
        less = np.array(one["areas"]) - first
        least, most = np.percentile(less[drawn].mean(1), [2.5, 97.5])
        each = [one[key] / len(texts) for key in ("forwards", "backwards")]
        area = [f"{np.mean(one['areas']):.2f}", f"{less.mean():+.3f} ({least:+.3f} to {most:+.3f})"]
        rows.append([name, *(f"{count:.0f}" for count in each), *area])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where models and answers are kept")
    parser.add_argument("--quick", action="store_true", help="a small run to see that it works; nothing is written")
    parser.add_argument("--texts", type=int, default=200, help="sentences of each model")
    parser.add_argument("--only", choices=MODELS.values(), help="only record what this model answers")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.cache.mkdir(parents=True, exist_ok=True)
    texts = [t for t in make.movies(options.cache)[1].texts if 17 <= len(words(t)) <= 29]
    texts = texts[: 2 if options.quick else options.texts]
    shorter = [t for t in make.movies(options.cache)[1].texts if 5 <= len(words(t)) <= faithfulness.LONGEST]
    tables, removal, results = [], [], {}
    for title, name in MODELS.items():
        if options.only not in (None, name):
            continue
        explainer = saywhy.Explainer(*real(options.cache)[:2]) if name == "minilm" else saywhy.Explainer()
        found = dict(records(explainer, texts, options.cache / "guided" / name))
        if options.only is None:
            rows, results[title] = table(found)
            removal += [[title, *row] for row in orders(explainer, shorter[: 2 if options.quick else 60])]
            tables.append(
                (f"{title}: {len(found)} sentences", ["rows", "kernel_shap's regression alone", *GUIDES], rows)
            )
    question = "Does its order stand removal as that of Shapley values from 16 orders? 60 sentences of 5 to 16 words"
    head = ["model", "method", "forwards", "backwards", "removal area", "less that of 16 orders (95 %)"]
    tables.append((question, head, removal))
    results["removal"] = removal
    if options.quick or options.only:
        print(*tables, sep="\n")
        return
    write("guided", "What a guide by gradients gains", ABOUT, results, tables)


if __name__ == "__main__":
    main()
