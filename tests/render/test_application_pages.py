"""The pages of applications by one hand: a sentence and a badge first, one palette, round ticks, one minus sign."""

from __future__ import annotations

import re

import numpy as np
import pytest

import saywhy
from saywhy.comparison import wording
from saywhy.llm import probe
from saywhy.llm.page import headline
from saywhy.render import content, theme
from tiny_lm import language_model

TEXTS = ["A dull, predictable mess", "One of the best films of this year", "not bad at all", "A wonderful end"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    methods = ["occlusion", "libra", "saliency", "random"]
    compared = saywhy.compare(saywhy.Explainer(), TEXTS, methods, progress=False)
    slots = {"name": ["Georg", "Ada"], "country": ["Togo", "Tonga"]}
    probed = probe(saywhy.Explainer(*language_model("Llama")), "{name} from {country} applied. They", slots, " lovely")
    compared.save(folder / "comparison.html")
    probed.save(folder / "probe.html")
    assert wording.sentences(compared)[0] in " ".join(str(compared).split())
    badge = wording.badge(compared)
    assert str(compared).startswith(f"{wording.sentences(compared)[0]}  {badge.text}\n") or badge is None
    assert str(probed).splitlines()[0] == f"{headline(probed)}  ✓ exact: every combination was asked"
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}


@pytest.mark.parametrize("name", ["comparison", "probe"])
def test_a_sentence_and_a_badge_come_first(pages: dict[str, str], name: str) -> None:
    body = re.sub(r"(?s)<style>.*?</style>|<header.*?</header>", "", pages[name].partition("<body>")[2])
    first = re.search(r"<h1>(.*?) <span class=\"badge (\w+)\">(.*?)</span></h1>", body)
    assert first is not None
    assert first[1].endswith(".")
    assert first[2] in ("high", "medium", "low", "unknown")
    assert not re.sub("<[^>]*>", "", body[: first.start()]).strip()
    assert "best by" in first[1] or "moves" in first[1]


@pytest.mark.parametrize("name", ["comparison", "probe"])
def test_numbers_have_the_true_minus_and_colours_are_the_palettes(pages: dict[str, str], name: str) -> None:
    body = re.sub(r"(?s)<style>.*?</style>", "", pages[name].partition("<body>")[2])
    cells = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", body)]
    assert any("−" in cell for cell in cells)
    assert not any(re.search(r"(?<![\w.])-\d", cell) for cell in cells)
    assert not re.search("background:#", body)  # by class and share, so that dark pages are dark
    assert ":root:has(#saywhy-scheme:checked)" in pages[name]
    assert "details::details-content" in pages[name]


def test_a_probes_sentence_is_its_largest_spread(pages: dict[str, str]) -> None:
    words = re.search(r"its log-prob is ([\d.]+) higher with", pages["probe"])
    effects = re.findall(
        r'<tr><th scope=row>(?:Georg|Ada)</th><td class="n [^>]*>([+−][\d.]+)</td></tr>', pages["probe"]
    )
    numbers = [float(x.replace("−", "-")) for x in effects]
    assert words is not None
    assert float(words[1]) == pytest.approx(max(numbers) - min(numbers), abs=6e-3)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (-3.7, 0.0, 4, [-3, -2, -1, 0]),
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.03, 0.047, 5, [-0.02, 0, 0.02, 0.04]),
        (120, 480, 4, [200, 300, 400]),
        (0, 1e-7, 2, [0, 5e-8, 1e-7]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, expected: list[float]) -> None:
    np.testing.assert_allclose(content.ticks(low, high, most), expected, atol=1e-12 * (high - low))


def test_ticks_of_nothing() -> None:
    assert content.ticks(2.0, 2.0) == [2.0]
    assert content.ticks(0.0, float("nan")) == [0.0]
    assert content.ticks(float("nan"), 1.0) == []


def test_the_furniture_reaches_only_its_own_element() -> None:
    css = re.sub(r"@media ?[^{]*\{", "", theme.furniture(".sw-x"))
    for selectors, _ in re.findall(r"([^{}]+)\{([^{}]*)\}", css):
        assert all(re.search(r"\.sw-x\b", one) for one in selectors.split(",")), selectors
