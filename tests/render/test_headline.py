"""The first sentence, the badge of trust beside it, and how pale a page is."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from render_samples import ALL, MANY, ONE, PAIR, TARGETS, ZERO, explained
from saywhy.core.explanation import Explanation, Explanations, Trust
from saywhy.render import content, figure, headline, html, terminal, theme

LOW = Trust("low", "the scores are not clearly better than random removal: removing the word …", {})
HIGH = Trust("high", "removing the word …", {})


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([4, 1, 1], "mostly because of 'a'"),
        ([4, 3, 1], "mostly because of 'a' and 'b'"),
        ([4, 1, 1, 1, 1, 1], "above all because of 'a'"),
        ([1] * 20, "because of many words, most of all 'a', 'b' and 'c'"),
        ([4, -1, 1], "mostly because of 'a'"),
        ([4, -3, 1], "mostly because of 'a', although 'b' speaks against it"),
        ([-4, -3, -1], "although 'a' and 'b' speak against it"),
        ([-4, -1, -1], "although 'a' speaks against it"),
    ],
)
def test_the_sentence_names_what_is_most_of_it(scores: list[float], said: str) -> None:
    e = explained(" ".join("abcdefghijklmnopqrst"[: len(scores)]), scores)
    assert headline.headline(e) == f"The model says POSITIVE (97.3%), {said}."


def test_a_sentence_says_only_what_is_so() -> None:
    assert headline.headline(ZERO) == "The model says POSITIVE (97.3%); no score differs from zero."
    other = explained("a b", [2, -1], label="NEGATIVE")
    assert headline.headline(other) == (
        "The model says POSITIVE (97.3%). NEGATIVE is raised most by 'a' and lowered most by 'b'."
    )
    alone = explained("a b", [2, -1], label="length", unit="score", prediction=None, value=-3.25)
    assert headline.headline(alone) == "length is -3.250 score, raised most by 'a' and lowered most by 'b'."
    doubted = explained("a b", [2, -1], trust=LOW)
    assert headline.headline(doubted) == (
        "The model says POSITIVE (97.3%). Which words matter is not clear: the scores are not clearly better than random "
        "removal."
    )
    assert headline.headline(explained("x x y", [1, 1, 0])).endswith("mostly because of 'x'.")  # a word once
    assert len(headline.headline(explained(features=ONE.features[:1], scores=[1], prediction="p" * 500))) < 120


def test_the_sentences_over_several() -> None:
    assert headline.group_headline(TARGETS.items).startswith("The model says POSITIVE (97.3%). 3 targets")
    two = [explained("a b", [1, 0]), explained("a b", [1, 0], method="occlusion")]
    said = "The model says POSITIVE (97.3%). 2 methods explain POSITIVE"
    assert headline.group_headline(two) == f"{said}, and both find 'a' the strongest."
    third = explained("a b", [0.1, -3], method="kernel_shap")
    assert headline.group_headline([*two, third]).endswith(
        "3 methods explain POSITIVE, and 2 of them find 'a' the strongest."
    )
    assert headline.group_headline([two[0], third]) == f"{said}, and no two of them find the same one the strongest."
    assert headline.group_headline([two[0], explained("b a", [1, 0], method="occlusion")]) == f"{said}."  # other words
    own = [explained("a b", [0, 1], "NEGATIVE"), explained("a b", [1, 0])]
    assert headline.group_headline(own) == headline.headline(own[1])
    inputs = [[explained("a")], [explained("b")], [explained("c", prediction="NEGATIVE")]]
    assert headline.count_headline(inputs) == "3 inputs: the model says POSITIVE for 2 and NEGATIVE for 1."
    assert headline.count_headline(inputs[:2]) == "2 inputs: the model says POSITIVE for all of them."


@pytest.mark.parametrize("what", ALL)
def test_the_sentence_is_first_everywhere(what: Explanation | Explanations) -> None:
    items = content.listed(what)
    groups = content.groups(items)
    first = (
        headline.count_headline(groups)
        if len(groups) > 1
        else headline.headline(items[0])
        if len(items) == 1
        else headline.group_headline(items)
    )
    plain = " ".join(str(what).split())
    assert plain.startswith(" ".join(content.label(first).split())[:60])
    page = html.page(what)
    title = re.findall(r'aria-level="1" dir="auto">(.*?)</div>', page)
    assert len(title) == 1  # one heading of the first level
    assert headline.spoken(content.label(first))[:20].split("&")[0].split("'")[0].split("<")[0] in title[0]


def test_the_badge_is_told_by_word_mark_and_colour() -> None:
    for trust, kind in ((HIGH, "high"), (LOW, "low"), (None, "unknown")):
        e = explained("a b", [2, -1], trust=trust)
        badge = headline.badge(e)
        assert badge.kind == kind
        assert f'<span class="saywhy-badge saywhy-{kind}">{badge.text}</span>' in html.fragment(e)
        assert badge.text.split()[-1] in " ".join(re.findall("<!-- (.*?) -->", figure.svg(e)))
    assert "✓ trust: high" in str(explained("a b", [2, -1], trust=HIGH))
    assert len({b.mark for b in headline.BADGES.values()}) == 4
    mixed = Explanations((explained("a", [1], trust=HIGH), explained("b", [1], trust=LOW)))
    assert html.fragment(mixed).count('class="saywhy-badge saywhy-') == 2  # each its own, and none over both
    for palette in (theme.LIGHT, theme.DARK):
        for fill in (palette.strong_up, palette.strong_down):
            assert theme.contrast(fill, palette.paper) >= 4.5


def strongest(page: str) -> float:
    """The strongest colour behind a word of a page, from 0 to 1."""
    return max(float(a) for a in re.findall(r'saywhy-word saywhy-\w+" style="--saywhy-a:([\d.]+)"', page))


@pytest.mark.parametrize(("unit", "least"), [("logit", 0.25), ("prob", 0.0625), ("log-prob", 0.25)])
def test_tiny_scores_are_pale_where_the_model_hardly_moves(unit: str, least: float) -> None:
    tiny = explained("a b", [0.02, -0.01], unit=unit, value=0.53, base=0.5)
    page = html.fragment(tiny)
    assert strongest(page) == pytest.approx(0.02 / least, abs=1e-3)
    assert "The colours are pale, because the largest score (0.0200) is small in this unit." in page
    assert "+0.0200" in page
    plain = html.fragment(explained("a b", [2 * least, -least], unit=unit, value=0.5 + least, base=0.5))
    assert 'style="--saywhy-a:1.000"' in plain
    assert "The colours are pale" not in plain
    assert content.colour_end(0.0, tiny) == 0.0
    unknown = explained("a b", [0.01], unit="score", value=0.51, base=0.5)
    assert content.colour_end(0.01, unknown) == 0.01  # a unit of which nothing is known


@pytest.mark.parametrize("unit", ["logit", "prob", "score"])
def test_scores_are_pale_beside_what_the_model_moves(unit: str) -> None:
    """The scale ends no lower than at a twentieth of the movement, whichever shows more of it: both ends, or the check."""
    far = explained("a b", [0.1, -0.05], unit=unit, value=8.0, base=-2.0)
    page = html.fragment(far)
    assert strongest(page) == pytest.approx(0.1 / (10 / 20), abs=1e-3)
    largest, moved = (content.amount(x, content.spec(x)) for x in (0.1, 10.0))
    assert f"the largest score ({largest}) is small beside what the model was seen to move ({moved})." in page
    near = explained("a b", [0.1, -0.05], unit=unit, value=0.5, base=0.0)
    assert strongest(html.fragment(near)) == 1.0  # a fifth of all that the model moves is much
    told = Trust("low", "the scores do no better than random removal: it fell by 4", {"reaction": 4.0})
    checked = replace(near, trust=told)
    assert strongest(html.fragment(checked)) == pytest.approx(0.1 / (4 / 20), abs=1e-3)
    assert content.movement(replace(far, value=float("nan"))) == 0.0
    assert "pale" not in html.fragment(explained("a b", [9.0, 0.4], unit=unit, value=8.0, base=-2.0))


@pytest.mark.parametrize("width", [24, 40, 60, 80])
@pytest.mark.parametrize("what", ALL)
def test_the_terminal_fits_its_width_and_cuts_no_number(what: Explanation | Explanations, width: int) -> None:
    out = io.StringIO()
    settings: dict[str, Any] = {"width": width, "color_system": None, "_environ": {}}
    terminal.show(what, Console(file=out, **settings))
    lines = out.getvalue().split("\n")
    assert max(cell_len(line.rstrip()) for line in lines) <= width
    assert not re.search(r"[+-]\d*\.\d*…", out.getvalue())


def test_a_narrow_table_leaves_out_bars_before_places() -> None:
    def drawn(width: int) -> str:
        out = io.StringIO()
        terminal.show(ONE, Console(file=out, width=width, color_system=None, _environ={}))
        return out.getvalue()

    assert "█" in drawn(80)
    assert "█" not in drawn(44)
    assert "#" in drawn(44)
    assert "#" not in drawn(30)
    assert "+1.250" in drawn(30)


def test_the_numbers_are_explained_where_they_stand() -> None:
    page = html.fragment(ONE)
    assert "also called the baseline value" in page
    assert "everything absent (here by mask)" in page
    assert "completeness gap" in page
    assert headline.UNITS["logit"][:40] in page
    assert "completeness gap" not in html.fragment(PAIR)  # its method promises none
    assert [page.count(f">{name}</dd>") for name in headline.ENDS.values()] == [1] * 4


def test_a_page_switches_its_scheme_without_a_script_and_unfolds_on_paper() -> None:
    page = html.page(ONE)
    assert '<input type="checkbox" id="saywhy-scheme">' in page
    assert "<script" not in page
    assert ":root:has(#saywhy-scheme:checked) .saywhy-box" in page
    assert "details::details-content { content-visibility:visible" in page
    assert "saywhy-scheme" not in re.sub(r"(?s)<style>.*?</style>", "", html.fragment(MANY))  # a notebook has its own


def test_numbers_in_sentences_have_one_minus() -> None:
    assert headline.spoken("from -0.5 to -.3, a-1, T5-small, 3-4, x=-2") == "from −0.5 to −.3, a-1, T5-small, 3-4, x=−2"


def test_many_targets_are_one_table_in_a_picture() -> None:
    letters = re.findall("<!-- (.*?) -->", figure.svg(TARGETS))
    assert letters.count("joy") == letters.count("anger") == 1
    assert letters.count("love") == 2  # in the text, and in its row
    cells = re.findall(r'<g id="cell-(\d+)-(\d+)">', figure.svg(TARGETS))
    assert len(cells) == 3 * 10
    np.testing.assert_array_equal(sorted({int(i) for i, _ in cells}), range(10))
    assert letters.count("+1.250") == 3
