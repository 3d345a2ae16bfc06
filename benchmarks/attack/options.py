"""Options of the public calls, each given what it is not meant to be."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

import saywhy
from saywhy import corpus

from .trials import TEXT, counting, demo, only_ours, scratch

WRONG = [
    *(None, True, 3, -1, 0, 2.5, float("nan"), float("inf"), 10**30, "", "²", "word\x1b[0m", "x" * 500, b"bytes", [], [1]),
    *([None], (), (1, 2, 3), {}, {1: 2}, {"a": None}, set(), object(), int, np.array([]), np.array([1, 2]), np.int64(3)),
    *(np.float32("nan"), np.array(["a"]), Path("/nonexistent"), 1j, slice(1), range(3), "\ud800"),
]  # fmt: skip

CALLS: dict[str, Callable[[str, Any], Any]] = {
    "explain": lambda name, value: counting()(TEXT, **{"trust": "none", name: value}),
    "explain a model": lambda name, value: demo()(TEXT, **{"trust": "none", "steps": 2, name: value}),
    "each_target": lambda name, value: counting().each_target(TEXT, **{"trust": "none", name: value}),
    "stream": lambda name, value: list(counting().stream([TEXT], **{name: value})),
    "compare": lambda name, value: saywhy.compare(
        counting(), [TEXT], **{"methods": ["occlusion"], "metrics": ["completeness_gap"], name: value}
    ),
    "corpus": lambda name, value: corpus.run(
        counting(), [{"text": TEXT}], tempfile.mkdtemp(dir=scratch()), **{"trust": "none", name: value}
    ),
}
NAMES = {
    "explain": ("method", "target", "against", "unit", "by", "absent", "overlong", "embedding", "trust", "progress"),
    "compare": (
        "methods",
        "metrics",
        "removals",
        "target",
        "unit",
        "by",
        "absent",
        "scores",
        "rationales",
        "seed",
        "resume",
    ),
    "corpus": (
        "text",
        "keep",
        "trust_share",
        "strict",
        "limit",
        "shard_rows",
        "cache",
        "engine",
        "gpus",
        "by",
        "method",
    ),
}
NAMES |= {"explain a model": NAMES["explain"], "each_target": (*NAMES["explain"], "targets")}
NAMES |= {"stream": NAMES["explain"][:-1]}


def check_option(trial: tuple[str, str, Any]) -> None:
    call, name, value = trial
    only_ours(lambda: CALLS[call](name, value))


options = st.sampled_from(sorted(CALLS)).flatmap(
    lambda call: st.tuples(st.just(call), st.sampled_from(NAMES[call]), st.sampled_from(WRONG))
)
