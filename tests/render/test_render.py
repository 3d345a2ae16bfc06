"""What all renderings share, the terminal, and the golden files.

The golden files are written again by `python tests/test_render.py --update`; look at the difference before keeping it.
"""

from __future__ import annotations

import io
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from render_samples import ALL, HOLES, HOSTILE, LONG, MANY, NOTHING, ONE, PAIR, SCORES, TARGETS, ZERO, explained
from saywhy.core.explanation import Explanation, Explanations
from saywhy.core.types import Feature
from saywhy.render import content as pieces
from saywhy.render import figure, html, terminal
from saywhy.render import theme as colors

pytestmark = pytest.mark.filterwarnings("error")
GOLDEN = Path(__file__).parent / "golden"
every = pytest.mark.parametrize("what", ALL)
single = pytest.mark.parametrize("e", [e for e in ALL if isinstance(e, Explanation)])


def skeleton(svg: str) -> str:
    """Where the letters, boxes and rules of a picture are; without the outlines, which differ between font engines."""
    out = []
    for group in ET.fromstring(svg, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))).iter(
        "{http://www.w3.org/2000/svg}g"
    ):
        name, first = group.get("id", ""), group[0] if len(group) else None
        if name.startswith("text_") and first is not None:
            x, y = re.findall(r"translate\((\S+) (\S+)\)", ET.tostring(group, "unicode"))[0]
            out.append(f"letters {float(x):.1f} {float(y):.1f} {(first.text or '').strip()}")
        elif first is not None and first.tag.endswith("path") and not name.startswith("patch"):
            at = " ".join(f"{float(n):.1f}" for n in re.findall(r"-?[\d.]+", first.get("d", "")))
            out.append(f"{re.sub('_[0-9]+', '', name)} {at} {re.sub('; stroke-line.*', '', first.get('style', ''))}")
    return "\n".join(out) + "\n"


def golden() -> dict[str, str]:
    styleless = re.sub(r"(?s)<style>.*?</style>", "<style></style>", html.fragment(PAIR))
    texts: dict[str, Explanation | Explanations] = {"one.txt": ONE, "targets.txt": TARGETS, "many.txt": MANY}
    drawn = {name: terminal.plain(what) + "\n" for name, what in texts.items()}
    return {**drawn, "pair.html": styleless + "\n", "one.svg.txt": skeleton(figure.svg(ONE))}


@pytest.mark.parametrize("name", ["one.txt", "targets.txt", "many.txt", "pair.html"])
def test_golden(name: str) -> None:
    assert golden()[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_golden_picture() -> None:
    """To a point: how wide a letter is differs a little between font engines."""
    number = r"(?<![#\w.])-?\d+\.\d\b"
    ours, theirs = golden()["one.svg.txt"], (GOLDEN / "one.svg.txt").read_text(encoding="utf-8")
    assert re.sub(number, "0", ours) == re.sub(number, "0", theirs)
    places = [[float(x) for x in re.findall(number, drawn)] for drawn in (ours, theirs)]
    assert len(places[0]) > 400
    np.testing.assert_allclose(places[0], places[1], atol=1)


@single
def test_pieces_are_the_text_and_every_feature_is_somewhere_once(e: Explanation) -> None:
    parts = pieces.parts(e)
    assert {part.name: "".join(text for text, _ in part.pieces) for part in parts if part.pieces} == dict(e.texts)
    assert sorted(i for part in parts for i in [*part.loose, *(i for _, i in part.pieces if i is not None)]) == list(
        range(len(e.features))
    )
    for part in parts:
        for text, i in part.pieces:
            assert i is None or text == e.texts[part.name][slice(*(e.features[i].span or ()))]


def test_spans_that_overlap_repeat_or_reach_outside_lose_no_feature() -> None:
    spans = [(0, 3), (2, 5), (2, 5), (9, 4), (4, 99), (50, 60)]
    [part] = pieces.parts(explained(features=tuple(Feature("x", span) for span in spans), texts={"text": "abcdefgh"}))
    assert part.pieces == [("abc", 0), ("de", 1), ("fgh", 4)]
    assert part.loose == [2, 3, 5]


def test_excerpt_keeps_what_is_asked_for_and_marks_what_is_not() -> None:
    [part] = pieces.parts(LONG)
    cut = pieces.excerpt(part.pieces, [300, 301, 600], around=20)
    text = "".join(t for t, _ in cut)
    kept = {i for _, i in cut if i is not None}
    assert {300, 301, 600} <= kept
    assert 5 < len(kept) < 20
    assert text.startswith("… w")
    assert text.endswith(" …")
    assert text.count("…") == 3
    assert set(re.findall("w[0-9]+", text)) <= set(LONG.words)  # cut between words


@pytest.mark.parametrize("limit", [3e-12, 0.00123, 0.0999, 0.1, 0.999, 1.0, 12.3, 123.4, 99999.0, 5e6, 2e9])
def test_the_largest_number_of_a_column_keeps_three_digits(limit: float) -> None:
    shown = pieces.signed(limit, pieces.spec(limit))
    assert shown.startswith("+")
    assert float(shown) == pytest.approx(limit, rel=5e-3)
    assert len(shown) < 10


def test_numbers_near_zero_have_no_misleading_sign() -> None:
    assert (pieces.amount(-1e-9, ".3f"), pieces.amount(-0.5, ".3f"), pieces.amount(-np.inf, ".3f")) == (
        "0.000",
        "-0.500",
        "-inf",
    )
    assert (pieces.signed(0.0, ".3f"), pieces.signed(-1e-9, ".3f")) == ("0.000", "0.000")
    assert (pieces.signed(1e-9, ".3f"), pieces.signed(-0.001, ".3f"), pieces.signed(0.0, ".2e")) == (
        "0.000",
        "-0.001",
        "0.00e+00",
    )


def test_one_scale_for_explanations_of_one_input_and_unit() -> None:
    others = [
        explained("a b", [1, -3]),
        explained("a b", [2, 0], "Z"),
        explained("a b", [9, 0], unit="prob"),
        explained("a c", [7, 8]),
    ]
    assert pieces.limits(others) == [3.0, 3.0, 9.0, 8.0]
    assert pieces.limits([HOLES, explained()]) == [1.0, 0.0]


@pytest.mark.parametrize("palette", [colors.LIGHT, colors.DARK])
def test_ink_is_readable_on_every_shade(palette: colors.Palette) -> None:
    assert colors.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colors.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # a known pair that just fails
    assert min(colors.contrast(palette.ink, colors.shade(t, 1, palette)) for t in np.linspace(-1, 1, 201)) >= 4.5
    assert colors.contrast(palette.muted, palette.paper) >= 4.5
    assert min(colors.contrast(strong, palette.paper) for strong in (palette.strong_up, palette.strong_down)) >= 3
    assert colors.shade(0.0, 1.0, palette) == colors.shade(3.0, 0.0, palette) == palette.paper


def test_terminal_colours_are_readable_on_dark_and_light() -> None:
    for behind in (colors.BEHIND_UP, colors.BEHIND_DOWN):
        backs = [colors.blend(*behind, t) for t in np.linspace(0, 1, 51)]
        assert min(colors.contrast(colors.ink_on(back), back) for back in backs) >= 4.5
    for letters in (colors.LETTERS_UP, colors.LETTERS_DOWN):
        assert min(colors.contrast(letters, ground) for ground in ("#ffffff", "#000000", "#282c34", "#fdf6e3")) >= 3


# Machado, Oliveira and Fernandes 2009, severity 1: what is seen without red or green cones.
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("palette", [colors.LIGHT, colors.DARK])
def test_up_is_bluer_than_down_for_colour_blind_readers(kind: str, palette: colors.Palette) -> None:
    def blueness(color: str) -> float:
        red, green, blue = np.array(BLIND[kind]) @ (np.array(colors.channels(color)) / 255) ** 2.2
        return float(blue - (red + green) / 2)

    for t in (0.3, 1.0):
        assert blueness(colors.shade(t, 1, palette)) - blueness(colors.shade(-t, 1, palette)) > 0.05


# --- terminal


def shown(what: Explanation | Explanations, top: int | None = None, **options: Any) -> str:
    out = io.StringIO()
    settings: dict[str, Any] = {
        "width": 100,
        "color_system": "truecolor",
        "force_terminal": True,
        "_environ": {},
    } | options
    terminal.show(what, Console(file=out, **settings), top)
    return out.getvalue()


@every
def test_plain_text_is_narrow_short_and_without_control_characters(what: Explanation | Explanations) -> None:
    text = str(what)
    assert max(map(cell_len, text.split("\n"))) <= 100
    assert len(text.split("\n")) < 75
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)


def test_sign_is_told_without_colour() -> None:
    for e, text in ((ONE, terminal.plain(ONE)), (ONE, shown(ONE, no_color=True, color_system=None))):
        rows = [line for line in text.split("\n") if "│" in line]
        assert len(rows) == len(e.features)
        for line in rows:
            i, score = int(line.split()[0]), line.split()[2]
            left, right = line.split("│")
            assert score == pieces.signed(e.scores[i], ".3f")
            assert bool(set("█▐") & set(left)) == (e.scores[i] < -0.04)
            assert bool(set("█▌") & set(right)) == (e.scores[i] > 0.03)


def test_no_color_leaves_no_colour() -> None:
    assert re.search(r"\x1b\[[0-9;]*[34]8;2;", shown(ONE))
    assert not re.search(r"\x1b\[[0-9;]*[34]8;", shown(ONE, _environ={"NO_COLOR": "1"}))


def test_strong_words_have_a_background_and_zero_has_none() -> None:
    red, green, blue = colors.channels(colors.BEHIND_UP[1])
    assert f"48;2;{red};{green};{blue}mlove\x1b[0m" in shown(ONE)
    assert "48;2;" not in shown(ZERO)


def test_markup_and_escapes_are_shown_not_obeyed() -> None:
    text = shown(HOSTILE, color_system=None)
    assert "[bold]x[/bold] \\x1b[31mred\\x1b[0m \\u202eevil\\u202c $a_b$ \\ud800 \\r\\x07" in text
    assert "\x1b" not in text


def test_a_console_without_unicode_is_served() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    terminal.show(MANY, Console(file=stream, width=100, _environ={}))
    stream.flush()
    assert b"\\u0647" in raw.getvalue()
    assert b"The model says POSITIVE (97.3%)" in raw.getvalue()


@pytest.mark.parametrize("top", [0, 1, 3, 99])
def test_rows_and_the_rest_add_up(top: int) -> None:
    rows = re.findall(r"^ +(?:\d+|…) +(\d+ more|\S+) +(\S+)", shown(ONE, top, color_system=None), re.MULTILINE)
    rows = [row for row in rows if re.fullmatch(r"[+-]?\d\.\d{3}", row[1])]
    assert len(rows) == min(top + 1, 10)
    assert sum(float(score) for _, score in rows) == pytest.approx(sum(SCORES), abs=0.006)


def test_the_closing_lines_say_what_adds_up_and_what_changes() -> None:
    assert "-> NEGATIVE without it" in str(ONE)
    assert str(ONE).count("without it") == 1
    assert f"value 2.500 = base -0.500 + scores {sum(SCORES):.3f} + gap 2.590 (77.3% of the sum of |scores|)" in str(
        ONE
    )
    assert "Note: 200 sampled orders." in str(ONE)
    assert "212 model inputs in 7 calls, 10 gradients in 1 backward call, 0.83 s" in str(ONE)
    assert "the scores of this method need not add up" in " ".join(str(PAIR).split())
    assert "gap nan" in str(HOLES)
    assert "gap 3.000\n" in str(ZERO) + "\n"
    assert str(NOTHING) == "No explanations."


if __name__ == "__main__" and sys.argv[1:] == ["--update"]:
    GOLDEN.mkdir(exist_ok=True)
    for file, content in golden().items():
        (GOLDEN / file).write_text(content, encoding="utf-8", newline="\n")
