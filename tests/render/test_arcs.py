"""Pairs as arcs over the words: which are drawn, where, how thick and in which colour; and `saywhy explain --pairs`."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from render_samples import explained
from saywhy.cli.app import app
from saywhy.core.explanation import Explanation, Interactions
from saywhy.render import arcs, figure, html, terminal


def paired(text: str, scores: dict[tuple[int, int], float], error: float | None = 0.01) -> Explanation:
    n = len(text.split())
    every = list(combinations(range(n), 2))
    found = np.array([scores.get(pair, 0.0) for pair in every])
    errors = None if error is None else {"SII": np.full(len(every), error)}
    more: dict[str, Any] = {"interactions": Interactions({"SII": found}, errors)}
    return explained(text, [1.0] + [0.1] * (n - 1), **more)


NOT_BAD = paired("not bad at all", {(0, 1): -1.9, (1, 3): 0.5, (0, 2): 0.05, (2, 3): 0.2})


def test_only_pairs_that_stand_out_are_told() -> None:
    assert [p.indexes for p in arcs.told(NOT_BAD, 1.0)] == [
        (0, 1),
        (1, 3),
        (2, 3),
    ]  # 0.05 is below a tenth of the scale
    doubtful = paired("not bad at all", {(0, 1): -1.9, (1, 3): 0.5}, error=0.3)
    assert [p.indexes for p in arcs.told(doubtful, 1.0)] == [(0, 1)]  # 0.5 is within two standard errors
    assert arcs.told(explained("a b"), 1.0) == []
    assert arcs.fragment(explained("a b"), 1.0) == ""
    assert "saywhy-arcs" not in html.fragment(explained("a b")).partition("</style>")[2]


def test_arcs_go_from_word_to_word() -> None:
    drawn = arcs.fragment(NOT_BAD, 1.0)
    texts = re.findall(r'<text x="([\d.]+)" y="[\d.]+" textLength="([\d.]+)"[^>]*>(.*?)</text>', drawn)
    assert [word for _, _, word in texts] == ["not", "bad", "at", "all"]
    middles = [float(x) + float(wide) / 2 for x, wide, _ in texts]
    paths = re.findall(
        r'class="saywhy-arc-(\w+)" stroke-width="([\d.]+)" d="M([\d.]+) [\d.]+C.* ([\d.]+) [\d.]+"/>',
        drawn.replace("<path", "\n<path"),
    )
    found = {(kind, round(float(a), 1), round(float(b), 1)): float(thick) for kind, thick, a, b in paths}
    expected = {
        (kind, round(middles[i], 1), round(middles[j], 1))
        for kind, i, j in (("down", 0, 1), ("up", 1, 3), ("up", 2, 3))
    }
    assert set(found) == expected
    assert max(found, key=found.__getitem__)[0] == "down"  # the strongest is the thickest
    assert "not + bad −1.900 ± 0.010" in drawn
    assert 'aria-label="not + bad −1.9 ± 0.01; bad + all +0.5 ± 0.01; at + all +0.2 ± 0.01"' in drawn


def test_of_a_long_text_only_the_words_of_pairs_stand_there() -> None:
    long = paired(" ".join(f"word{i}" for i in range(30)), {(3, 4): 2.0, (4, 20): -1.0})
    assert arcs.row(long, arcs.told(long, 1.0)) == [None, 3, 4, None, 20, None]
    first_and_last = paired(" ".join(f"word{i}" for i in range(30)), {(0, 29): 2.0})
    assert arcs.row(first_and_last, arcs.told(first_and_last, 1.0)) == [0, None, 29]
    words = re.findall(r"<text[^>]*>(.*?)</text>", arcs.fragment(long, 1.0))
    assert words == ["…", "word3", "word4", "…", "word20", "…"]


def test_words_are_escaped_and_wide_ones_have_room() -> None:
    hostile = paired("<b> 日本語", {(0, 1): 2.0}, error=None)
    drawn = arcs.fragment(
        explained(
            "<b> 日本語", [1, 1], features=hostile.features[-2:], interactions=Interactions({"SII": np.array([2.0])})
        ),
        1.0,
    )
    assert "<b>" not in drawn
    assert 'textLength="50.4"' in drawn  # three letters of two cells


def test_pictures_have_arcs_too() -> None:
    picture = figure.svg(NOT_BAD)
    assert len(re.findall(r'<g id="arc(?:_\d+)?">', picture)) == 3
    assert picture.count("stroke-dasharray") == 1  # what lowers is dashed
    assert 'id="arc' not in figure.svg(explained("a b"))


def test_the_table_of_pairs() -> None:
    lines = terminal.pair_table(NOT_BAD, 3).split("\n")
    assert lines[0] == "Pairs: what two do together beyond what each does alone, in logit"
    assert lines[1].split() == ["not", "+", "bad", "-1.900", "±", "0.010", "(0,", "1)"]
    assert len(lines) == 4


def test_the_command_lists_pairs() -> None:
    done = CliRunner().invoke(app, ["explain", "not bad at all", "--pairs", "--trust", "none"])
    assert done.exit_code == 0, done.output
    assert "kernel_shap" in done.output
    assert done.output.rindex("not + bad") > done.output.index("Pairs: what two do together")
    exact = CliRunner().invoke(
        app, ["explain", "not bad at all", "--pairs", "--method", "shapley_values", "--trust", "none"]
    )
    assert exact.exit_code == 0
    assert exact.output.partition("Pairs:")[2] == done.output.partition("Pairs:")[2]
    refused = CliRunner().invoke(app, ["explain", "not bad", "--pairs", "--method", "libra"])
    assert refused.exit_code == 2
    assert "kernel_shap and shapley_values" in " ".join(re.sub("[│╭╮╰╯─]", " ", refused.output).split())


@pytest.mark.parametrize("format", ["json", "html"])
def test_pairs_are_in_files(format: str) -> None:
    done = CliRunner().invoke(app, ["explain", "not bad at all", "--pairs", "--trust", "none", "--format", format])
    assert done.exit_code == 0
    assert ("saywhy-arcs" if format == "html" else '"pairs"') in done.stdout
    assert "Pairs: what two" not in done.stdout
