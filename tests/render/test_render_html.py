"""The HTML rendering: escaped, standing alone, readable by eye, keyboard and ear."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from render_samples import ALL, BAD, HOSTILE, LONG, LOVE, MANY, ONE, PAIR, TARGETS, ZERO, explained
from saywhy.core.explanation import Explanation, Explanations
from saywhy.render import content as pieces
from saywhy.render import html
from saywhy.render import theme as colors

pytestmark = pytest.mark.filterwarnings("error")
every = pytest.mark.parametrize("what", ALL)
single = pytest.mark.parametrize("e", [e for e in ALL if isinstance(e, Explanation)])


class Page(HTMLParser):
    """The elements of a document, checked for nesting; the explained texts as seen, and what is only heard."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str]]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.heard: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if "saywhy-text" in element[1].get("class", ""):
            self.texts.append("")
        if tag not in ("meta", "input"):
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        classes = [attrs.get("class") for _, attrs in self.open]
        if "saywhy-hidden" in classes:
            self.heard.append(data)
        elif "saywhy-text" in classes:
            self.texts[-1] += data

    def all(self, kind: str) -> list[dict[str, str]]:
        return [attrs for _, attrs in self.elements if kind in attrs.get("class", "").split()]


def clean(text: str) -> str:
    return pieces.visible(text)


@every
def test_html_is_well_formed_and_only_of_known_elements(what: Explanation | Explanations) -> None:
    elements = Page(what._repr_html_()).elements
    known = " div style section p span label input ul li dl dt dd details summary table caption thead tbody tfoot tr th td bdi "
    assert [tag for tag, _ in elements if f" {tag} " not in known] == []
    known = " class style dir lang role aria-level aria-label tabindex scope title data-saywhy type name "
    assert [name for _, attrs in elements for name in attrs if f" {name} " not in known] == []


def test_no_string_gets_into_html_unescaped() -> None:
    for source in (html.page(HOSTILE, title=BAD), html.page(Explanations((HOSTILE, HOSTILE))), html.page(MANY)):
        assert "alert(" in source
        assert not re.search("<script|<img|alert\\(2", source.replace("alert(2)&#x27;&gt;", ""))
        assert not re.search("[\x00-\x09\x0b-\x1f\ud800-\udfff]", source)


@single
def test_html_shows_the_text_as_it_is_and_says_every_score(e: Explanation) -> None:
    page = Page(html.fragment(e))
    assert page.texts == [clean(text) for text in e.texts.values() if text]
    spoken = {text.strip() for text in page.heard}
    assert {f"({clean(pieces.heard(e, i))})" for i in range(len(e.features))} <= spoken
    assert [word["data-saywhy"] for word in page.all("saywhy-word")][:1] == [clean(pieces.exact(e, 0))]
    assert all(attrs["dir"] == "auto" and attrs["lang"] == "" for attrs in page.all("saywhy-text"))


def test_exact_scores_have_sign_error_unit_and_flip() -> None:
    assert pieces.exact(ONE, 1) == "+1.25 ± 0.067 logit, NEGATIVE without it"
    assert pieces.exact(PAIR, 1) == "−0.25 log-odds"
    assert pieces.exact(PAIR, 4) == "−0.75 log-odds, NON-B without it"


@every
def test_each_text_is_one_group_of_buttons_with_names_of_its_own(what: Explanation | Explanations) -> None:
    """A group is one stop of the Tab key; two texts on a page must not share one, or a choice in one undoes that in the other."""
    groups: list[list[str]] = []
    for block in re.findall(
        r'(?s)<p class="saywhy-text".*?</p>|<ul class="saywhy-chips">.*?</ul>', html.fragment(what)
    ):
        groups.append(re.findall(r'<input type="radio" class="saywhy-stop" name="(\w+-\d+)">', block))
        assert len(groups[-1]) == block.count('class="saywhy-word')
        assert len(set(groups[-1])) <= 1
    assert sum(map(len, groups)) > 0


def test_what_is_heard_has_three_digits() -> None:
    e = explained("a b", [1.23456, -0.000123456])
    assert [pieces.heard(e, i) for i in range(2)] == ["+1.23 logit", "−0.000123 logit"]
    assert pieces.heard(ONE, 1) == "+1.25 logit, NEGATIVE without it"
    assert pieces.exact(e, 0) == "+1.23456 logit"
    assert "(+1.23 logit)" in "".join(Page(html.fragment(e)).heard)


@every
def test_a_page_asks_for_nothing_from_elsewhere(what: Explanation | Explanations) -> None:
    source = html.page(what)
    page = Page(source)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not {name for _, attrs in page.elements for name in attrs} & {"src", "href", "srcset", "action", "onerror"}
    assert not any(re.search(r"url|@import|http|//", css) for css in re.findall(r"(?s)<style>(.*?)</style>", source))
    [policy] = [
        attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")


def rules(source: str) -> list[tuple[str, str]]:
    css = re.findall(r"(?s)<style>(.*?)</style>", source)[-1]
    return re.findall(r"([^{}]+)\{([^{}]+)\}", re.sub(r"@media [^{]+\{", "", css))


def test_style_reaches_only_its_own_box() -> None:
    found = rules(html.fragment(ONE))
    assert len(found) > 40
    for selectors, _ in found:
        assert all(re.search(r"\.saywhy-box\b", selector) for selector in selectors.strip(" }\n").split(",")), selectors
    assert "id=" not in html.fragment(MANY)


def test_colours_in_html_are_readable_in_both_schemes() -> None:
    for scheme in ("light", "dark"):
        tokens = next(
            dict(re.findall(r"--saywhy-([\w-]+): ([^;]+);", body))
            for _, body in rules(html.page(ONE))
            if scheme in body
        )
        strengths = [
            (word["class"], float(word["style"].partition(":")[2]))
            for word in Page(html.fragment(ONE)).all("saywhy-word")
            if "style" in word
        ]
        assert len(strengths) == 9
        assert max(t for _, t in strengths) == 1
        for classes, t in strengths:
            tint = "#" + "".join(f"{int(c):02x}" for c in tokens["up" if "saywhy-up" in classes else "down"].split(","))
            assert colors.contrast(tokens["ink"], colors.blend(tokens["paper"], tint, t)) >= 4.5
        assert colors.contrast(tokens["muted"], tokens["paper"]) >= 4.5


def test_direction_and_strength_of_words_and_bars() -> None:
    marked = Page(html.fragment(ONE)).all("saywhy-word")
    for word, score in zip(marked, ONE.scores, strict=True):
        expected = "" if score == 0 else f"--saywhy-a:{abs(score) / 1.25:.3f}"
        assert word.get("style", "") == expected
        assert ("saywhy-up" in word["class"]) == (score > 0)
        assert ("saywhy-down" in word["class"]) == (score < 0)
    zero = html.fragment(ZERO)
    assert not Page(zero).all("saywhy-up")
    assert not Page(zero).all("saywhy-down")
    assert "nothing is coloured" in zero


def test_the_key_has_numbers_and_the_parts_have_names() -> None:
    assert "<span>−1.250</span><span>0</span><span>+1.250</span>" in html.fragment(ONE)
    named = re.findall(r'<p class="saywhy-name" dir="auto">(.*?)</p>', html.fragment(PAIR))
    assert named == ["premise", "hypothesis"]
    assert not Page(html.fragment(ONE)).all("saywhy-name")
    assert "need not add up" in html.fragment(PAIR)
    assert "need not add up" not in html.fragment(ONE)
    assert "The gap is 77.3% of the sum of |scores|." in html.fragment(ONE)
    assert "200 sampled orders." in html.fragment(ONE)


def test_several_targets_make_a_table_and_many_texts_make_blocks() -> None:
    page = Page(html.fragment(TARGETS))
    assert len([cell for cell in page.all("saywhy-cell") if "title" in cell]) == 3 * 10
    assert page.texts == [LOVE] * 4
    blocks = Page(html.fragment(MANY))
    assert len(blocks.all("saywhy-first")) == 4
    assert len(blocks.texts) == 5
    assert "690 more features" in html.fragment(LONG)
    assert len(Page(html.fragment(LONG)).all("saywhy-track")) == 700
