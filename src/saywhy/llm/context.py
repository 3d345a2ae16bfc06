"""A continuation token by token in one HTML page: choose a token, and the prompt shows what drove it.

No script: every token is a radio button, so the arrow keys go from one to the next, and style alone shows its prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..core.explanation import Explanation, Explanations
from ..render import content, headline, theme
from ..render.page import document, safe
from ..storage.atomic import write
from ..storage.paths import output_file

_MIX = "color-mix(in srgb,var(--{}) calc(100%*var(--a)),var(--paper))"
_STYLE = theme.furniture(".sw-c") + (
    ".sw-c{font:15px/1.7 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem}"
    ".sw-c input{position:absolute;opacity:0;width:1px;height:1px}"
    ".sw-c .h{font-size:1.3em;line-height:1.35;font-weight:600}"
    ".sw-c label{display:inline-block;white-space:pre;padding:0 .15rem;cursor:pointer;"
    "border-radius:.2rem;border-bottom:3px solid}"
    ".sw-c .v{display:none;white-space:pre-wrap;border:1px solid var(--line);border-radius:.3rem;padding:.5rem;margin-top:.6rem}"
    ".sw-c .v span{border-radius:.2rem}.sw-c small{color:var(--muted);display:block}"
    f".sw-c .up{{background:{_MIX.format('up')}}}.sw-c .down{{background:{_MIX.format('down')}}}"
    f".sw-c label.up{{background:none;border-color:{_MIX.format('up')}}}"
    f".sw-c label.down{{background:none;border-color:{_MIX.format('down')}}}"
)


class InContext(str):
    """The HTML fragment, which a notebook shows and which can be saved as a page of its own."""

    def _repr_html_(self) -> str:
        return str(self)

    def save(self, path: str | Path) -> Path:
        """Write a page that stands alone, .html; returns the path. Raises FileError for another ending."""
        file = output_file(path, (".html",))
        write(file, document("A continuation, token by token", str(self)).encode("utf-8", "backslashreplace"))
        return file


def in_context(explanations: Sequence[Explanation]) -> InContext:
    """HTML to put into any page: the tokens of a continuation, and the prompt as each of them sees it.

    One scale serves all, so tokens can be compared; a token's underline is as strong as the largest score behind it. Every string
    is escaped.

    Parameters
    ----------
    explanations
        Those of `each_target`: several targets over the same features of one prompt.

    Returns
    -------
    InContext
        A fragment of HTML with its own style, without script: a `str` that a notebook shows, with a method `save(path)`.

    Raises
    ------
    InputError
        For explanations of different prompts, and for none.
    """
    items = list(explanations)
    if not items or len(content.groups(items)) > 1:
        raise InputError(
            "in_context shows the tokens of one continuation: give what each_target returned for one prompt."
        )
    limit = max(content.limits(items))
    page = "sw" + sha256("".join(e.text + repr(e.scores.tolist()) for e in items).encode()).hexdigest()[:10]
    chosen = "".join(
        f"#{page}-{k}:checked~.t label[for={page}-{k}]{{background:var(--line)}}"
        f"#{page}-{k}:focus-visible~.t label[for={page}-{k}]{{outline:2px solid var(--mark)}}"
        f"#{page}-{k}:checked~#{page}-v{k}{{display:block}}"
        for k in range(len(items))
    )
    radios = "".join(
        f'<input type="radio" name="{page}" id="{page}-{k}" aria-label="{safe(content.label(e.target.label))}"'
        f"{' checked' if k == 0 else ''}>"
        for k, e in enumerate(items)
    )
    labels = "".join(
        f'<label for="{page}-{k}"{_strong(e, limit)}>{safe(content.visible(e.target.label))}</label>'
        for k, e in enumerate(items)
    )
    views = "".join(_view(e, f"{page}-v{k}", limit) for k, e in enumerate(items))
    about = f"Choose a token (arrow keys too): blue raised its {safe(items[0].target.unit)}, orange lowered it."
    return InContext(
        f'<div class="sw-c" lang="en"><style>{_STYLE}{chosen}</style><div class="h" role="heading" aria-level="1">'
        f"{safe(_sentence(items))}</div>{radios}<small>{about}</small>"
        f'<div class="t">{labels}</div>{views}</div>'
    )


def _sentence(items: Sequence[Explanation]) -> str:
    """What of the prompt moved the continuation most, over all its tokens."""
    sums = np.abs([e.scores for e in items]).sum(0) if items[0].features else np.zeros(0)
    if not float(np.nan_to_num(sums).sum()):
        return "Nothing in the prompt moved this continuation."
    best = items[0].features[int(np.nan_to_num(sums).argmax())]
    many = f"{len(items)} tokens" if len(items) > 1 else "one token"
    return f"'{content.shortened(best.label.strip(), 60)}' moved the {many} of this continuation most."


def _view(e: Explanation, name: str, limit: float) -> str:
    """The prompt as one token sees it; what has no place in the text (a slot) stands before it."""
    form = content.spec(limit)
    body, loose = [], []
    for part in content.parts(e):
        if part.name == "continuation":
            continue
        loose += [_piece(e, i, f"{part.name}: {e.features[i].label}", limit) for i in part.loose]
        body += [safe(content.visible(text)) if i is None else _piece(e, i, text, limit) for text, i in part.pieces]
    value = content.minus(content.amount(e.value, form))
    base = content.minus(content.amount(e.base, form))
    said = f"{safe(content.label(e.target.label))}: {safe(e.target.unit)} {value}, without all of these {base}"
    said += "" if e.trust is None else f" {headline.badge(e).html}"
    return f'<div class="v" id="{name}"><small>{said}</small>{" · ".join(loose)}{"<br>" if loose else ""}{"".join(body)}</div>'


def _piece(e: Explanation, i: int, text: str, limit: float) -> str:
    told = safe(content.exact(e, i))
    return f'<span{_shade(float(e.scores[i]), limit)} title="{told}">{safe(content.visible(text))}</span>'


def _strong(e: Explanation, limit: float) -> str:
    return _shade(float(max(e.scores, key=abs, default=0.0)), limit)


def _shade(score: float, limit: float) -> str:
    t = theme.strength(score, limit)
    return f' class="{"up" if t >= 0 else "down"}" style="--a:{abs(t):.3f}"'


def context_of(result: Explanations) -> InContext:
    """`in_context` of a whole continuation followed by its tokens, as the names of Captum return them."""
    return in_context(result.items[1:] if len(result) > 1 else result.items)
