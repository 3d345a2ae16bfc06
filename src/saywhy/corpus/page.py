"""The report as a page that needs nothing else and may load nothing else. Every string is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..render import headline, inline_charts
from ..render.content import shortened
from ..render.headline import spoken
from ..render.page import document, safe
from .sheet import SCRIPT, STYLE

if TYPE_CHECKING:
    from .report import ClassWords, Difference, Odd, Report
    from .word_statistics import Word

_MEASURES = {
    "probability": "mean probability",
    "error": "share where label and prediction differ",
    "tips": "share carried by one word",
    "gap": "mean gap",
}
_AROUND = 160  # characters of a text on each side of a word


def page(r: Report) -> str:
    """A complete HTML document: sorts and filters with its one script, reads well without."""
    parts = {
        "Suspects": _suspects(r),
        "Charts": _charts(r),
        "Words by class": "".join(_class(r, c) for c in r.classes),
        "Words that act together": _together(r),
        "Words that carry a prediction": _tips(r),
        "Errors": _errors(r),
        "Slices": _slices(r),
        "How far to believe it": _belief(r),
        "Rows that could not be explained": _refused(r),
        "How to read this": _reading(r),
    }
    links = "".join(f'<a href="#s{i}">{name}</a>' for i, (name, body) in enumerate(parts.items()) if body)
    blocks = "".join(
        f'<section id="s{i}"><h2>{name}</h2>{body}</section>\n' for i, (name, body) in enumerate(parts.items()) if body
    )
    title = f"What the model looks at: {r.corpus.folder.resolve().name}"
    body = f"{headline.title(first_sentence(r), headline.counted_badge(r.trust))}{_about(r, title)}<nav>{links}</nav>\n{blocks}"
    return document(title, body, STYLE, SCRIPT)


def first_sentence(r: Report) -> str:
    """The word that looks most like a shortcut."""
    if not r.suspects:
        return "No word stands out as a shortcut."
    label, (word, _) = r.suspects[0]
    return f"'{word.label}' looks like a shortcut {'to' if word.mean > 0 else 'away from'} {label}."


def _about(r: Report, title: str) -> str:
    s = r.corpus.manifest["settings"]
    told = (
        f"{r.whole.n:,} texts explained by {s['method']} ({_cut(s['by'])}) on the model {s['model']}; each text's "
        f"{'prediction' if s['target'] is None else 'label ' + str(s['target'])} is explained, in {s['unit'] or 'logit'}. "
        f"{r.copies:,} are copies of other texts; {sum(r.refusals.values()):,} rows could not be explained."
    )
    unfinished = "" if r.corpus.complete else " The run is unfinished: this is what is there so far."
    return f"<p class=q>{safe(title)}. {safe(told + unfinished)}</p>{_first(r)}"


def _cut(by: str | Mapping[str, str]) -> str:
    """How the inputs were cut, in words."""
    return f"{by} by {by}" if isinstance(by, str) else ", ".join(f"{name} by {how}" for name, how in by.items())


def _first(r: Report) -> str:
    if not r.suspects:
        return ""
    label, (word, suspicion) = r.suspects[0]
    way = "towards" if word.mean > 0 else "away from"
    return (
        f"<p class=n><b>{safe(word.label)}</b> pushes {way} <b>{safe(label)}</b> by {abs(word.mean):.3g} on "
        f"average, {word.count:,} times, far more than words about as frequent (suspicion {suspicion:.0f}). Look at its texts: "
        "is this word a good reason for the label, or a coincidence of the data?</p>"
    )


def _suspects(r: Report) -> str:
    if not r.suspects:
        return ""
    rows = [
        [
            _cell(label),
            *_word_cells(r, s.word),
            _cell(f"{s.word.steadiness:.2f}"),
            _cell(f"{s.suspicion:.1f}"),
            _examples(r, s.word),
        ]
        for label, s in r.suspects[:40]
    ]
    note = (
        "Words whose push is far above that of words about as frequent, and alike in every text. A word that belongs to the "
        "class may stand here as well: that is for you to judge. Phrases of two to four words stand here where at least half "
        "of their push is beyond what their words do elsewhere."
    )
    return f"<p class=q>{note}</p>" + _table(["class", *_WORD_HEADS, "steadiness", "suspicion", "examples"], rows)


_WORD_HEADS = ["word", "times", "mean push", "spread", "carries"]


def _word_cells(r: Report, w: Word) -> list[str]:
    largest = max((abs(x.mean) for c in r.classes for x in (*c.towards[:1], *c.away[:1])), default=1.0) or 1.0
    wide = min(1.0, abs(w.mean) / largest) * 40
    at, kind = (42, "up") if w.mean > 0 else (42 - wide, "dn")
    bar = (
        f'<svg width="84" height="10" aria-hidden="true"><rect class="{kind}" x="{at:.1f}" y="1" width="{wide:.1f}" height="8"/>'
        '<path d="M42 0V10" stroke="currentColor" stroke-opacity=".4"/></svg>'
    )
    return [
        _cell(w.label),
        _cell(f"{w.count:,}", w.count),
        f'<td data-v="{w.mean:.6g}"><span class=v>{spoken(f"{w.mean:+.3g}")}</span> {bar}</td>',
        _cell(f"{w.spread:.2g}"),
        _cell(f"{w.tips:,}", w.tips),
    ]


def _class(r: Report, c: ClassWords) -> str:
    rows = [[*_word_cells(r, w), _examples(r, w)] for w in (*c.towards, *reversed(c.away))]
    about = f"{c.texts:,} texts, {len(c.words):,} words that occur at least {r.least} times, strongest reliable effect first."
    return f"<h3>{safe(c.label)}</h3><p class=q>{about}</p>" + _table([*_WORD_HEADS, "examples"], rows)


_CLASSES = 8  # that have charts, those of most texts first


def _charts(r: Report) -> str:
    """For each class its strongest words over the texts drawn, and the way to the value of one text."""
    out = []
    for c in sorted(r.classes, key=lambda c: (-c.texts, c.label))[:_CLASSES]:
        mine = [e for e in r.drawn if e.target.label == c.label and e.features]
        if len(mine) < 2:
            continue
        middle = sorted(mine, key=lambda e: e.value)[len(mine) // 2]
        of = f"{len(mine):,} texts" if len(mine) == c.texts else f"{len(mine):,} of {c.texts:,} texts, drawn at random"
        out.append(f"<h3>{safe(c.label)}: {of}</h3>{inline_charts.over_inputs(mine)}")
        several = [f"{part}: {text}" for part, text in middle.texts.items()]
        shown = safe(shortened(" · ".join(several) if len(several) > 1 else middle.text, 300))
        said = "The text whose value lies in the middle of these, from the base to its value"
        out.append(
            f"<details><summary>One text, feature by feature</summary><p class=q>{said}:</p><p>{shown}</p>"
            f'<div class="saywhy-charts">{inline_charts.waterfall(middle)}</div></details>'
        )
    return "".join(out)


def _together(r: Report) -> str:
    rows = [[_cell(c.label), *_word_cells(r, w)[:4], _examples(r, w)] for c in r.classes for w in c.together]
    if not rows:
        return ""
    note = (
        "Pairs of words whose Shapley interaction stood out from its standard error: how far both together move the explained "
        "number beyond what each does alone. Times and mean are over the texts where the pair stood out, not over all that "
        "hold both words."
    )
    heads = ["class", "pair", "times", "mean interaction", "spread", "examples"]
    return f"<p class=q>{note}</p>" + _table(heads, rows)


def _tips(r: Report) -> str:
    rows = [[_cell(c.label), *_word_cells(r, w), _examples(r, w)] for c in r.classes for w in c.tipping()]
    if not rows:
        return ""
    told = r.whole.mean("tips")
    share = f" One word alone carries {told[0]:.0%} of the texts." if told else ""
    note = (
        "How often the predicted label would lose without the word: really, where the method left each word out, and "
        "otherwise by its score, with all else unchanged." + share
    )
    return f"<p class=q>{note}</p>" + _table(["class", *_WORD_HEADS, "examples"], rows)


def _errors(r: Report) -> str:
    if not r.confusion:
        return ""
    whole = sum(r.confusion.values())
    wrong = sum(n for (t, p), n in r.confusion.items() if t != p)
    rows = [
        [_cell(t), _cell(p), _cell(f"{n:,}", n), _cell(f"{n / whole:.1%}")] for (t, p), n in sorted(r.confusion.items())
    ]
    out = f"<p>{wrong:,} of {whole:,} texts ({wrong / whole:.1%}) are labelled otherwise than the model says.</p>"
    out += _table(["label", "prediction", "texts", "share"], rows)
    for (truth, predicted), (n, words) in r.errors.items():
        title = f"<h3>{safe(truth)} taken for {safe(predicted)}: {n:,} texts</h3>"
        rows = [[*_word_cells(r, w), _examples(r, w)] for w in words]
        out += title + "<p class=q>What pushed most, over all of them.</p>" + _table([*_WORD_HEADS, "examples"], rows)
    return out


def _slices(r: Report) -> str:
    return "".join(_slice(r, column) for column in r.slices)


def _slice(r: Report, column: str) -> str:
    values = r.slices[column]
    names = [m for m in _MEASURES if any(m in measures for _, measures in values.values())]
    heads = [column, "texts", *(h for m in names for h in (_MEASURES[m], "difference from the others"))]
    rows = [
        [_cell(value), _cell(f"{n:,}", n), *(cell for m in names for cell in _difference(measures.get(m)))]
        for value, (n, measures) in values.items()
    ]
    out = f"<h3>By {safe(column)}</h3><p class=q>Differences from all other texts, with 95 % intervals.</p>" + _table(
        heads, rows
    )
    odd = [[*_odd_cells(o), _examples(r, o.word)] for o in r.odd.get(column, ())]
    if odd:
        heads = [column, "class", "word", "times", "mean push", "elsewhere", "difference", "examples"]
        out += "<p class=q>Words that push otherwise than elsewhere.</p>" + _table(heads, odd)
    return out


def _odd_cells(o: Odd) -> list[str]:
    return [
        *(_cell(o.value), _cell(o.target), _cell(o.word.label), _cell(f"{o.word.count:,}", o.word.count)),
        *(_cell(f"{o.word.mean:+.3g}"), _cell(f"{o.elsewhere:+.3g}")),
        _cell(f"{o.difference:+.3g} ({o.low:+.3g} to {o.high:+.3g})", o.difference),
    ]


def _difference(d: Difference | None) -> list[str]:
    if d is None:
        return [_cell("–"), _cell("–")]
    mean = _cell(f"{d.mean:.3g}")
    if d.difference is None:
        return [mean, _cell("–")]
    return [mean, _cell(f"{d.difference:+.3g} ({d.low:+.3g} to {d.high:+.3g})", d.difference)]


def _belief(r: Report) -> str:
    gap = r.whole.mean("gap")
    promised = "should add up" if r.corpus.manifest["settings"]["adds_up"] else "does not promise scores that add up"
    out = f"<p>{safe(r.corpus.manifest['settings']['method'])} {promised}."
    if gap:
        out += f" On average the scores leave {gap[0]:.1%} of their own size unexplained (the gap)."
    checked = sum(r.trust.values())
    if not checked:
        return out + " No text was checked against removal.</p>"
    rows = [[_cell(level), _cell(f"{r.trust[level]:,}", r.trust[level]), _cell(f"{r.trust[level] / checked:.0%}")]
            for level in ("high", "medium", "low", "unknown") if level in r.trust]  # fmt: skip
    return out + f" {checked:,} texts were checked against removal:</p>" + _table(["trust", "texts", "share"], rows)


def _refused(r: Report) -> str:
    if not r.refusals:
        return ""
    rows = [[_cell(reason), _cell(f"{n:,}", n)] for reason, n in r.refusals.items()]
    first = "".join(f"<p>row {row}: {safe(reason)}</p>" for row, reason in r.refused)
    return _table(["reason", "rows"], rows) + f"<details><summary>The first {len(r.refused)}</summary>{first}</details>"


def _reading(r: Report) -> str:
    unit = r.corpus.manifest["settings"]["unit"] or "logit"
    gone = f" Of rare words {r.forgotten:,} were forgotten to bound memory." if r.forgotten else ""
    return (
        f"<p>A push is a word's score: how far it moves the explained number, in {safe(unit)}, towards the class (+) or from "
        "it (-). Words are counted without regard to case. <b>Spread</b> is the standard deviation of a word's pushes. "
        "<b>Effect</b> is the size of the mean less 1.96 standard errors. <b>Steadiness</b> is |mean| / √(mean² + spread²): 1 "
        "where a word does the same in every text. <b>Suspicion</b> is high for words that push harder than other equally "
        "frequent words, always in the same direction. Its formula is steadiness × √times × (effect - typical) / spread, with "
        "the median effect of the 101 words nearest in frequency, and the scaled median absolute deviation of all words' means. "
        "<b>Carries</b> is how often a prediction would be lost without the word. Examples are drawn at random, with a fixed "
        f"seed.{gone} That a word pushes says what the model does, not that the word is the cause of anything in the world.</p>"
    )


def _examples(r: Report, w: Word) -> str:
    shown = "".join(
        f"<p>{_marked(r.texts.get(e.row), e.start, e.end, e.score)} <span class=q>row {e.row}</span></p>"
        for e in w.examples
    )
    return f'<td class="x l"><details><summary>{len(w.examples)} texts</summary>{shown}</details></td>'


def _marked(text: str | None, start: int, end: int, score: float) -> str:
    if text is None or start < 0:
        return safe((text or "")[: 2 * _AROUND])
    before, after = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    cut = "…" * (start > _AROUND), "…" * (len(text) > end + _AROUND)
    kind = "" if score >= 0 else " class=d"
    return f"{cut[0]}{safe(before)}<mark{kind}>{safe(text[start:end])}</mark> ({spoken(f'{score:+.2g}')}){safe(after)}{cut[1]}"


def _cell(text: object, value: float | None = None) -> str:
    plain = str(text)
    left = not plain[:1].isdigit() and not (plain[:1] in "+-–" and plain[1:2].isdigit())
    if value is None and plain.startswith("-") and re.fullmatch(r"-[\d.]+(e[+-]?\d+)?", plain):
        value = float(plain)  # what is shown has the true minus sign, which the script does not read as a number
    kept = "" if value is None else f' data-v="{value:.6g}"'
    return f"<td{kept}{' class=l' if left else ''}>{spoken(safe(plain))}</td>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    rows = list(rows)
    first = rows[0] if rows else [""] * len(heads)
    kinds = [
        "x l" if head == "examples" else "l" * (" class=l>" in cell) for head, cell in zip(heads, first, strict=True)
    ]
    top = "".join(f'<th scope=col class="{k}">{safe(head)}</th>' for head, k in zip(heads, kinds, strict=True))
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return (
        f'<div class=t role=group aria-label="{safe(heads[0])}: {len(rows):,} rows" tabindex=0>'
        + f"<table class=s><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )
