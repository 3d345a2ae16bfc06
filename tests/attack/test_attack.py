"""The attacks of `python -m benchmarks.attack`, with a small budget: each area holds against hostile texts, options and files."""

from __future__ import annotations

import pytest
from benchmarks.attack import AREAS, tried

BUDGET = {"texts": 25, "command": 40, "explanation files": 60}


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
@pytest.mark.parametrize("name", list(AREAS))
def test_nothing_but_an_error_in_words_comes_out(name):
    count, failed = tried(AREAS[name], BUDGET.get(name, 80))
    assert count >= 20
    assert not failed, f"{len(failed)} of {count}, the first: {failed[0]!r:.600}"
