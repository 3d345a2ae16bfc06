"""shapiq's estimates of games whose answers are in a table; for an interpreter of its own, which needs shapiq alone.

    PYTHON benchmarks/peers/shapiq_estimates.py games.npz estimates.json

`games.npz` holds the values of all coalitions of each game (bit i of a row is feature i), `budgets` and `seeds`. The answer lists,
for each estimator, budget and game, the estimates of every seed: n Shapley values, or n (n - 1) / 2 interactions.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from itertools import combinations
from typing import Any

import numpy as np
import shapiq
from shapiq import approximator

VALUES = {
    "KernelSHAP": lambda n, seed: approximator.KernelSHAP(n, pairing_trick=True, random_state=seed),
    "LeverageSHAP": lambda n, seed: approximator.LeverageSHAP(n, random_state=seed),
    "PolySHAP": lambda n, seed: approximator.PolySHAP(n, max_order=2, pairing_trick=True, random_state=seed),
    "OddSHAP": lambda n, seed: approximator.OddSHAP(n, random_state=seed),
    "RegressionMSR": lambda n, seed: approximator.RegressionMSR(n, "SV", random_state=seed),
    "PermutationSamplingSV": lambda n, seed: approximator.PermutationSamplingSV(n, random_state=seed),
}
PAIRS = {
    ("FSII", "RegressionFSII"): lambda n, seed: approximator.RegressionFSII(
        n, 2, pairing_trick=True, random_state=seed
    ),
    ("FSII", "ProxySPEX"): lambda n, seed: approximator.ProxySPEX(n=n, index="FSII", hpo=False, random_state=seed),
    ("SII", "KernelSHAPIQ"): lambda n, seed: approximator.KernelSHAPIQ(
        n, 2, "SII", pairing_trick=True, random_state=seed
    ),
    ("SII", "SVARMIQ"): lambda n, seed: approximator.SVARMIQ(n, 2, "SII", pairing_trick=True, random_state=seed),
    ("SII", "ProxySPEX"): lambda n, seed: approximator.ProxySPEX(n=n, index="SII", hpo=False, random_state=seed),
}


def estimates(make: Any, values: np.ndarray, budget: int, seeds: int, order: int) -> list[list[float]] | str:
    """Of every seed, the values of single features or of pairs; or what the estimator says where it cannot."""
    n = round(np.log2(len(values)))
    places = 2 ** np.arange(n)
    found = []
    for seed in range(seeds):
        try:
            answer = make(n, seed).approximate(budget, lambda rows: values[np.atleast_2d(rows).astype(int) @ places])
            each = combinations(range(n), order)
            found.append([float(answer[one]) for one in each])
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    data = np.load(sys.argv[1])
    games = [data[f"game{i}"] for i in range(int(data["games"]))]
    out: dict[str, Any] = {"version": shapiq.__version__, "values": {}, "pairs": {}}
    for kind, order, table in (("values", 1, VALUES), ("pairs", 2, PAIRS)):
        for name, make in table.items():
            label = name if isinstance(name, str) else " ".join(name)
            started = time.perf_counter()
            out[kind][label] = {
                str(budget): [
                    estimates(make, game - game[0], int(budget), int(data["seeds"]), order)
                    if budget < len(game)
                    else None
                    for game in games
                ]
                for budget in data["budgets"]
            }
            print(label, round(time.perf_counter() - started, 1), "s", file=sys.stderr, flush=True)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(out, file)


if __name__ == "__main__":
    main()
