"""The table that `visualize` draws: one row a target, every token on its colour. It needs no notebook and loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...render import theme
from ...render.page import document, safe
from ...storage.atomic import write
from .attributions import Record


class Page:
    """An HTML page: `.data` is its source, notebooks show it in line."""

    def __init__(self, records: Sequence[Record], predicted: str = "Predicted Label"):
        headers = ("True Label", predicted, "Attribution Label", "Attribution Score", "Word Importance")
        self.fragment = _table(records, headers)
        self.data = document("Word importance", self.fragment)

    @classmethod
    def of(cls, records: Sequence[Record], path: str | Path | None, predicted: str = "Predicted Label") -> Page:
        """The page of these rows, written to a path if one is given."""
        page = cls(records, predicted)
        if path is not None:
            page.save(path)
        return page

    def _repr_html_(self) -> str:
        return self.fragment

    def save(self, path: str | Path) -> Path:
        """Write the page, in UTF-8; `.html` is added to a path that does not end so."""
        path = Path(path)
        if path.suffix.lower() not in (".html", ".htm"):
            path = path.with_name(path.name + ".html")
        write(path, self.data.encode("utf-8"))
        return path


def _table(records: Sequence[Record], headers: Sequence[str]) -> str:
    head = "".join(f"<th>{safe(h)}</th>" for h in headers)
    rows = "\n".join(_row(record) for record in records)
    scheme = (
        ".saywhy-words{background:var(--p);color:var(--i);--p:#ffffff;--i:#1c2024;font:16px/1.9 system-ui,sans-serif}"
        ".saywhy-words table{border-collapse:collapse;width:100%}.saywhy-words th,.saywhy-words td"
        "{text-align:left;padding:.3em .7em;border-bottom:1px solid #8884;vertical-align:top}"
        ".saywhy-words mark{border-radius:.2em;padding:.1em .25em;color:inherit}"
        ".saywhy-words td:last-child{min-width:20em}"
        "@media(prefers-color-scheme:dark){.saywhy-words{--p:#16191d;--i:#eceff2}}"
    )
    key = "".join(
        f'<mark style="{_paint(t)}">{said}</mark> ' for t, said in ((-1, "lowers"), (0, "neutral"), (1, "raises"))
    )
    return (
        f'<div class="saywhy-words"><style>{scheme}</style><p>{key}</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(record: Record) -> str:
    cells = (
        record.true_class,
        f"{record.pred_class} ({record.pred_prob:.2f})",
        record.attr_class,
        f"{record.attr_score:.2f}",
    )
    limit = max((abs(float(s)) for s in record.word_attributions), default=0.0)
    words = " ".join(
        f'<mark style="{_paint(theme.strength(float(s), limit))}" title="{float(s):+.3f}">{safe(token)}</mark>'
        for token, s in zip(record.raw_input_ids, record.word_attributions, strict=False)
    )
    return "<tr>" + "".join(f"<td>{safe(c)}</td>" for c in cells) + f"<td>{words}</td></tr>"


def _paint(t: float) -> str:
    """A background of blue that raises or orange that lowers; half clear, so it suits light and dark paper."""
    strong = theme.LIGHT.strong_up if t > 0 else theme.LIGHT.strong_down
    red, green, blue = theme.channels(strong)
    return f"background:rgba({red},{green},{blue},{0.55 * abs(t):.2f})"
