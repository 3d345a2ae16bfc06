"""Shapley values by llmSHAP and mllm-shap from a table of payoffs: reads JSON on standard input, writes it on standard output.

Runs in an environment of its own, which has these packages and no torch. Given: {"n": n, "tables": [[payoff of each coalition, by
its bits] …], "budget": requests, "seeds": how many}. Told: method -> {"scores": [table][seed][n], "requests": [table][seed]}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from llmSHAP import BasicPromptCodec, DataHandler, ShapleyAttribution
from llmSHAP.attribution_methods.coalition_sampler import RandomSampler, SlidingWindowSampler
from llmSHAP.generation import Generation
from mllm_shap.domain.players import PlayerSet
from mllm_shap.estimation import (
    ComplementaryEstimator,
    LeverageEstimator,
    MonteCarloEstimator,
    NeymanEstimator,
    ShapleyAggregator,
)

MLLM = {
    "mllm-shap mc": MonteCarloEstimator,
    "mllm-shap leverage": LeverageEstimator,
    "mllm-shap complementary": ComplementaryEstimator,
    "mllm-shap neyman": NeymanEstimator,
}


def bits(present: Any) -> int:
    return sum(1 << i for i, here in enumerate(present) if here)


def by_mllm(made: Any, n: int, table: list[float], budget: int, seed: int) -> tuple[list[float], int]:
    """An estimator at this share of all coalitions; one of two phases asks in both."""
    estimator, players = made(), PlayerSet(tuple(f"p{i}" for i in range(n)))
    masks = list(estimator.sample_masks(players, budget / 2**n, False, seed))
    payoffs = [table[bits(mask.present)] for mask in masks]
    if hasattr(estimator, "begin_allocation"):
        estimator.begin_allocation(masks, payoffs)
        masks += list(estimator.sample_allocation_masks())
        payoffs = [table[bits(mask.present)] for mask in masks]
    scores = estimator.estimate_attributions(masks, payoffs, ShapleyAggregator())
    return list(map(float, scores)), len({mask.present for mask in masks})


class Table:
    """llmSHAP's model: the prompt says which words are there, and the answer is their payoff."""

    def __init__(self, n: int, table: list[float]):
        self.n, self.table, self.asked = n, table, set[int]()

    def generate(self, prompt: Any, **_: Any) -> str:
        text = str(prompt)
        coalition = bits(f"w{i:02d}" in text for i in range(self.n))
        self.asked.add(coalition)
        return str(self.table[coalition])

    def is_local(self) -> bool:
        return True

    def name(self) -> str:
        return "table"

    def cleanup(self) -> None:
        pass


def payoff(base: Generation, coalition: Generation) -> float:
    return float(coalition.output)


def by_llmshap(sampler: Any, n: int, table: list[float]) -> tuple[list[float], int]:
    model = Table(n, table)
    data = DataHandler({f"k{i:02d}": f"w{i:02d}" for i in range(n)})
    made = ShapleyAttribution(
        model,
        data,
        BasicPromptCodec(system=""),
        sampler=sampler(data),
        use_cache=True,
        verbose=False,
        value_function=payoff,
    )
    found = made.attribution().attribution
    scores = {str(entry["value"]): float(entry["score"]) for entry in found.values()}
    return [scores[f"w{i:02d}"] for i in range(n)], len(model.asked)


def main() -> None:
    given = json.load(sys.stdin)
    n, budget, seeds = given["n"], given["budget"], given["seeds"]
    told: dict[str, Any] = {}
    llmshap = {
        "llmSHAP random, its least": lambda seed: lambda data: RandomSampler(1e-9, seed),
        "llmSHAP sliding window of 4": lambda seed: lambda data: SlidingWindowSampler(list(data.get_keys()), 4),
    }
    for name, made in MLLM.items():
        rows = [[by_mllm(made, n, table, budget, seed) for seed in range(seeds)] for table in given["tables"]]
        told[name] = rows
    for name, make in llmshap.items():
        told[name] = [[by_llmshap(make(seed), n, table) for seed in range(seeds)] for table in given["tables"]]
    out = {
        name: {"scores": [[r[0] for r in row] for row in rows], "requests": [[r[1] for r in row] for row in rows]}
        for name, rows in told.items()
    }
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
