"""Pages in a real browser: keyboard, phone, paper, and the switch between light and dark.

Needs the extra `browser` and a Chromium that is installed; skipped where either is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chromium
from render_samples import LONG, MANY, ONE, PAIR, TARGETS
from saywhy.render import html

pytest.importorskip("playwright.sync_api")
pytest.importorskip("axe_playwright_python")
pytestmark = chromium.needed


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.launched() as opened:
        yield opened


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Any]:
    opened = []

    def show(what: Any, width: int = 1280, scheme: str = "light") -> Any:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        opened.append(page)
        (tmp_path / "page.html").write_text(html.page(what), encoding="utf-8")
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield show
    for page in opened:
        page.close()


def focused(page: Any) -> str:
    return str(
        page.evaluate("document.activeElement.closest('label')?.dataset.saywhy ?? document.activeElement.tagName")
    )


def test_a_text_is_one_stop_and_arrows_go_through_it(shown: Any) -> None:
    page = shown(ONE)
    page.keyboard.press("Tab")  # the switch
    page.keyboard.press("Tab")
    assert focused(page).startswith("+0.1 ")  # "I"
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith("+1.25 ")  # "love", with its number beside it
    label = page.locator(".saywhy-word", has_text="love").first
    assert "+1.25" in label.evaluate("e => getComputedStyle(e, '::after').content")
    page.keyboard.press("ArrowLeft")
    assert focused(page).startswith("+0.1 ")
    page.keyboard.press("Tab")
    assert focused(page) == "SUMMARY"  # out of the text in one step


@pytest.mark.parametrize("what", [PAIR, MANY, LONG])
def test_there_are_few_stops(shown: Any, what: Any) -> None:
    page, stops = shown(what), 0
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        stops += 1
    assert 3 <= stops <= 20


@pytest.mark.parametrize("what", [ONE, PAIR, TARGETS, MANY, LONG])
def test_nothing_is_cut_off_on_a_phone_and_the_first_column_stays(shown: Any, what: Any) -> None:
    page = shown(what, width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate(
        "[...document.querySelectorAll('.saywhy-table th[scope=row]')]"
        ".every(cell => getComputedStyle(cell).position === 'sticky' && getComputedStyle(cell).left === '0px')"
    )


def test_numbers_stand_before_bars_on_a_phone(shown: Any) -> None:
    page = shown(ONE, width=400)
    row = page.locator("tbody tr").first
    score, bar = row.locator("td.saywhy-right").first.bounding_box(), row.locator(".saywhy-track").bounding_box()
    assert score["x"] + score["width"] <= bar["x"] <= 400


def test_on_paper_what_is_folded_unfolds(shown: Any) -> None:
    page = shown(TARGETS)
    hidden = page.locator("details .saywhy-text").first
    assert not hidden.is_visible()
    page.emulate_media(media="print")
    page.wait_for_function(  # style alone; a frame may pass before it is drawn
        "[...document.querySelectorAll('details')].every(d => d.lastElementChild.checkVisibility({contentVisibilityAuto: true})"
        " && d.getBoundingClientRect().height > 40)"
    )
    assert "dislike" in hidden.inner_text()


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_page_follows_the_system_and_the_switch_turns_it_over(shown: Any, scheme: str, dark: bool) -> None:
    page = shown(ONE, scheme=scheme)

    def is_dark() -> bool:
        color = page.evaluate("getComputedStyle(document.querySelector('.saywhy-box')).backgroundColor")
        return sum(int(part) for part in color.strip("rgb()").split(",")) < 200

    assert is_dark() is dark
    page.get_by_label("Switch light and dark").check()
    assert is_dark() is not dark
    page.emulate_media(media="print")
    assert not is_dark()  # paper is white


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("what", [PAIR, TARGETS, MANY])
def test_axe_finds_nothing(shown: Any, what: Any, scheme: str) -> None:
    page = shown(what, scheme=scheme)
    assert chromium.violations(page) == []
    page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
    assert chromium.violations(page) == []


def test_axe_sees_what_is_wrong(shown: Any) -> None:
    """So that a page without a finding says something."""
    page = shown(ONE)
    page.evaluate("document.querySelector('summary').style.color = '#f2f2f2'")
    assert [rule for rule, _ in chromium.violations(page)] == ["color-contrast"]
