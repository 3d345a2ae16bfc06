"""shapiq's estimates of games that another process plays; for an interpreter of its own, which needs shapiq alone.

    PYTHON benchmarks/peers/shapiq_estimates.py PIPE GIVEN estimates.json

GIVEN is JSON: `seeds`, and for each of `games` its `n`, its `budgets` and whether `pairs` are wanted. Coalitions go out through the
file descriptor PIPE, the number of the game first, and their values come back. The answer lists, for each estimator and game, at every budget the
estimates of every seed: n Shapley values, or n (n - 1) / 2 interactions. `seconds` is the estimator's own processor time.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from itertools import combinations
from multiprocessing.connection import Connection
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


def game_of(pipe: Any, number: int, n: int) -> Callable[[np.ndarray], np.ndarray]:
    """The game that the other side plays, less its value without any feature."""

    def play(rows: np.ndarray) -> np.ndarray:
        pipe.send_bytes(number.to_bytes(4, "little"))
        pipe.send_bytes(np.ascontiguousarray(np.atleast_2d(rows), dtype=bool).tobytes())
        return np.frombuffer(pipe.recv_bytes(), dtype=np.float64)

    empty = play(np.zeros((1, n)))[0]
    return lambda rows: play(rows) - empty


def estimates(make: Any, game: dict[str, Any], budget: int, seeds: int, order: int) -> list[list[float]] | str:
    """Of every seed, the values of single features or of pairs; or what the estimator says where it cannot."""
    found = []
    for seed in range(seeds):
        try:
            answer = make(game["n"], seed).approximate(budget, game["play"])
            each = combinations(range(game["n"]), order)
            found.append([float(answer[one]) for one in each])
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return found


def at_budgets(make: Any, game: dict[str, Any], seeds: int, order: int) -> dict[str, Any]:
    """The estimates at each of the game's budgets, and the seconds of one seed at each."""
    out: dict[str, Any] = {"seconds": {}}
    for budget in game["budgets"]:
        started = time.process_time()
        out[str(budget)] = estimates(make, game, budget, seeds, order)
        out["seconds"][str(budget)] = (time.process_time() - started) / seeds
    return out


def main() -> None:
    warnings.simplefilter("ignore")
    descriptor, given, answers = sys.argv[1:]
    asked = json.loads(given)
    out: dict[str, Any] = {"version": shapiq.__version__, "values": {}, "pairs": {}}
    with Connection(int(descriptor)) as pipe:
        games = [{**game, "play": game_of(pipe, i, game["n"])} for i, game in enumerate(asked["games"])]
        for kind, order, table in (("values", 1, VALUES), ("pairs", 2, PAIRS)):
            for name, make in table.items():
                label = name if isinstance(name, str) else " ".join(name)
                started = time.perf_counter()
                wanted = [game for game in games if order == 1 or game["pairs"]]
                out[kind][label] = [at_budgets(make, game, asked["seeds"], order) for game in wanted]
                print(label, round(time.perf_counter() - started, 1), "s", file=sys.stderr, flush=True)
    with open(answers, "w", encoding="utf-8") as file:
        json.dump(out, file)


if __name__ == "__main__":
    main()
