"""A probe as text, as HTML, and as files."""

from __future__ import annotations

import csv
import io
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.display import one_line
from ..core.errors import missing
from ..render import content, theme
from ..render.headline import Badge, opening, spoken, title
from ..render.page import document, safe
from ..storage.atomic import write
from ..storage.paths import output_file

if TYPE_CHECKING:
    from .probe import Probe

EXACT = Badge("high", "✓", "exact: every combination was asked")
_MOST = 200  # rows of the table that a page shows; a file has all
_STYLE = theme.furniture(".sw-p") + (
    ".sw-p{font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem}"
    ".sw-p table{border-collapse:collapse;margin:.3rem 0 1rem}"
    ".sw-p caption{text-align:left;font-weight:600;padding:.3rem 0}"
    ".sw-p th,.sw-p td{border:1px solid var(--line);padding:.15rem .5rem;text-align:left}"
    ".sw-p td.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".sw-p .t{max-height:26rem}.sw-p th{background:var(--paper)}"
    "@media print{.sw-p .t{max-height:none}}"
)


def headline(probe: Probe) -> str:
    """Which slot moves the answer most, and between which of its values."""
    m = probe.ranking[0]
    if m.spread == 0:
        return f"No slot moves {probe.target!r}."
    between = f"{m.spread:.3g} higher with {m.highest!r} than with {m.lowest!r}"
    return f"{m.slot} moves {probe.target!r} most: its {probe.unit} is {between}."


def summary(probe: Probe) -> str:
    """The ranked slots and their values' main effects, as plain text."""
    lines = [
        opening(headline(probe), EXACT),
        f"{probe.target!r} after {probe.template!r:.100}",
        f"{probe.values.size:,} {'prompt' if probe.values.size == 1 else 'prompts'}, mean {probe.unit} {probe.mean:.4f}, "
        f"from {probe.values.min():.4f} to {probe.values.max():.4f}",
        "",
        f"{'slot':<16}{'spread':>10}{'alone':>8}{'with others':>13}  highest / lowest",
    ]
    for m in probe.ranking:
        lines.append(
            f"{m.slot:<16}{m.spread:>10.4f}{m.share:>8.0%}{m.shared:>13.0%}  {m.highest} / {m.lowest}"
        )  # fmt: skip
    for m in probe.ranking:
        effects = sorted(probe.main(m.slot).items(), key=lambda pair: -pair[1])
        told = [(value, content.signed(effect, ".4f")) for value, effect in effects]
        lines += ["", f"{m.slot}:", *(f"  {value:<28}{effect:>10}" for value, effect in told)]
    return "\n".join(map(one_line, lines))


def fragment(probe: Probe) -> str:
    """HTML tables: the ranking, main effects, pairwise interactions, and the combinations. Every string is escaped."""
    ranked = [
        [m.slot, f"{m.spread:.4f}", f"{m.share:.0%}", f"{m.shared:.0%}", m.highest, m.lowest] for m in probe.ranking
    ]
    heads = ["slot", f"spread ({probe.unit})", "share of variance alone", "with others", "highest", "lowest"]
    blocks = [_table("Which slot moves the answer most", heads, ranked)]
    limit = max(float(np.abs(list(probe.main(slot).values())).max()) for slot in probe.slots)
    for m in probe.ranking:
        rows = sorted(probe.main(m.slot).items(), key=lambda pair: -pair[1])
        cells = "".join(f"<tr><th scope=row>{safe(v)}</th>{_cell(e, limit)}</tr>" for v, e in rows)
        blocks.append(_framed(f"{m.slot}: main effects", ["value", probe.unit], cells))
    blocks += [_pair(probe, a, b) for a, b in combinations(probe.slots, 2)]
    every = probe.rows()
    shown = [[*(str(row[slot]) for slot in probe.slots), f"{row[probe.unit]:.4f}"] for row in every[:_MOST]]
    note = "" if len(every) <= _MOST else f" (the first {_MOST} of {len(every):,})"
    blocks.append(_table(f"Every combination{note}", [*probe.slots, probe.unit], shown))
    about = f"{safe(repr(probe.target))} after {safe(repr(probe.template))}, {safe(probe.model)}; mean {probe.mean:.4f}"
    head = f"{title(headline(probe), EXACT)}<p>{spoken(about)}</p>"
    return f'<div class="sw-p" lang="en"><style>{_STYLE}</style>{head}{"".join(blocks)}</div>'


def _pair(probe: Probe, first: str, second: str) -> str:
    found = probe.interaction(first, second)
    limit = float(np.abs(found).max())
    rows = "".join(
        f"<tr><th scope=row>{safe(value)}</th>{''.join(_cell(float(x), limit) for x in row)}</tr>"
        for value, row in zip(probe.slots[first], found, strict=True)
    )
    return _framed(f"{first} with {second}: beyond both main effects", [first, *probe.slots[second]], rows)


def _cell(x: float, limit: float) -> str:
    t, number = theme.strength(x, limit), content.minus(content.signed(x, ".4f"))
    return f'<td class="n {"up" if t >= 0 else "down"}" style="--a:{abs(t):.3f}">{number}</td>'


def _table(caption: str, heads: list[str], rows: list[list[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{spoken(safe(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return _framed(caption, heads, body)


def _framed(caption: str, heads: list[str], body: str) -> str:
    head = "".join(f"<th scope=col>{safe(name)}</th>" for name in heads)
    name = safe(caption)
    return (
        f'<div class="t" role="group" tabindex="0" aria-label="{name}"><table><caption>{name}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def save(probe: Probe, path: Path) -> Path:
    """Write the probe by the ending of `path`; returns the path."""
    makers = {".csv": _csv, ".parquet": _parquet, ".html": _page, ".txt": _text}
    write(path, makers[output_file(path, makers).suffix.lower()](probe))
    return path


def _page(probe: Probe) -> bytes:
    return document(f"{probe.target}: a probe", fragment(probe)).encode()


def _text(probe: Probe) -> bytes:
    return (summary(probe) + "\n").encode()


def _csv(probe: Probe) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, [*probe.slots, probe.unit], lineterminator="\n")
    writer.writeheader()
    writer.writerows(probe.rows())
    return out.getvalue().encode()


def _parquet(probe: Probe) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing("pyarrow", "Parquet", "table") from error
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(probe.rows()), out)
    return out.getvalue()
