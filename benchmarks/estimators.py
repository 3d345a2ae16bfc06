"""Estimators of Shapley values on the same games at equal budgets: saywhy's, shap's and Captum's here, shapiq's in its own interpreter."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import shap
import torch
from captum.attr import KernelShap, ShapleyValueSampling

from benchmarks.games import Game, answered, away, covered, problem_of
from saywhy.core.types import Scores
from saywhy.methods import METHODS

COVERED, STRONGEST = "covered", "strongest pair right"
PAIR_HEADS = ["SII", "shapiq's best", "ratio", "FSII", "shapiq's best", "ratio", STRONGEST, COVERED]
PEER = Path(__file__).parent / "peers" / "shapiq_estimates.py"


def kernel_shap(game: Game, budget: int, seed: int, pairs: bool | None = None) -> Scores:
    """Our scores and standard errors, and the pairs."""
    return answered(
        METHODS["kernel_shap"].function(problem_of(game.n), budget=budget, seed=seed, pairs=pairs), game.play
    )


def regression(game: Game, budget: int, seed: int) -> Any:
    """Shapley values by kernel_shap, from 2 n + 2 rows on."""
    return kernel_shap(game, budget, seed).values[0] if budget >= 2 * game.n + 2 else None


def guided(game: Game, budget: int, seed: int) -> Any:
    """Shapley values by guided_shap, whose gradient passes are not counted here, for games that have gradients."""
    if game.text is None:
        return None
    explainer, text = game.text
    options = {"budget": budget, "seed": seed, "target": 1, "absent": "mask", "trust": "none", "progress": False}
    return explainer(text, method="guided_shap", **options).scores


def sampling(game: Game, budget: int, seed: int) -> Any:
    """Shapley values from an even number of whole orders."""
    orders = budget // game.n // 2 * 2
    asking = METHODS["shapley_sampling"].function(problem_of(game.n), permutations=orders, seed=seed)
    return answered(asking, game.play).values[0] if orders else None


def shaps(game: Game, budget: int, seed: int) -> Any:
    np.random.seed(seed)
    explainer = shap.KernelExplainer(game.play, np.zeros((1, game.n)))
    settings = {"nsamples": budget, "silent": True, "l1_reg": f"num_features({game.n})"}
    return explainer.shap_values(np.ones((1, game.n)), **settings)[0]


def captums(game: Game, budget: int, seed: int) -> Any:
    torch.manual_seed(seed)
    np.random.seed(seed)
    method = KernelShap(lambda rows: torch.as_tensor(game.play(rows)).float())
    return method.attribute(torch.ones(1, game.n), n_samples=budget, perturbations_per_eval=budget)[0]


def captums_sampling(game: Game, budget: int, seed: int) -> Any:
    if budget < game.n:
        return None
    torch.manual_seed(seed)
    method = ShapleyValueSampling(lambda rows: torch.as_tensor(game.play(rows)).float())
    return method.attribute(torch.ones(1, game.n), n_samples=budget // game.n, perturbations_per_eval=64)[0]


ESTIMATORS: dict[str, Callable[[Game, int, int], Any]] = {
    "saywhy kernel_shap": regression,
    "saywhy guided_shap": guided,
    "shap KernelExplainer": shaps,
    "Captum KernelShap": captums,
    "saywhy shapley_sampling": sampling,
    "Captum ShapleyValueSampling": captums_sampling,
}


def of_shapiq(
    python: str | None, games: Sequence[Game], budgets: Sequence[Sequence[int]], seeds: int
) -> dict[str, Any]:
    """What shapiq makes of the same games, each with budgets of its own, in an interpreter that asks this one; nothing without one.

    Estimators of pairs are tried where the right pairs are known. `seconds` are processor time of the estimator itself.
    """
    if python is None:
        return {"values": {}, "pairs": {}}
    asked = [{"n": g.n, "budgets": list(b), "pairs": bool(g.pairs)} for g, b in zip(games, budgets, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        given, answers = json.dumps({"games": asked, "seeds": seeds}), Path(folder) / "estimates.json"
        here, there = Pipe()
        command = [python, str(PEER), str(there.fileno()), given, str(answers)]
        with here, subprocess.Popen(command, pass_fds=[there.fileno()]) as process:
            there.close()
            _serve(here, games)
        if process.returncode:
            raise RuntimeError(f"{PEER.name} ended with status {process.returncode}")
        found: dict[str, Any] = json.loads(answers.read_text(encoding="utf-8"))
    return found


def _serve(asking: Any, games: Sequence[Game]) -> None:
    """Answers coalitions until the other side hangs up: the number of a game, then its rows."""
    while True:
        try:
            game = games[int.from_bytes(asking.recv_bytes(), "little")]
            rows = np.frombuffer(asking.recv_bytes(), dtype=bool).reshape(-1, game.n)
        except EOFError:
            return
        asking.send_bytes(game.play(rows).astype(np.float64).tobytes())


def errors(games: Sequence[Game], budget: int, seeds: int, peer: dict[str, Any]) -> dict[str, list[float]]:
    """Each estimator's errors over games and seeds at one budget, and how many right values kernel_shap's 95 % intervals cover."""
    found: dict[str, list[float]] = {name: [] for name in (*ESTIMATORS, *(f"shapiq {name}" for name in peer), COVERED)}
    for g, game in enumerate(games):
        for seed in range(seeds):
            for name, estimate in ESTIMATORS.items():
                estimated = estimate(game, budget, seed)
                found[name] += [] if estimated is None else [away(estimated, game.shapley)]
            if budget >= 2 * game.n + 2:
                own = kernel_shap(game, budget, seed)
                assert own.stderr is not None
                found[COVERED].append(covered(own.values[0], own.stderr[0], game.shapley))
        for name, told in peer.items():
            answer = told[g][str(budget)]
            found[f"shapiq {name}"] += [] if isinstance(answer, str) else [away(each, game.shapley) for each in answer]
    return found


def pair_errors(games: Sequence[Game], budget: int, seeds: int, peer: dict[str, Any]) -> dict[str, list[float]]:
    """The same for interactions of pairs, and how often the strongest pair is the right one."""
    found: dict[str, list[float]] = {"saywhy SII": [], "saywhy FSII": [], STRONGEST: [], COVERED: []}
    for g, game in enumerate(games):
        for seed in range(seeds):
            own = kernel_shap(game, budget, seed, pairs=True).pairs
            assert own is not None
            for index in ("SII", "FSII"):
                found[f"saywhy {index}"].append(away(own.values[index][0], game.pairs[index]))
            found[STRONGEST].append(float(own.values["SII"][0].abs().argmax() == game.pairs["SII"].abs().argmax()))
            found[COVERED].append(covered(own.values["SII"][0], own.stderr["SII"][0], game.pairs["SII"]))
        for name, told in peer.items():
            answer = told[g][str(budget)]
            if not isinstance(answer, str):
                right = game.pairs[name.split()[0]]
                found.setdefault(f"shapiq {name}", []).extend(away(each, right) for each in answer)
    return found


def medians(found: dict[str, list[float]]) -> dict[str, float]:
    """The median error of each estimator that gave any, and the mean of what is a share of hits."""
    shares = (COVERED, STRONGEST)
    return {k: statistics.mean(v) if k in shares else statistics.median(v) for k, v in found.items() if v}


def heads(peer: dict[str, Any]) -> list[str]:
    """What stands over `line`."""
    return [*ESTIMATORS, *(f"shapiq {name}" for name in peer["values"]), "error, ratio", COVERED]


def line(told: dict[str, float], names: Sequence[str]) -> list[str]:
    """The median errors of estimators, ours over the best of the peers', and the coverage, as the cells under `heads`."""
    others = [error for name, error in told.items() if name != COVERED and not name.startswith("saywhy")]
    cells = [f"{told[name]:.3f}" if name in told else "–" for name in names[:-2]]
    mine = told.get("saywhy kernel_shap")
    return [*cells, "–" if mine is None else ratio(mine, others), f"{told[COVERED]:.0%}" if COVERED in told else "–"]


def pair_line(told: dict[str, float]) -> list[str]:
    """For each index our median error, that of the best peer and their ratio; then the hits and the coverage."""
    cells = []
    for index in ("SII", "FSII"):
        mine, theirs = told[f"saywhy {index}"], [e for name, e in told.items() if name.startswith(f"shapiq {index}")]
        cells += [f"{mine:.3f}", f"{min(theirs):.3f}" if theirs else "–", ratio(mine, theirs)]
    return [*cells, f"{told[STRONGEST]:.0%}", f"{told[COVERED]:.0%}"]


def ratio(mine: float, others: list[float]) -> str:
    """Ours over the best of the others; a dash where there are none, or both are exact to rounding."""
    return f"{mine / min(others):.2f}" if others and max(mine, min(others)) >= 0.0005 else "–"
