"""The sentences of an answer, and which of its tokens each of them is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import regex

from ...core.features import Span
from .documents import Splitter, split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Sentences of these words alone join others, and say nothing that a document could hold.
_JOINING = frozenset(
    """a about according above also an and answer are as based below but course documents final finally first following
    follows for from given here hope however in information is it let me moreover next no now ok okay on provided
    reason sure summary that the then therefore these this thus to us well why you""".split()  # noqa: SIM905
)
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}'’]+")


@dataclass(frozen=True)
class Spoken:
    """One sentence of the answer, before it has sources."""

    text: str
    span: Span  # in the answer's text
    tokens: tuple[int, int]  # [start, end) of the answer's tokens

    @property
    def joins(self) -> bool:
        """Does it only join other sentences ("Here is the answer:"), so that there is nothing to cite?"""
        return all(word.lower() in _JOINING for word in _WORD.findall(self.text))


def token_ends(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], given: str | None = None
) -> tuple[str, list[int]]:
    """The text of an answer, and where each of its tokens ends in it.

    A text that was given stays as it was, where the tokenizer tells its offsets; else it is what the ids decode to, at the cost
    of one decoding a token.
    """
    if given is not None and getattr(tokenizer, "is_fast", False):
        told = tokenizer(given, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        if list(told["input_ids"]) == list(ids):
            return given, [int(end) for _, end in told["offset_mapping"]]
    ends = [len(str(tokenizer.decode(list(ids[: i + 1])))) for i in range(len(ids))]
    return str(tokenizer.decode(list(ids))), ends


def spoken(text: str, ends: Sequence[int], splitter: Splitter | None) -> list[Spoken]:
    """The sentences of an answer: a token belongs to the first sentence that ends where it ends, or after."""
    spans = split(text, splitter) or [(0, len(text))]
    out, at = [], 0
    for k, (start, end) in enumerate(spans):
        stop = at
        while stop < len(ends) and (ends[stop] <= end or k == len(spans) - 1):
            stop += 1
        if stop == at and stop < len(ends):  # a token that reaches into the next sentence is the first one's
            stop += 1
        if stop > at:
            out.append(Spoken(text[start:end], (start, end), (at, stop)))
        at = stop
    return out
