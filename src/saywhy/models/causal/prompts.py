"""What a language model is asked: a prompt, and the continuations whose probability after it is explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ...core.errors import InputError
from ...core.features import Span, checked
from ...core.types import Array, Bools, Feature, Ints

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Goal: TypeAlias = "str | tuple[int, ...] | None"  # a text, token ids, or what the model itself will write


@dataclass(frozen=True)
class Rendered:
    """A prompt as one string."""

    text: str
    within: tuple[Span, ...] | None = None  # where its features lie (the messages of a chat); None is anywhere
    bare: bool = False  # does it bring its own special tokens, so that none are added?
    ids: tuple[int, ...] | None = None  # its tokens, where they are known already
    blank: tuple[bool, ...] | None = None  # which of them are the zero vector


class Rendering(Protocol):
    """What becomes one prompt: a chat."""

    def rendered(self, tokenizer: object) -> Rendered:
        """The prompt as this tokenizer's model wants it."""


class Filling(Protocol):
    """What becomes other prompts when features are absent: a template."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """Its slots."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the absent slots."""

    def filled(self, tokenizer: Any, coalitions: Bools) -> Sequence[Sequence[Rendered]]:
        """For each coalition of [N, n] its prompts; the answer is the mean over them, and they are always as many.

        Where there is one, of one length, an attribute `owner` [S] may tell each position's feature, for gradients. Where they
        are a random choice of more, an attribute `drawn` says how many they are. A method `placed(text, tokenizer)` may give the
        features with their places in the prompt that has all of them.
        """


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt with the continuations asked about; one that is None is written by the model first."""

    given: Any  # a string, a Rendering or a Filling
    goals: tuple[Goal, ...] = ()
    written: bool = False  # did the model itself write the first one?

    @property
    def slotted(self) -> bool:
        """Is it a template, whose features are slots?"""
        return hasattr(self.given, "filled")

    @property
    def differentiable(self) -> bool:
        """Can gradients follow its features?"""
        return not self.slotted or hasattr(self.given, "owner")


@dataclass(frozen=True, eq=False)
class Scored:
    """One row: a prompt, some of it absent, and the continuation that is scored after it."""

    ids: Ints  # [S] the prompt
    goal: Ints  # [T] the continuation
    width: int  # how many numbers the row's output has; those after T are zero
    absent: Bools | None = None  # [S] positions whose embedding is replaced by `replacement_id`'s
    replacement_id: int | None = None  # None is the zero vector

    def only(self, kept: slice | Array) -> Scored:
        """The row of these positions of the prompt alone."""
        return replace(self, ids=self.ids[kept])


def rendered(given: object, tokenizer: PreTrainedTokenizerBase) -> Rendered:
    """A prompt with everything present. Raises InputError for what is no prompt, and for a blank one."""
    if hasattr(given, "filled"):
        return filled_whole(given, tokenizer)
    if isinstance(given, str):
        made = Rendered(given)
    elif hasattr(given, "rendered"):
        made = given.rendered(tokenizer)
    else:
        raise InputError(
            f"A prompt is a string, a saywhy.llm.Template or a saywhy.llm.Chat, not {type(given).__name__}: {given!r:.80}"
        )
    checked(made.text, "prompt")
    return made if made.bare or not doubled(made.text, tokenizer) else Rendered(made.text, made.within, bare=True)


def filled_whole(given: Any, tokenizer: object) -> Rendered:
    """The prompt of a Filling with everything present."""
    full: Rendered = given.filled(tokenizer, np.full((1, len(given.features)), True))[0][0]
    return full


def doubled(text: str, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Would the tokenizer put a second beginning token before the one that the text brings?"""
    first, start = tokenizer.bos_token_id, tokenizer.bos_token
    if first is None or not start or not text.startswith(str(start)):
        return False
    ids = tokenizer(text, verbose=False)["input_ids"]
    bare = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return len(ids) > len(bare) and ids[:2] == [first, first]


def spoken(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """One token as a person reads it; the vocabulary's own name where it is no text of its own."""
    text = str(tokenizer.decode([token]))
    return text if text and "\ufffd" not in text else str(tokenizer.convert_ids_to_tokens(token))
