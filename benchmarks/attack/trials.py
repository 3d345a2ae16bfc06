"""What a trial is: what is tried, what must hold of it, and the explainers that the trials share."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import saywhy
from saywhy.core.errors import SaywhyError

TEXT = "a (good) film, not bad"


class Area(NamedTuple):
    """What is tried, and what must hold of it: `check` raises AssertionError, or anything else that should not come out."""

    trials: st.SearchStrategy[Any]
    check: Callable[[Any], None]


def only_ours(call: Callable[[], Any]) -> Any:
    """What the call returns, or the error of saywhy's own that it raised, which is one line without control characters."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return call()
    except SaywhyError as error:
        message = str(error)
        assert message.strip()
        assert message.isprintable(), message
        return error


@functools.cache
def counting() -> saywhy.Explainer:
    """A function of the texts: how long they are, and how many of their letters are an a."""
    return saywhy.Explainer(
        lambda texts: np.array([[len(t), t.count("a")] for t in texts], float), labels=["long", "a"]
    )


@functools.cache
def demo() -> saywhy.Explainer:
    """The small model in the package."""
    return saywhy.Explainer()


@functools.cache
def scratch() -> Path:
    """A folder for what is written, gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="saywhy-attack-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def tried(area: Area, trials: int) -> tuple[int, list[tuple[Any, BaseException]]]:
    """How many trials were made, and those that failed with what came out."""
    failed: list[tuple[Any, BaseException]] = []
    count = 0

    @settings(max_examples=trials, deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(area.trials)
    def every(trial: Any) -> None:
        nonlocal count
        count += 1
        try:
            area.check(trial)
        except Exception as error:
            failed.append((trial, error))

    before = Path.cwd()
    os.chdir(scratch())  # a wrong option may be a fine name of a file
    try:
        every()
    finally:
        os.chdir(before)
    return count, failed
