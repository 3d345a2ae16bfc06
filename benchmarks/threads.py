"""Do many threads on one model give the serial answers, for every family of methods?

    python -m benchmarks.threads [--calls 10000] [--threads 8]

Eight methods with different ways of taking words away, on the model in the package left in train mode, from threads that share one
Explainer and threads that have one each. A call is wrong if its scores differ from the serial ones by more than 1e-5, or if it fails;
afterwards the model must be as it was.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

import saywhy

TEXTS = [
    "A dull, predictable mess",
    "not a bad film at all",
    "One of the best films of this year",
    "I love you, I like you",
]
ASKED: list[dict[str, Any]] = [
    {"method": "integrated_gradients", "steps": 4, "absent": "mask"},
    {"method": "input_x_gradient", "absent": "zero"},
    {"method": "libra", "absent": "pad"},
    {"method": "attn_lrp", "absent": "mask"},
    {"method": "occlusion", "absent": "hide"},
    {"method": "kernel_shap", "absent": "drop", "budget": 24},
    {"method": "attention_rollout", "absent": "mask"},
    {"method": "gradient_rollout", "absent": "mask"},
]


def state(module: Any) -> tuple[Any, ...]:
    """What a call could leave behind on a model: modes, weights that ask for gradients, hooks, the attention implementation."""
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())
    asks = sum(p.requires_grad for p in module.parameters())
    return sum(m.training for m in module.modules()), asks, hooks, module.config._attn_implementation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=8)
    given = parser.parse_args()
    first = saywhy.Explainer()
    inner, tokenizer = first.model.module, first.model.text_tokenizer
    with torch.no_grad():  # transformers leaves hooks of its own on a model that was asked for its attention once
        inner(**tokenizer(TEXTS[0], return_tensors="pt"), output_attentions=True, output_hidden_states=True)
    inner.train()
    explainers = [first, *(saywhy.Explainer(inner, tokenizer) for _ in range(given.threads // 2))]
    before = state(inner)
    serial = [[first(text, trust="none", **asked).scores for text in TEXTS] for asked in ASKED]

    def call(i: int) -> bool:
        m, t = i % len(ASKED), i // len(ASKED) % len(TEXTS)
        try:
            scores = explainers[i % len(explainers)](TEXTS[t], trust="none", **ASKED[m]).scores
        except Exception as error:
            print(f"{ASKED[m]['method']}: {type(error).__name__}: {error}")
            return False
        return bool(np.abs(scores - serial[m][t]).max() <= 1e-5)

    started = time.perf_counter()
    with ThreadPoolExecutor(given.threads) as pool:
        right = list(pool.map(call, range(given.calls)))
    spent = time.perf_counter() - started
    wrong = {asked["method"]: sum(not ok for ok in right[m :: len(ASKED)]) for m, asked in enumerate(ASKED)}
    print(f"{given.calls:,} calls from {given.threads} threads in {spent:.0f} s: {right.count(False)} wrong {wrong}")
    print("the model is as it was" if state(inner) == before else f"the model was changed: {before} -> {state(inner)}")


if __name__ == "__main__":
    main()
