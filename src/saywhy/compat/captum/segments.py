"""TextSegmentInput: the words, sentences, lines or paragraphs of a text as features."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.errors import OptionError, unknown
from ...core.features import Span, checked, segments
from ...llm import Template
from .inputs import TextTemplateInput

LEVELS = ("word", "sentence", "line", "paragraph")


class TextSegmentInput(TextTemplateInput):
    """A text whose segments are features; an absent one becomes `baselines`, or is taken out with the space before it.

    `level` is "word", "sentence", "line" or "paragraph"; `group_size` neighbours are one feature. Segments are those of
    `saywhy.Explainer(…)(text, by=level)`: "don't" is one word, and any script has words.
    """

    def __init__(self, text: str, level: str = "word", baselines: str | None = None, group_size: int = 1):
        if level not in LEVELS:
            raise unknown("level", level, LEVELS)
        if not isinstance(group_size, int) or group_size < 1:
            raise OptionError(f"`group_size` must be at least 1, not {group_size!r}.")
        self.text, self.level, self.group_size = checked(text), level, group_size
        spans = _groups(segments(text, level, "text") or [], group_size)
        rest = [
            text[a:b] for a, b in zip([0, *(end for _, end in spans)], [*(s for s, _ in spans), len(text)], strict=True)
        ]
        self.values = [text[start:end] for start, end in spans]

        def made(*slots: str) -> str:
            pieces = []
            for before, slot in zip(rest, slots, strict=False):
                pieces += [before if slot or baselines is not None else before.rstrip(), slot]
            return "".join([*pieces, rest[-1]])

        self.given = Template(made, self.values, None if baselines is None else [baselines] * len(spans))
        self.n_itp_features = len(spans)
        self.groups = self._at = list(range(len(spans)))


def _groups(spans: Sequence[Span], size: int) -> list[Span]:
    """Each `size` neighbours as one span, with what stands between them."""
    return [(spans[i][0], spans[min(i + size, len(spans)) - 1][1]) for i in range(0, len(spans), size)]
