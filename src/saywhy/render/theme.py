"""The one theme: the colours of scores in light and dark, and the style sheet of every page.

Blue raises, orange lowers, zero is the paper: symmetric about zero and safe for colour-blind readers. A colour is "#rrggbb". A
palette belongs to one background; the ink stays readable (WCAG AA, 4.5 to 1) on every shade.
"""

from __future__ import annotations

import math
from typing import NamedTuple

UNFOLDED = "content-visibility:visible;block-size:auto;overflow:visible"  # of a folded thing's content, on paper
_BOX = """
.saywhy-box {
  box-sizing: border-box; max-width: 58em; margin: .5em 0; padding: 1.6em 1.9em 1.7em; text-align: left;
  border: 1px solid var(--saywhy-line); border-radius: 10px; background: var(--saywhy-paper); color: var(--saywhy-ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; --saywhy-track: 180px; print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
.saywhy-box * { box-sizing: border-box; }
.saywhy-box .saywhy-hidden {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
  user-select: none; -webkit-user-select: none;
}
.saywhy-box .saywhy-head { display: flex; flex-wrap: wrap; align-items: baseline; gap: .4em .9em; margin: 0; }
.saywhy-box .saywhy-title {
  flex: 1 1 14em; margin: 0; font-size: 1.3em; font-weight: 600; line-height: 1.3; overflow-wrap: anywhere;
}
.saywhy-box .saywhy-badge {
  flex: none; padding: .1em .7em; border: 2px solid var(--saywhy-muted); border-radius: 1em; font-size: .88em;
  font-weight: 600; white-space: nowrap; color: var(--saywhy-ink); background: var(--saywhy-paper);
}
.saywhy-box .saywhy-badge.saywhy-high {
  border-color: rgb(var(--saywhy-strong-up)); background: rgb(var(--saywhy-strong-up)); color: var(--saywhy-paper);
}
.saywhy-box .saywhy-badge.saywhy-low {
  border-color: rgb(var(--saywhy-strong-down)); background: rgb(var(--saywhy-strong-down)); color: var(--saywhy-paper);
}
.saywhy-box .saywhy-about { margin: .2em 0 0; color: var(--saywhy-muted); font-size: .9em; overflow-wrap: anywhere; }
.saywhy-box .saywhy-name { margin: 1.2em 0 -.9em; color: var(--saywhy-muted); font-size: .85em; }
.saywhy-box .saywhy-text {
  margin: 1.1em 0 1.3em; max-width: 40em; font-size: 1.2em; line-height: 1.9; text-align: start;
  white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; color: inherit;
}
.saywhy-box .saywhy-tall {
  margin: 1.1em 0 1.3em; padding: .3em 1em 2em; max-height: 34em; overflow: hidden auto;
  border: 1px solid var(--saywhy-line); border-radius: 6px;
}
.saywhy-box .saywhy-tall .saywhy-text { margin: 0; max-width: 34em; }
@media print {
  .saywhy-box .saywhy-tall, .saywhy-box .saywhy-scroll { max-height: none; overflow: visible; }
  .saywhy-box details::details-content { UNFOLDED; }
  .saywhy-box .saywhy-text, .saywhy-box tr { break-inside: avoid; }
}
.saywhy-box .saywhy-chips {
  display: flex; flex-wrap: wrap; gap: .5em; margin: 1.2em 0 1.7em; padding: 0; list-style: none;
}
.saywhy-box .saywhy-chips li {
  margin: 0; padding: 0; min-width: 0; line-height: 1.9; list-style: none; overflow-wrap: anywhere;
}
.saywhy-box .saywhy-chips .saywhy-word { padding: .2em .5em; border-radius: .3em; background-clip: border-box; }
"""

_WORDS = """
.saywhy-box .saywhy-stop {
  position: absolute; width: 1px; height: 1px; margin: 0; opacity: 0; pointer-events: none; appearance: none;
}
.saywhy-box .saywhy-word {
  position: relative; padding: .13em 0; border-style: solid; border-width: 2px 0; border-color: transparent;
  border-radius: 2px; background-clip: padding-box; -webkit-box-decoration-break: clone; box-decoration-break: clone;
}
.saywhy-box .saywhy-up { background-color: rgba(var(--saywhy-up), var(--saywhy-a)); }
.saywhy-box .saywhy-down { background-color: rgba(var(--saywhy-down), var(--saywhy-a)); }
.saywhy-box .saywhy-word.saywhy-up { border-top-color: rgba(var(--saywhy-strong-up), var(--saywhy-a)); }
.saywhy-box .saywhy-word.saywhy-down { border-bottom-color: rgba(var(--saywhy-strong-down), var(--saywhy-a)); }
.saywhy-box .saywhy-word:hover, .saywhy-box .saywhy-word:focus-within { outline: 2px solid var(--saywhy-ink); z-index: 1; }
.saywhy-box .saywhy-word:hover::after, .saywhy-box .saywhy-word:focus-within::after {
  content: attr(data-saywhy); position: absolute; z-index: 2; inset-inline-start: -2px; top: calc(100% + 5px);
  width: max-content; max-width: 22em; padding: .3em .65em; border-radius: 5px; direction: ltr; text-align: left;
  background: var(--saywhy-ink); color: var(--saywhy-paper); font-size: 13px; line-height: 1.45; white-space: normal;
  pointer-events: none;
}
@media (max-width: 40em) {
  .saywhy-box { padding: 1.2em 1.1em; --saywhy-track: 96px; }
  .saywhy-box .saywhy-key { flex-wrap: wrap; }
  .saywhy-box .saywhy-ramp { flex: 1 1 9em; width: auto; max-width: 15em; }
  .saywhy-box .saywhy-table th, .saywhy-box .saywhy-table td { padding-right: .8em; max-width: 11em; }
  .saywhy-box .saywhy-table .saywhy-place { display: none; }
  .saywhy-box .saywhy-word:hover::after, .saywhy-box .saywhy-word:focus-within::after {
    position: fixed; inset: auto 1em 1em 1em; width: auto; max-width: none; text-align: center;
  }
}
"""

_PICTURES = """
.saywhy-box .saywhy-pictures { display: flex; flex-wrap: wrap; gap: 1.2em; margin: 1.2em 0 1.4em; }
.saywhy-box .saywhy-picture { flex: 0 1 23em; min-width: 12em; margin: 0; padding: 0; }
.saywhy-box .saywhy-many .saywhy-picture { flex-basis: 13.5em; }
.saywhy-box .saywhy-stage { position: relative; line-height: 0; }
.saywhy-box .saywhy-stage img { display: block; width: 100%; height: auto; margin: 0; border-radius: 3px; }
.saywhy-box .saywhy-picture figcaption { margin: .4em 0 0; color: var(--saywhy-muted); font-size: .85em; }
.saywhy-box .saywhy-patch { position: absolute; line-height: 1.45; }
.saywhy-box .saywhy-patch:hover, .saywhy-box .saywhy-patch:focus-within {
  outline: 2px solid #fff; box-shadow: 0 0 0 4px #000; z-index: 1;
}
.saywhy-box .saywhy-patch:hover::after, .saywhy-box .saywhy-patch:focus-within::after {
  content: attr(data-saywhy); position: absolute; z-index: 2; left: -2px; top: calc(100% + 7px); width: max-content;
  max-width: 22em; padding: .3em .65em; border-radius: 5px; background: var(--saywhy-ink); color: var(--saywhy-paper);
  font-size: 13px; pointer-events: none;
}
.saywhy-box .saywhy-patch.saywhy-leftward::after { left: auto; right: -2px; }
"""

_NUMBERS = """
.saywhy-box .saywhy-key { display: flex; gap: .8em; margin: 0 0 1.5em; font-size: .85em; color: var(--saywhy-muted); }
.saywhy-box .saywhy-ramp { display: block; width: 15em; }
.saywhy-box .saywhy-ramp::before {
  content: ""; display: block; height: .8em; margin: .3em 0 .2em; border-radius: 2px;
  background: linear-gradient(90deg, rgb(var(--saywhy-down)), var(--saywhy-paper) 50%, rgb(var(--saywhy-up)));
  box-shadow: inset 0 0 0 1px var(--saywhy-line);
}
.saywhy-box .saywhy-strong .saywhy-ramp::before {
  background: linear-gradient(90deg, #c4530f, #fff 50%, #186bc5);
}
.saywhy-box .saywhy-ends { display: flex; justify-content: space-between; }
.saywhy-box .saywhy-ends > span { flex: 1; text-align: center; }
.saywhy-box .saywhy-ends > :first-child { text-align: left; }
.saywhy-box .saywhy-ends > :last-child { text-align: right; }
.saywhy-box .saywhy-sums { display: flex; flex-wrap: wrap; gap: .4em 1.1em; margin: 0 0 .4em; padding: 0; }
.saywhy-box .saywhy-sum { display: grid; grid-template: auto auto auto / auto auto; }
.saywhy-box .saywhy-sum dt {
  grid-column: 2; margin: 0; padding: 0; font-size: .85em; font-weight: 400; color: var(--saywhy-muted);
}
.saywhy-box .saywhy-sum dd { grid-column: 2; margin: 0; padding: 0; font-size: 1.1em; overflow-wrap: anywhere; }
.saywhy-box .saywhy-sum dd.saywhy-means { font-size: .78em; color: var(--saywhy-muted); }
.saywhy-box .saywhy-sum dd span { font-size: .8em; color: var(--saywhy-muted); }
.saywhy-box .saywhy-sum[data-saywhy]::before {
  content: attr(data-saywhy); grid-area: 2 / 1; align-self: center; padding-right: 1.1em; color: var(--saywhy-muted);
}
.saywhy-box .saywhy-arcs { margin: 0 0 1.3em; }
.saywhy-box .saywhy-arcs .saywhy-scroll { margin: .2em 0; }
.saywhy-box .saywhy-arcs svg { display: block; fill: currentColor; }
.saywhy-box .saywhy-arcs text { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; }
.saywhy-box .saywhy-arc-up { fill: none; stroke: rgb(var(--saywhy-strong-up)); }
.saywhy-box .saywhy-arc-down { fill: none; stroke: rgb(var(--saywhy-strong-down)); stroke-dasharray: 5 3; }
.saywhy-box .saywhy-pairs {
  display: flex; flex-wrap: wrap; gap: .1em 1.4em; margin: 0; padding: 0; list-style: none; font-size: .9em;
}
.saywhy-box .saywhy-pairs li { margin: 0; overflow-wrap: anywhere; }
.saywhy-box .saywhy-small { margin: .3em 0 0; color: var(--saywhy-muted); font-size: .9em; overflow-wrap: anywhere; }
.saywhy-box .saywhy-note {
  margin: .9em 0 0; padding: .05em 0 .05em .8em; border-left: 3px solid var(--saywhy-line); font-size: .95em;
  overflow-wrap: anywhere;
}
"""

_TABLES = """
.saywhy-box .saywhy-scroll { margin: 1.4em 0 0; max-width: 100%; max-height: 56em; overflow: auto; }
.saywhy-box .saywhy-table {
  margin: 0; border: 0; border-collapse: separate; border-spacing: 0; table-layout: auto; color: var(--saywhy-ink);
  font: inherit; font-size: .95em; font-variant-numeric: tabular-nums;
}
.saywhy-box .saywhy-table tr, .saywhy-box .saywhy-table tbody tr:nth-child(n) { background: none; border: 0; }
.saywhy-box .saywhy-table tbody tr:hover { background: none; }
.saywhy-box .saywhy-table th, .saywhy-box .saywhy-table td {
  padding: .3em 1.3em .3em 0; border: 0; border-bottom: 1px solid var(--saywhy-line); text-align: left;
  vertical-align: baseline; font-weight: 400; line-height: 1.45; color: inherit; max-width: 24em; white-space: normal;
}
.saywhy-box .saywhy-table thead th {
  position: sticky; top: 0; z-index: 1; background: var(--saywhy-paper); color: var(--saywhy-muted); font-size: .9em;
}
.saywhy-box .saywhy-table th:first-child {
  position: sticky; left: 0; z-index: 1; background: var(--saywhy-paper);
}
.saywhy-box .saywhy-table thead th:first-child { z-index: 2; }
.saywhy-box .saywhy-table bdi { white-space: pre-wrap; overflow-wrap: break-word; }
.saywhy-box .saywhy-table .saywhy-right { text-align: right; white-space: nowrap; }
.saywhy-box .saywhy-table .saywhy-quiet { color: var(--saywhy-muted); }
.saywhy-box .saywhy-table .saywhy-cell { padding: .3em .7em; text-align: right; white-space: nowrap; }
.saywhy-box .saywhy-table thead .saywhy-cell { white-space: normal; }
.saywhy-box .saywhy-table tfoot { position: sticky; bottom: 0; background: var(--saywhy-paper); }
.saywhy-box .saywhy-table tfoot tr:first-child > * { border-top: 1px solid var(--saywhy-muted); padding-top: .6em; }
.saywhy-box .saywhy-table tfoot tr > * { border-bottom: 0; }
.saywhy-box .saywhy-table .saywhy-sides { position: relative; padding-left: 10px; padding-right: 30px; }
.saywhy-box .saywhy-table .saywhy-axis { display: flex; width: var(--saywhy-track); }
.saywhy-box .saywhy-table .saywhy-axis > span { flex: 1; padding: 0 .6em; }
.saywhy-box .saywhy-table .saywhy-axis > :first-child { text-align: right; }
.saywhy-box .saywhy-track { position: relative; display: block; width: var(--saywhy-track); height: .75em; }
.saywhy-box .saywhy-table td.saywhy-sides::before {
  content: ""; position: absolute; left: calc(9.5px + var(--saywhy-track) / 2); top: 0; bottom: -1px;
  border-left: 1px solid var(--saywhy-muted);
}
.saywhy-box .saywhy-bar { position: absolute; top: 0; bottom: 0; width: calc(50% * var(--saywhy-a)); }
.saywhy-box .saywhy-bar.saywhy-up { left: 50%; background: rgb(var(--saywhy-strong-up)); border-radius: 0 2px 2px 0; }
.saywhy-box .saywhy-bar.saywhy-down {
  right: 50%; background: rgb(var(--saywhy-strong-down)); border-radius: 2px 0 0 2px;
}
.saywhy-box details { margin: 1.2em 0 0; padding: 0; border: 0; background: none; }
.saywhy-box summary + .saywhy-one { margin-top: 1.6em; }
.saywhy-box summary { cursor: pointer; color: var(--saywhy-muted); font-size: .9em; font-weight: 400; }
.saywhy-box .saywhy-one + .saywhy-one, .saywhy-box .saywhy-first {
  margin-top: 2em; padding-top: 1.7em; border-top: 1px solid var(--saywhy-line);
}
"""

_PAGE = """
:root { color-scheme: light; } body { margin: 0; background: #f4f5f7; }
@media (prefers-color-scheme: dark) { :root { color-scheme: dark; } body { background: #0d0f12; } }
@media (prefers-color-scheme: light) { SWITCHED { color-scheme: dark; } SWITCHED body { background: #0d0f12; } }
@media (prefers-color-scheme: dark) { SWITCHED { color-scheme: light; } SWITCHED body { background: #f4f5f7; } }
main { padding: .4em 1em 2.5em; } main > div:is(div, .saywhy-box) { margin: 0 auto; }
.saywhy-switch { max-width: 60em; margin: 0 auto; padding: .7em 1em 0; text-align: right; font: 13px/1.4 system-ui, sans-serif; }
.saywhy-switch label { display: inline-flex; gap: .4em; align-items: center; cursor: pointer; color: #4c535b; }
@media (prefers-color-scheme: dark) { .saywhy-switch label { color: #b3bcc6; } }
@media (prefers-color-scheme: light) { SWITCHED .saywhy-switch label { color: #b3bcc6; } }
@media (prefers-color-scheme: dark) { SWITCHED .saywhy-switch label { color: #4c535b; } }
@media (max-width: 40em) { main { padding: .4em .6em 1.5em; } }
@media print {
  body { background: none; } main { padding: 0; } main > .saywhy-box { border: 0; padding: 0; } .saywhy-switch { display: none; }
}
"""


def scoped() -> str:
    """The style of a fragment. It follows the system, and the theme of a notebook that says which it has."""
    light = '[data-jp-theme-light="true"] .saywhy-box, .vscode-light .saywhy-box'
    dark = '[data-jp-theme-light="false"] .saywhy-box, .vscode-dark .saywhy-box, html[theme="dark"] .saywhy-box'
    switched = f"{_SWITCHED} .saywhy-box"
    schemes = (
        f".saywhy-box {{ color-scheme: light; {_tokens(LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ .saywhy-box {{ color-scheme: dark; {_tokens(DARK)} }} }}\n"
        f"{light} {{ color-scheme: light; {_tokens(LIGHT)} }}\n"
        f"{dark} {{ color-scheme: dark; {_tokens(DARK)} }}\n"
        f"@media (prefers-color-scheme: light) {{ {switched} {{ color-scheme: dark; {_tokens(DARK)} }} }}\n"
        f"@media (prefers-color-scheme: dark) {{ {switched} {{ color-scheme: light; {_tokens(LIGHT)} }} }}\n"
        f"@media print {{ .saywhy-box, {switched} {{ color-scheme: light; {_tokens(LIGHT)} }} }}"
    )
    return schemes + _BOX.replace("UNFOLDED", UNFOLDED) + _WORDS + _PICTURES + _NUMBERS + _TABLES


def around() -> str:
    """The style of a page around the fragment, and of the switch between light and dark."""
    return _PAGE.replace("SWITCHED", _SWITCHED)


def _tokens(palette: Palette) -> str:
    plain = {name: getattr(palette, name) for name in ("paper", "ink", "muted", "line")}
    mixed = {name: ",".join(map(str, channels(getattr(palette, name)))) for name in ("up", "down")}
    strong = {f"strong-{name}": ",".join(map(str, channels(getattr(palette, f"strong_{name}")))) for name in mixed}
    return " ".join(f"--saywhy-{name}: {value};" for name, value in {**plain, **mixed, **strong}.items())


class Palette(NamedTuple):
    """The colours of one scheme. `up` and `down` lie behind text at full strength, the strong ones draw bars."""

    paper: str
    ink: str
    muted: str  # small print
    line: str  # rules and tracks
    up: str
    down: str
    strong_up: str
    strong_down: str


LIGHT = Palette("#ffffff", "#1c2024", "#5b636d", "#e1e4e8", "#6baffa", "#f5a15e", "#186bc5", "#c4530f")
DARK = Palette("#16191d", "#eceff2", "#9aa4af", "#31373e", "#2063b0", "#9b4817", "#53a3f2", "#f28e42")
# A terminal may be dark or light and does not say, so there is no paper to start from: weak scores colour the letters,
# in hues that show on both; the others colour what is behind them, from these to those, all dark enough for white ink.
LETTERS_UP, LETTERS_DOWN = "#2b7bd0", "#c2611f"
BEHIND_UP, BEHIND_DOWN = ("#4575a8", "#1668c4"), ("#9c5f42", "#b34a0c")


def channels(color: str) -> tuple[int, int, int]:
    """Red, green and blue of "#rrggbb", 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def blend(start: str, end: str, t: float) -> str:
    """The colour `t` of the way from `start` to `end`, which is `end` laid over `start` with opacity `t`."""
    mixed = (round(a + (b - a) * t) for a, b in zip(channels(start), channels(end), strict=True))
    return "#" + "".join(f"{c:02x}" for c in mixed)


def strength(score: float, limit: float) -> float:
    """Where a score lies on the scale, -1 to 1; 0 where the scale is empty or the score is not a number."""
    if math.isnan(score) or limit <= 0:
        return 0.0
    return max(-1.0, min(1.0, score / limit))


def shade(score: float, limit: float, palette: Palette) -> str:
    """The background of a score on a scale that ends at ±`limit`."""
    t = strength(score, limit)
    return blend(palette.paper, palette.up if t > 0 else palette.down, abs(t))


def luminance(color: str) -> float:
    """The relative luminance of a colour, 0 to 1 (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in channels(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def ink_on(background: str) -> str:
    """Black or white, whichever is easier to read on this background."""
    return max("#ffffff", "#000000", key=lambda ink: contrast(ink, background))


def variables(selector: str) -> str:
    """The rules that give an element the palette as variables: `--ink`, `--paper`, `--muted`, `--line`, `--up`, `--down`, ….

    It follows the system's scheme, and the theme of a notebook that says which it has.
    """
    light, dark = _declared(LIGHT, "light"), _declared(DARK, "dark")
    switched = _SWITCHED if selector == ":root" else f"{_SWITCHED} {selector}"
    return (
        f"{selector}{{{light}}}"
        f"@media(prefers-color-scheme:dark){{{selector}{{{dark}}}}}"
        f'[data-jp-theme-light="true"] {selector},.vscode-light {selector}{{{light}}}'
        f'[data-jp-theme-light="false"] {selector},.vscode-dark {selector}{{{dark}}}'
        f"@media(prefers-color-scheme:light){{{switched}{{{dark}}}}}"
        f"@media(prefers-color-scheme:dark){{{switched}{{{light}}}}}"
        f"@media print{{{selector},{switched}{{{light}}}}}"
    )


def furniture(selector: str) -> str:
    """The palette of an element as variables, and what every page of ours has: sentence, badge, tables, focus, print, phones."""
    return (
        variables(selector)
        + ("" if selector == ":root" else f"{selector}{{padding:1rem 1.2rem;border-radius:10px}}")
        + "".join(
            f"{','.join(f'{selector} {each}' for each in rule.split(','))}{{{body}}}" for rule, body in _FURNITURE
        )
        + "".join(
            f"@media {media}{{{''.join(f'{selector} {rule}{{{body}}}' for rule, body in rules)}}}"
            for media, rules in _MEDIA
        )
    )


_SWITCHED = ":root:has(#saywhy-scheme:checked)"  # the reader has chosen the other scheme than the system's
_FURNITURE = (
    ("h1", "font-size:1.3em;line-height:1.35;margin:0 0 .3em;overflow-wrap:anywhere"),
    (".t", "overflow-x:auto;max-width:100%;margin:.4em 0"),
    (".t th:first-child,.t td:first-child", "position:sticky;left:0;z-index:1;background:var(--paper)"),
    ("td.up", "background:color-mix(in srgb,var(--up) calc(100%*var(--a)),var(--paper))"),
    ("td.down", "background:color-mix(in srgb,var(--down) calc(100%*var(--a)),var(--paper))"),
    (":focus-visible", "outline:3px solid var(--mark);outline-offset:2px"),
    (".badge", "display:inline-block;padding:.1em .6em;border-radius:1em;border:2px solid var(--muted);font-size:.85em;"
     "font-weight:600;white-space:nowrap;color:var(--ink);background:var(--paper)"),
    (".badge.high", "color:var(--paper);background:var(--strong-up);border-color:var(--strong-up)"),
    (".badge.low", "color:var(--paper);background:var(--strong-down);border-color:var(--strong-down)"),
)  # fmt: skip
_MEDIA = (
    ("(max-width:40em)", (("tr>:first-child", "max-width:9em;white-space:normal;overflow-wrap:break-word"),
                          (".badge", "white-space:normal"))),
    ("print", ((".t", "overflow:visible;max-height:none"), ("details::details-content", UNFOLDED))),
)  # fmt: skip


def _declared(palette: Palette, scheme: str) -> str:
    return (
        f"color-scheme:{scheme};--ink:{palette.ink};--paper:{palette.paper};--line:{palette.line};--muted:{palette.muted};"
        f"--up:{palette.up};--down:{palette.down};--mark:{palette.strong_up};--strong-up:{palette.strong_up};"
        f"--strong-down:{palette.strong_down}"
    )
