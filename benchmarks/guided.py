"""What a guide by gradients gains: `guided_shap` beside `kernel_shap` on 200 sentences of two trained models, and on others.

    python -m benchmarks.guided --cache .cache

Sentences of 17 to 29 words have no exact values: both methods are held against `kernel_shap` with 1,600 rows. What the models
answered, and their gradients, are kept by text in the cache folder: a run that was stopped goes on, and another fit of the
same answers takes minutes. `--only` records one of the models, so that two processes share the work. Short sentences have
exact values: there it is tried on models with random weights and on models that learned one rule, whether a guide ever harms.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import saywhy
from benchmarks import faithfulness
from benchmarks.common import real, write
from benchmarks.demo_model import make
from benchmarks.games import TextModel, answered, of_table, problem_of, random_berts, tables
from saywhy.core.features import words
from saywhy.core.types import Gradients, MethodGenerator, Problem, Scores
from saywhy.methods import METHODS
from saywhy.methods.design import design
from saywhy.methods.gaussian_process import shapley_of_odd_part
from saywhy.methods.gradients import embedding_path
from saywhy.methods.guided import GUIDES, shapley_with_guide
from saywhy.methods.surrogates import odd_part, paired
from saywhy.selftest.synthetic import RULES as PLANTED_RULES
from saywhy.selftest.synthetic import synthetic_model

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
DEFAULT = next(iter(GUIDES))
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
    asked = TextModel(explainer, text)
    truth = answered(
        METHODS["kernel_shap"].function(problem_of(asked.n), budget=TRUTH, seed=77), asked.in_batches
    ).values[0]
    out = {"truth": truth.numpy(), "gradients": gradients(explainer, text)}
    for name, times in BUDGETS.items():
        half, place = design(asked.n, int(times * asked.n) // 2, seed)
        out[name] = odd_answers(asked.in_batches, half[:, place])
    return out


def odd_answers(play: Callable[[np.ndarray], np.ndarray], half: torch.Tensor) -> np.ndarray:
    """[rows / 2, 1]: the odd part of a game at a design, which is asked with its complements."""
    return odd_part(torch.as_tensor(play(paired(half).numpy()))[:, None]).numpy()


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


def exact_records(explainer: saywhy.Explainer, text: str, seeds: range) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """The same for a short text, from all its subsets, at the designs of several seeds."""
    game = of_table(tables(explainer, [text])[0])
    known = {"truth": game.shapley.numpy(), "gradients": gradients(explainer, text)}
    for seed in seeds:
        designs = {name: design(game.n, int(times * game.n) // 2, seed) for name, times in BUDGETS.items()}
        odd = {name: odd_answers(game.play, half[:, place]) for name, (half, place) in designs.items()}
        yield seed, known | odd


def short_games(texts: list[str], tokenizer: Any) -> dict[str, list[tuple[saywhy.Explainer, str]]]:
    """Short texts of models that no training has made easy, and as many of models that learned one rule only."""
    many = len(texts)
    games = {"random BERTs": list(zip(random_berts(tokenizer, many), texts, strict=True))}
    for rule in PLANTED_RULES:
        made = synthetic_model(rule, texts=10 * many)
        chosen = [text for text in made.texts if 8 <= len(words(text)) <= 11][:many]
        explainer = saywhy.Explainer(made.model, made.tokenizer)
        games[f"a model that learned the rule {rule!r}"] = [(explainer, text) for text in chosen]
    return games


def harms(games: dict[str, list[tuple[saywhy.Explainer, str]]]) -> tuple[list[list[str]], dict[str, Any]]:
    """A line for each kind of model: the ratio of the errors at every budget, two designs a text."""
    rows, results = [], {}
    for name, each in games.items():
        found: dict[int, dict[str, np.ndarray]] = {}
        for explainer, text in each:
            found.update(exact_records(explainer, text, range(len(found), len(found) + 2)))
        _, results[name] = table(found, (DEFAULT,))
        told = [results[name][budget][DEFAULT] for budget in BUDGETS]
        rows.append([name, *(f"{t['ratio']:.2f} ({t['least']:.2f} to {t['most']:.2f})" for t in told)])
    return rows, results


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


def table(
    found: dict[int, dict[str, np.ndarray]], guides: tuple[str, ...] = tuple(GUIDES)
) -> tuple[list[list[str]], dict[str, Any]]:
    """A line for each budget: plain, and each guide beside it. The key of a record is its seed."""
    rows, results = [], {}
    for budget in BUDGETS:
        each = {
            guide or "none": [fitted(one, budget, guide, i) for i, one in found.items()] for guide in (None, *guides)
        }
        plain, line, told = [error for error, _ in each["none"]], [budget], {}
        for guide, fits in each.items():
            errors = [error for error, _ in fits]
            covered, (ratio, least, most) = statistics.mean(c for _, c in fits), interval(errors, plain)
            cell = f"{statistics.median(errors):.3f} ({covered:.0%})"
            line.append(cell + (f" {ratio:.2f} ({least:.2f} to {most:.2f})" if guide == DEFAULT else ""))
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
    if options.only:
        dict(records(explainer_of(options.only, options.cache), texts, options.cache / "guided" / options.only))
        return
    chapters, removal, results = [], [], {}
    for title, name in MODELS.items():
        explainer = explainer_of(name, options.cache)
        found = dict(records(explainer, texts, options.cache / "guided" / name))
        rows, results[title] = table(found)
        chapters.append((f"{title}: {len(found)} sentences", ["rows", "kernel_shap's regression alone", *GUIDES], rows))
        removal += [[title, *row] for row in orders(explainer, shorter[: 2 if options.quick else 60])]
    question = "Does its order stand removal as that of Shapley values from 16 orders? 60 sentences of 5 to 16 words"
    head = ["model", "method", "forwards", "backwards", "removal area", "less that of 16 orders (95 %)"]
    chapters.append((question, head, removal))
    few = [t for n in range(8, 12) for t in [t for t in shorter if len(words(t)) == n][: 1 if options.quick else 4]]
    lines, short = harms(short_games(few, real(options.cache)[1]))
    question = f"Does a guide ever harm? Error over that of the regression alone, {len(few)} texts of 8 to 11 words, exact values"
    chapters.append((question, ["model", *BUDGETS], lines))
    if options.quick:
        print(*chapters, sep="\n")
        return
    write("guided", "What a guide by gradients gains", ABOUT, results | {"removal": removal, "short": short}, chapters)


def explainer_of(name: str, cache: Path) -> saywhy.Explainer:
    return saywhy.Explainer(*real(cache)[:2]) if name == "minilm" else saywhy.Explainer()


if __name__ == "__main__":
    main()
