"""Citations as text, as Markdown with footnotes, and as a page: the answer beside the documents, without a script.

A statement that is hovered or focused lights up its sources, and a source its statements; on paper the numbers do the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from ...core.display import one_line
from ...render import theme
from ...render.content import minus, visible
from ...render.headline import Badge, opening, title
from ...render.page import document, safe
from .verdicts import JOINS, NONE, SUPPORTED, UNLIKELY, WEAK

if TYPE_CHECKING:
    from .result import Citations, Source, Statement

_MARKS = {SUPPORTED: "✓", WEAK: "~", NONE: "✗", JOINS: "·"}  # beside the colour, so that it is not the colour alone
_CLASSES = {SUPPORTED: "yes", WEAK: "weak", NONE: "none", JOINS: "joins"}
_STYLE = theme.furniture(".sw-q") + (
    ".sw-q{font:16px/1.6 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:76rem;margin:0 auto;"
    "}"
    ".sw-q h2{font-size:1em;margin:0 0 .4em;overflow-wrap:anywhere}"
    ".sw-q small,.sw-q .key{color:var(--muted);font-size:.87em}.sw-q p{margin:.3em 0 1em}"
    ".sw-q .both{display:grid;grid-template-columns:minmax(0,2fr) minmax(0,3fr);gap:1.6rem;align-items:start}"
    "@media(max-width:48em){.sw-q .both{grid-template-columns:minmax(0,1fr)}}"
    ".sw-q .text{white-space:pre-wrap;overflow-wrap:anywhere}"
    ".sw-q .doc{border:1px solid var(--line);border-radius:.5rem;padding:.7rem 1rem;margin:0 0 .8rem}"
    ".sw-q .says,.sw-q .cited{border-radius:.2rem;padding:.08em .12em;scroll-margin:2rem}"
    ".sw-q .yes{border-bottom:3px solid var(--strong-up)}.sw-q .weak{border-bottom:3px dashed var(--strong-up)}"
    ".sw-q .none{border-bottom:3px dotted var(--strong-down)}"
    ".sw-q .cited{background:color-mix(in srgb,var(--up) calc(85%*var(--a)),var(--paper))}"
    ".sw-q sup a{color:var(--strong-up);text-decoration:none;padding:0 .1em;font-size:.95em}"
    ".sw-q :focus-visible{outline:3px solid var(--mark);outline-offset:2px}"
    ".sw-q ol{padding-left:1.5em;margin:.4em 0}.sw-q li{margin:.35em 0;overflow-wrap:anywhere}"
    "@media print{.sw-q .both{display:block}.sw-q .doc{break-inside:avoid}.sw-q{print-color-adjust:exact}}"
)
_LIT = "outline:2px solid var(--ink);outline-offset:1px"


def numbered(found: Citations) -> dict[tuple[str, tuple[int, int]], int]:
    """The number of each source, in the order in which the answer first cites it: 1, 2, …"""
    places = dict.fromkeys((source.document, source.span) for s in found for source in s.sources)
    return {place: i for i, place in enumerate(places, 1)}


def _numbers(statement: Statement, numbers: dict[tuple[str, tuple[int, int]], int]) -> list[int]:
    return [numbers[source.document, source.span] for source in statement.sources]


def sources(found: Citations) -> list[Source]:
    """Each source once, by its number; with the largest score that it has."""
    best: dict[tuple[str, tuple[int, int]], Source] = {}
    for statement in found:
        for source in statement.sources:
            place = source.document, source.span
            if place not in best or source.score > best[place].score:
                best[place] = source
    return list(best.values())


AGAINST = "They speak against a word of it."


def reason(statement: Statement) -> str:
    """Why a statement has its verdict, in one sentence."""
    if statement.verdict == JOINS:
        return "It only joins other sentences."
    gain = f"{statement.gain:+.1f} nats"
    if statement.verdict == NONE and statement.known_without:
        return "The model says this as readily without any document."
    if statement.verdict == NONE:
        rare = " What it says stays unlikely with all of them." if statement.raised < UNLIKELY else ""
        rare = f" {AGAINST}" if statement.against < UNLIKELY else rare
        return minus(f"All documents together move it by {gain}, and no sentence carries it.{rare}")
    lost, held = statement.value - statement.without, statement.alone - statement.base
    against = f" {AGAINST}" if statement.against < UNLIKELY else ""
    return minus(
        f"All documents move it by {gain}; without its sources {-lost:+.1f}, with its sources alone {held:+.1f}.{against}"
    )


# ---- text ------------------------------------------------------------------------------------------------------------


def plain(found: Citations) -> str:
    """The statements with their sources, for a terminal."""
    numbers = numbered(found)
    lines = [opening(found.summary, badge(found)), ""]
    for statement in found:
        cited = "".join(f" [{i}]" for i in _numbers(statement, numbers))
        lines += [
            f"{_MARKS[statement.verdict]} {one_line(statement.text)}{cited}",
            f"  {statement.verdict}. {reason(statement)}",
        ]
    lines += [""] if numbers else []
    for i, source in enumerate(sources(found), 1):
        score = minus(f"{source.score:+.2f}")
        lines.append(
            f"[{i}] {one_line(source.document)}, {source.span[0]}-{source.span[1]}: {one_line(source.text)} ({score})"
        )
    return "\n".join([*lines, *(f"Note: {one_line(note)}" for note in found.notes)])


def markdown(found: Citations) -> str:
    """The answer with footnotes."""
    numbers, out, at = numbered(found), [], 0
    for statement in found:
        out.append(_escaped(found.answer[at : statement.span[1]]))
        out += [f" [{i}]" for i in _numbers(statement, numbers)]
        out += [" (no source)"] if statement.verdict == NONE else []
        at = statement.span[1]
    out.append(_escaped(found.answer[at:]))
    notes = [
        f"[{i}] {_escaped(one_line(source.document))}: “{_escaped(one_line(source.text))}”"
        for i, source in enumerate(sources(found), 1)
    ]
    return "".join(out) + ("\n\n" + "  \n".join(notes) if notes else "") + "\n"


_LIST = re.compile(r"(?m)^(\s*\d*)([-+=.])")  # - + and 1. begin lists, - and = under a line make it a heading


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, also after a footnote and at the begin of a line, where - + 1. make lists."""
    marked = "".join(f"\\{char}" if char in "\\`*_[]()<>#|~&" else char for char in visible(text))
    return _LIST.sub(r"\1\\\2", marked)


# ---- the page --------------------------------------------------------------------------------------------------------


def page(found: Citations) -> str:
    return document(f"{found.question}: citations", fragment(found))


def fragment(found: Citations) -> str:
    """HTML to put into any page. Every string is escaped; style alone lights up what belongs together."""
    name = "sq" + sha256(repr(found.to_dict()).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    numbers = numbered(found)
    lit = "".join(
        f".{name}:has(#{name}-s{k}:is(:hover,:focus-within)) #{name}-c{i},"
        f".{name}:has(#{name}-c{i}:is(:hover,:focus)) #{name}-s{k}{{{_LIT}}}"
        for k, statement in enumerate(found)
        for i in _numbers(statement, numbers)
    )
    notes = "".join(f"<p><small>{safe(note)}</small></p>" for note in found.notes)
    return (
        f'<div class="sw-q {name}" lang="en"><style>{_STYLE}{lit}</style>{title(found.summary, badge(found))}'
        f"<p><small>{safe(found.question)} · {safe(found.model)}</small></p>"
        f'<div class="both"><section aria-label="Answer"><h2>Answer</h2><p class="text">{"".join(_said(found, name))}</p>'
        f"{_legend(found)}{_reasons(found)}</section>"
        f'<section aria-label="Documents">{"".join(_documents(found, name))}</section></div>{notes}</div>'
    )


def badge(found: Citations) -> Badge:
    """How much of the answer rests on the documents."""
    told = [s.verdict for s in found if s.verdict != JOINS]
    if told and all(verdict == SUPPORTED for verdict in told):
        return Badge("high", "✓", "all supported")
    if NONE in told:
        return Badge("low", "!", "not every statement has a source")
    return Badge("medium", "~", "some weakly supported") if told else Badge("unknown", "?", "nothing to cite")


def _said(found: Citations, name: str) -> Iterator[str]:
    """The answer, each statement with the numbers of its sources as links."""
    numbers, at = numbered(found), 0
    for k, statement in enumerate(found):
        yield safe(found.answer[at : statement.span[0]])
        links = "".join(
            f'<a href="#{name}-c{i}" aria-label="source {i}">[{i}]</a>' for i in _numbers(statement, numbers)
        )
        yield (
            f'<span class="says {_CLASSES[statement.verdict]}" id="{name}-s{k}" tabindex="0" '
            f'title="{safe(statement.verdict)}: {safe(reason(statement))}">'
            f"{safe(statement.text)}</span>{f'<sup>{links}</sup>' if links else ''}"
        )
        at = statement.span[1]
    yield safe(found.answer[at:])


def _legend(found: Citations) -> str:
    shown = dict.fromkeys(s.verdict for s in found)
    lines = {SUPPORTED: "solid line", WEAK: "dashed line", NONE: "dotted line", JOINS: "no line"}
    told = " · ".join(f'<span class="{_CLASSES[v]}">{_MARKS[v]} {v}</span> ({lines[v]})' for v in shown)
    return f'<p class="key">{told}. Point at a sentence, or go to it by the Tab key, and its sources light up.</p>'


def _reasons(found: Citations) -> str:
    items = "".join(f"<li>{_MARKS[s.verdict]} {safe(s.verdict)}. {safe(reason(s))}</li>" for s in found)
    return f"<details open><summary>How it was checked</summary><ol>{items}</ol></details>"


def _documents(found: Citations, name: str) -> Iterator[str]:
    """Every document, with its cited sentences coloured in place."""
    best = sources(found)
    strongest = max((source.score for source in best), default=1.0)
    for each in found.documents:
        cited = sorted((s.span, i, s) for i, s in enumerate(best, 1) if s.document == each.id)
        body, at = [], 0
        for span, i, source in cited:
            share = max(0.25, min(1.0, source.score / strongest))
            body += [
                safe(each.text[at : span[0]]),
                f'<mark class="cited" id="{name}-c{i}" tabindex="0" style="--a:{share:.2f};color:inherit" '
                f'title="{safe(minus(f"{source.score:+.2f}"))} nats"><b>[{i}]</b> {safe(source.text)}</mark>',
            ]
            at = span[1]
        title = f"{each.id}: {each.title}" if each.title else each.id
        text = "".join(body) + safe(each.text[at:])
        yield f'<article class="doc"><h2>{safe(title)}</h2><div class="text">{text}</div></article>'
