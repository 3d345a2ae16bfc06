"""Shapley values and pairs: error at equal rows, coverage and time, against shap, Captum and shapiq.

    python -m benchmarks.coalitions --cache .cache --shapiq PYTHON

Exact Shapley values and interactions come from all 2^n subsets of real sentences of 9 to 12 words (words masked, the logit of
one label) on three kinds of models. Every estimator then sees the same table of answers, so equal budgets are equal rows, and the
error is the length of the difference over the length of the exact values. PYTHON is an interpreter that has shapiq, which needs a
newer Python than the rest; without it shapiq's columns are left out. Times are on the real model, or on a function that costs
nothing. Longer sentences, which have no exact values, are in `benchmarks.guided`.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import subprocess
import tempfile
import time
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import shap
import torch
from captum.attr import KernelShap, ShapleyValueSampling

import saywhy
import saywhy.extend
from benchmarks.common import paired, real, write
from saywhy.core.features import words
from saywhy.core.types import Feature, MethodGenerator, Problem, Scores, Target, Values
from saywhy.methods import METHODS
from saywhy.methods.coalitions import shapley_of_table
from saywhy.methods.interactions import exact_pairs
from saywhy.methods.walsh import every_coalition

BUDGETS = (32, 64, 128, 256, 512)
PEER = Path(__file__).parent / "peers" / "shapiq_estimates.py"


def tables(explainer: saywhy.Explainer, texts: list[str]) -> list[torch.Tensor]:
    """For each text, the target for all 2^n subsets of its words, float64 [2^n, 1]."""
    found: list[torch.Tensor] = []

    def every(problem: Problem) -> MethodGenerator:
        found.append((yield Values(every_coalition(problem.n))))
        return Scores(torch.zeros(1, problem.n, dtype=torch.float64))

    for text in texts:
        explainer(text, method=every, target=1, absent="mask", trust="none", progress=False)
    return found


def answered(asking: MethodGenerator, table: torch.Tensor) -> Scores:
    """The scores of a method whose questions are looked up in the table."""
    answer: Any = None
    while True:
        try:
            question = asking.send(answer)
        except StopIteration as end:
            return end.value
        answer = table[places(question.coalitions)]


def places(rows: torch.Tensor) -> torch.Tensor:
    return (rows.long() * 2 ** torch.arange(rows.shape[1])).sum(1)


def problem_of(n: int) -> Problem:
    return Problem(tuple(Feature(str(i)) for i in range(n)), (Target("", (0,)),))


def ours(name: str, table: torch.Tensor, n: int, budget: int, seed: int) -> torch.Tensor:
    permutations = max(2, budget // n // 2 * 2)
    options = {"budget": budget} if name == "kernel_shap" else {"permutations": permutations}
    return answered(METHODS[name].function(problem_of(n), seed=seed, **options), table).values[0]


def shaps(table: torch.Tensor, n: int, budget: int, seed: int) -> torch.Tensor:
    np.random.seed(seed)
    numbers = table[:, 0].numpy()
    explainer = shap.KernelExplainer(lambda rows: numbers[places(torch.as_tensor(rows)).numpy()], np.zeros((1, n)))
    return torch.as_tensor(
        explainer.shap_values(np.ones((1, n)), nsamples=budget, silent=True, l1_reg=f"num_features({n})")[0]
    )


def captums(table: torch.Tensor, n: int, budget: int, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    np.random.seed(seed)
    method = KernelShap(lambda rows: table[places(rows), 0].float())
    return method.attribute(torch.ones(1, n), n_samples=budget, perturbations_per_eval=budget)[0]


def captums_sampling(table: torch.Tensor, n: int, budget: int, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    method = ShapleyValueSampling(lambda rows: table[places(rows), 0].float())
    return method.attribute(torch.ones(1, n), n_samples=max(1, budget // n), perturbations_per_eval=64)[0]


ESTIMATORS = {
    "saywhy kernel_shap": lambda *given: ours("kernel_shap", *given),
    "shap KernelExplainer": shaps,
    "Captum KernelShap": captums,
    "saywhy shapley_sampling": lambda *given: ours("shapley_sampling", *given),
    "Captum ShapleyValueSampling": captums_sampling,
}


def away(got: Any, exact: torch.Tensor) -> float:
    """The length of the difference over the length of the exact values."""
    return float((torch.as_tensor(got, dtype=torch.float64) - exact).norm() / exact.norm())


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


def of_shapiq(python: str | None, games: list[torch.Tensor], seeds: int) -> dict[str, Any]:
    """What shapiq makes of the same tables, in its own interpreter; nothing without one."""
    if python is None:
        return {"values": {}, "pairs": {}}
    with tempfile.TemporaryDirectory() as folder:
        given, answers = Path(folder) / "games.npz", Path(folder) / "estimates.json"
        named = {f"game{i}": table[:, 0].numpy() for i, table in enumerate(games)}
        np.savez(given, games=len(games), seeds=seeds, budgets=np.array(BUDGETS), **named)
        subprocess.run([python, str(PEER), str(given), str(answers)], check=True)
        found: dict[str, Any] = json.loads(answers.read_text(encoding="utf-8"))
    return found


def value_errors(
    games: list[torch.Tensor], budget: int, seeds: int, peer: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """Each estimator's errors over games and seeds at one budget, and how many exact values our 95 % intervals cover."""
    found: dict[str, list[float]] = {name: [] for name in (*ESTIMATORS, *(f"shapiq {name}" for name in peer))}
    inside = []
    for g, table in enumerate(games):
        n = int(math.log2(len(table)))
        if budget >= 2**n:
            continue
        exact = shapley_of_table(table, n)[0]
        for seed in range(seeds):
            for name, estimate in ESTIMATORS.items():
                found[name].append(away(estimate(table, n, budget, seed), exact))
            for name, told in peer.items():
                answer = told[str(budget)][g]
                found[f"shapiq {name}"] += [] if isinstance(answer, str) else [away(answer[seed], exact)]
            own = answered(METHODS["kernel_shap"].function(problem_of(n), budget=budget, seed=seed), table)
            inside.append(float(((own.values[0] - exact).abs() <= 1.96 * own.stderr[0]).double().mean()))
    return found, statistics.mean(inside) if inside else math.nan


def pair_errors(games: list[torch.Tensor], budget: int, seeds: int, peer: dict[str, Any]) -> dict[str, list[float]]:
    """The same for interactions of pairs, and how often the strongest pair is the right one."""
    found: dict[str, list[float]] = {"saywhy SII": [], "saywhy FSII": [], "strongest": [], "covered": []}
    for g, table in enumerate(games):
        n = int(math.log2(len(table)))
        if budget >= 2**n:
            continue
        exact = {index: each[0] for index, each in exact_pairs(table, n).values.items()}
        for seed in range(seeds):
            own = answered(METHODS["kernel_shap"].function(problem_of(n), budget=budget, seed=seed), table).pairs
            for index in ("SII", "FSII"):
                found[f"saywhy {index}"].append(away(own.values[index][0], exact[index]))
            found["strongest"].append(float(own.values["SII"][0].abs().argmax() == exact["SII"].abs().argmax()))
            close = (own.values["SII"][0] - exact["SII"]).abs() <= 1.96 * own.stderr["SII"][0]
            found["covered"].append(float(close.double().mean()))
            for name, told in peer.items():
                answer = told[str(budget)][g]
                if not isinstance(answer, str):
                    found.setdefault(f"shapiq {name}", []).append(away(answer[seed], exact[name.split()[0]]))
    return found


def planted_pairs(many: int) -> list[list[Any]]:
    """How often the planted pair is the strongest: an exclusive or, and a negation, in a saturating sum of all words."""
    rows = []
    for n in (10, 20, 35):
        hits = {"exclusive or": 0, "negation": 0}
        for seed in range(many):
            draw = torch.Generator().manual_seed(seed)
            weights = torch.randn(n, 1, generator=draw, dtype=torch.float64) / 3
            i, j = torch.randperm(n, generator=draw)[:2].sort().values.tolist()
            place = list(combinations(range(n), 2)).index((i, j))
            for kind in hits:

                def play(
                    rows: torch.Tensor, kind: str = kind, w: torch.Tensor = weights, i: int = i, j: int = j
                ) -> Any:
                    p = rows.double()
                    both = (p[:, [i]] - p[:, [j]]).abs() if kind == "exclusive or" else p[:, [j]] * (1 - 2 * p[:, [i]])
                    return torch.tanh(p @ w) + both

                pairs = asked(METHODS["kernel_shap"].function(problem_of(n), seed=seed), play).pairs
                hits[kind] += int(int(pairs.values["SII"][0].abs().argmax()) == place)
        rows.append([n, min(16 * n + 64, 2**n), *(f"{hit / many:.0%}" for hit in hits.values())])
    return rows


def asked(asking: MethodGenerator, play: Any) -> Scores:
    """The scores of a method that asks about coalitions once, answered by a function."""
    question: Any = next(asking)
    try:
        asking.send(play(question.coalitions))
    except StopIteration as end:
        return end.value
    raise RuntimeError("the method asked twice")


class Peer:
    """The peers on the real model, at their best: all rows of one text in one call."""

    def __init__(self, explainer: saywhy.Explainer, text: str):
        self.model = explainer.model
        self.encoding = self.model.encode({"text": text}, saywhy.extend.EncodingOptions(absent="mask"))
        self.n = len(self.encoding.features)

    def play(self, rows: Any) -> np.ndarray:
        with torch.no_grad():
            return self.model.forward(self.encoding.at(np.asarray(rows).astype(bool)))[:, 1].numpy()

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


def options_of(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where downloads and the model are kept")
    parser.add_argument("--quick", action="store_true", help="a small run to see that it works; nothing is written")
    parser.add_argument("--shapiq", metavar="PYTHON", help="an interpreter that has shapiq; without it it is left out")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    return options


def ratio(mine: float, others: list[float]) -> str:
    return f"{mine / min(others):.2f}" if others else "–"


def main() -> None:
    options = options_of(__doc__ or "")
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
        "MiniLM, fine-tuned": tables(explainer, chosen),
        "the package's": tables(own, short),
        "random BERTs": [tables(bert, [t])[0] for bert, t in zip(berts, short, strict=True)],
    }
    rows, pairs, results = [], [], {}
    head = None
    for name, all_tables in games.items():
        peer = of_shapiq(options.shapiq, all_tables, seeds)
        for budget in BUDGETS:
            found, covered = value_errors(all_tables, budget, seeds, peer["values"])
            medians = {key: statistics.median(errors) for key, errors in found.items() if errors}
            if not medians:
                continue
            others = [m for key, m in medians.items() if not key.startswith("saywhy")]
            head = list(medians)
            mine = medians["saywhy kernel_shap"]
            rows.append([name, budget, *(f"{m:.3f}" for m in medians.values()), ratio(mine, others), f"{covered:.0%}"])
            told = pair_errors(all_tables, budget, seeds, peer["pairs"])
            means = {key: statistics.median(errors) for key, errors in told.items()}
            line = [name, budget]
            for index in ("SII", "FSII"):
                theirs = [m for key, m in means.items() if key.startswith(f"shapiq {index}")]
                line += [f"{means[f'saywhy {index}']:.3f}", f"{min(theirs):.3f}" if theirs else "–"]
                line += [ratio(means[f"saywhy {index}"], theirs)]
            hit, close = statistics.mean(told["strongest"]), statistics.mean(told["covered"])
            pairs.append([*line, f"{hit:.0%}", f"{close:.0%}"])
            results[f"{name}, {budget}"] = {"values": medians, "pairs": means, "covered": covered}
    found_pairs = planted_pairs(4 if options.quick else 40)
    speed = timing(explainer, [t for t in sentences if len(words(t)) > 12][:10], rounds)
    results = {"errors": results, "times": times, "time": speed, "planted": found_pairs}
    if options.quick:
        print(*rows, *pairs, *found_pairs, *times, *speed, sep="\n")
        return
    left_out = "" if options.shapiq else " shapiq was not at hand."
    version = f" shapiq is {peer['version']}." if options.shapiq else ""
    write(
        "coalitions",
        "Shapley values and pairs: error at equal rows, coverage, and time",
        f"Real sentences of 9 to 12 words ({len(chosen)}; {len(short)} of up to 11 for the other models), {seeds} seeds; median relative "
        "error against the exact values from all 2^n subsets. Budgets count rows of the model; Captum's sampling is given as many whole "
        'orders as the budget holds. Ratios are saywhy\'s error over that of the best peer; below 1 saywhy is nearer. "Covered" is how '
        f"many exact values lie within 1.96 standard errors.{version}{left_out}",
        results,
        [
            ("How far from the exact values?", ["model", "rows", *(head or []), "error, ratio", "covered"], rows),
            (
                "How far from the exact interactions of pairs?",
                [
                    "model",
                    "rows",
                    "SII",
                    "shapiq's best",
                    "ratio",
                    "FSII",
                    "shapiq's best",
                    "ratio",
                    "strongest pair right",
                    "covered",
                ],
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
