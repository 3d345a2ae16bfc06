"""Texts of every kind, explained, drawn and read back."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import saywhy
from saywhy.core.errors import SaywhyError
from saywhy.render import figure, html, terminal

from .trials import counting, demo, only_ours, scratch

SIGNS = "()[]{}\"'„“.,;:!?#@$%&*-–—…\x1b\x00\x07\u202e\u2028\u200d\ufe0f\r\n\t "
texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=SIGNS + "abc", max_size=60),
    st.lists(st.sampled_from(["good", "ไทย", "ありがとう", "👍🏽", "मैं", "not", "(", ")", "$5", "@bob", "#x", '"so"']), max_size=12).map(" ".join),
)  # fmt: skip


def sound(e: Any) -> None:
    """It can be drawn in every way, and comes back from its file with the same scores."""
    page, plain = html.page(e), terminal.plain(e)
    assert "<script" not in page
    assert not any(c in plain + repr(e) for c in "\x1b\x00\x07\x9b\u202e")
    if len(saywhy.Explanations((e,)) if isinstance(e, saywhy.Explanation) else e) in range(1, 25):
        figure.svg(e)


def check_text(text: str) -> None:
    for explainer in (counting(), demo()):
        e = only_ours(lambda explainer=explainer: explainer(text, trust="none", method="occlusion"))
        if isinstance(e, SaywhyError):
            continue
        assert np.isfinite(e.scores).all()
        sound(e)
        again = saywhy.load(e.save(scratch() / "text.json"))
        assert again.texts == e.texts
        assert np.array_equal(again.scores, e.scores)
