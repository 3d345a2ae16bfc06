"""Shapley values: error at equal budget and time, against shap's KernelExplainer and Captum's KernelShap and sampling.

    python -m benchmarks.coalitions --cache .cache

Exact Shapley values come from all 2^n subsets of real sentences of 9 to 12 words on a fine-tuned MiniLM (words masked, the
predicted label's logit). Every estimator then sees the same table of answers, so equal budgets are equal rows, and the error
is the length of the difference over the length of the exact values. Times are on the real model.
"""

from __future__ import annotations

import logging
import math
import statistics
import warnings
from typing import Any

import numpy as np
import shap
import torch
from captum.attr import KernelShap, ShapleyValueSampling

import saywhy
import saywhy.extend
from benchmarks.common import arguments, paired, real, write
from saywhy.core.features import words
from saywhy.core.types import Feature, MethodGenerator, Problem, Scores, Target, Values
from saywhy.methods import METHODS
from saywhy.methods.coalitions import every_coalition, shapley_of_table

BUDGETS = (32, 64, 128, 256, 512)


def tables(explainer: saywhy.Explainer, texts: list[str]) -> list[torch.Tensor]:
    """For each text, the target for all 2^n subsets of its words, float64 [2^n, 1]."""
    found: list[torch.Tensor] = []

    def every(problem: Problem) -> MethodGenerator:
        found.append((yield Values(every_coalition(problem.n))))
        return Scores(torch.zeros(1, problem.n, dtype=torch.float64))

    for text in texts:
        explainer(text, method=every)
    return found


def answered(asking: MethodGenerator, table: torch.Tensor) -> torch.Tensor:
    """The scores [n] of a method whose questions are looked up in the table."""
    answer: Any = None
    while True:
        try:
            question = asking.send(answer)
        except StopIteration as end:
            return end.value.values[0]
        answer = table[_places(question.coalitions)]


def _places(rows: torch.Tensor) -> torch.Tensor:
    return (rows.long() * 2 ** torch.arange(rows.shape[1])).sum(1)


def ours(name: str, table: torch.Tensor, n: int, budget: int, seed: int) -> torch.Tensor:
    problem = Problem(tuple(Feature(str(i)) for i in range(n)), (Target("", (0,)),))
    permutations = max(2, budget // n // 2 * 2)
    options = {"budget": budget} if name == "kernel_shap" else {"permutations": permutations}
    return answered(METHODS[name].function(problem, seed=seed, **options), table)


def shaps(table: torch.Tensor, n: int, budget: int, seed: int) -> torch.Tensor:
    np.random.seed(seed)
    numbers = table[:, 0].numpy()
    explainer = shap.KernelExplainer(lambda rows: numbers[_places(torch.as_tensor(rows)).numpy()], np.zeros((1, n)))
    return torch.as_tensor(
        explainer.shap_values(np.ones((1, n)), nsamples=budget, silent=True, l1_reg=f"num_features({n})")[0]
    )


def captums(table: torch.Tensor, n: int, budget: int, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    np.random.seed(seed)
    method = KernelShap(lambda rows: table[_places(rows), 0].float())
    return method.attribute(torch.ones(1, n), n_samples=budget, perturbations_per_eval=budget)[0]


def captums_sampling(table: torch.Tensor, n: int, budget: int, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    method = ShapleyValueSampling(lambda rows: table[_places(rows), 0].float())
    return method.attribute(torch.ones(1, n), n_samples=max(1, budget // n), perturbations_per_eval=64)[0]


ESTIMATORS = {
    "saywhy kernel_shap": lambda *given: ours("kernel_shap", *given),
    "shap KernelExplainer": shaps,
    "Captum KernelShap": captums,
    "saywhy shapley_sampling": lambda *given: ours("shapley_sampling", *given),
    "Captum ShapleyValueSampling": captums_sampling,
}


def errors_at(all_tables: list[torch.Tensor], budget: int, seeds: int) -> dict[str, list[float]]:
    """Each estimator's errors over texts and seeds at one budget; texts it would enumerate are left out."""
    found: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    for table in all_tables:
        n = int(math.log2(len(table)))
        if budget >= 2**n:
            continue
        exact = shapley_of_table(table, n)[0]
        for name, estimate in ESTIMATORS.items():
            for seed in range(seeds):
                got = estimate(table, n, budget, seed).double()
                found[name].append(float((got - exact).norm() / exact.norm()))
    return found


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


def main() -> None:
    options = arguments(__doc__ or "")
    warnings.simplefilter("ignore")
    logging.getLogger("shap").setLevel(logging.ERROR)
    seeds, rounds, each = (3, 1, {9: 1, 10: 1}) if options.quick else (30, 5, {9: 2, 10: 2, 11: 2, 12: 2})
    model, tokenizer, sentences = real(options.cache)
    explainer = saywhy.Explainer(model, tokenizer)
    by_length = {n: [t for t in sentences if len(words(t)) == n][:many] for n, many in each.items()}
    chosen = [text for texts in by_length.values() for text in texts]
    all_tables = tables(explainer, chosen)
    rows, results = [], {}
    for budget in BUDGETS:
        found = errors_at(all_tables, budget, seeds)
        medians = {name: statistics.median(errors) for name, errors in found.items() if errors}
        if not medians:
            continue
        results[budget] = {name: {"median": medians[name], "mean": statistics.mean(found[name])} for name in medians}
        base = medians["saywhy kernel_shap"]
        others = min(medians["shap KernelExplainer"], medians["Captum KernelShap"])
        rows.append([budget, *(f"{m:.3f}" for m in medians.values()), f"{base / others:.2f}"])
    speed = timing(explainer, [t for t in sentences if len(words(t)) > 12][:10], rounds)
    results["time"] = speed
    if options.quick:
        print(*rows, *speed, sep="\n")
        return
    write(
        "coalitions",
        "Shapley values: error at equal budget, and time",
        f"Real sentences of 9 to 12 words ({len(chosen)}), a fine-tuned MiniLM, {seeds} seeds; median relative error against the "
        "exact Shapley values from all 2^n subsets. Budgets count rows of the model; Captum's sampling is given as many whole orders "
        "as the budget holds. The last column is saywhy's error over the better of shap's and Captum's KernelSHAP.",
        {"errors": results},
        [
            ("How far from the exact values?", ["rows", *ESTIMATORS, "error, ratio"], rows),
            (
                "How long do ten longer sentences take at 128 rows each?",
                ["peer", "peer, s", "saywhy, s", "ratio"],
                speed,
            ),
        ],
    )


if __name__ == "__main__":
    main()
