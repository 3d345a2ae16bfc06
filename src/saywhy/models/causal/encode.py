"""From a prompt and its continuations to rows: which ids, whose they are, and what stands in for what is absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import regex

from ...core.errors import InputError, OptionError
from ...core.features import Granularity, segments
from ...core.types import Bools, Encoding, Held, Ints, Token
from ..protocol import EncodingOptions
from ..text.tokens import Absence, Reading, Tokens, blank_id, tokenised, without
from .prompts import Goal, Prompt, Rendered, Scored, doubled, rendered, spoken


class PromptReader(Protocol):
    """What of a language model says how prompts become rows: one at hand, or one behind a server."""

    tokenizer: Any
    config: Any
    limit: int | None
    tables: tuple[Any, ...]
    decodes: bool

    @property
    def decoder_prefix(self) -> Ints:
        """What a decoder is given before the continuation."""

    def replacement_id(self, absent: str) -> int | None:
        """The id that stands for an absent token."""


_SPACE = "a new word begins with a space in the target"
_LETTER = regex.compile(
    r"(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}])[\p{L}\p{N}]"
)
NOTHING: Ints = np.zeros(0, dtype=np.int64)


def encoding_of(model: PromptReader, prompt: Prompt, options: EncodingOptions) -> Encoding:
    """The rows of a prompt or a template, each followed by every continuation in turn.

    Raises InputError for a prompt without features, an empty continuation, and one that does not fit behind the prompt.
    """
    if options.overlong != "refuse":
        raise OptionError("A prompt is read whole: shorten it; `overlong` is for texts that are classified.")
    goals = [goal_of(model, goal) for goal in prompt.goals]
    return _slots(model, prompt, goals) if prompt.slotted else _text(model, prompt, goals, options)


def _text(model: PromptReader, prompt: Prompt, goals: list[Ints], options: EncodingOptions) -> Encoding:
    told = rendered(prompt.given, model.tokenizer)
    options = replace(options, by=features_within(told, options.by))
    unknown = model.tokenizer.unk_token_id
    special = tuple(i for i in getattr(model.tokenizer, "all_special_ids", ()) if i != unknown)
    held = Held(special=special, within=told.within)
    t = tokenised(model.tokenizer, {"prompt": told.text}, None, options, held, Reading(told.bare))
    width = max((len(goal) for goal in goals), default=0)
    whole = [Scored(_room(model, t.row.ids, goal), goal, width) for goal in goals or [NOTHING]]
    replacement_id = model.replacement_id(options.absent)
    in_ids = replacement_id != model.tokenizer.pad_token_id or not model.tables
    absence = Absence(options.absent, blank_id(model.tokenizer), replacement_id, in_ids)

    def at(coalitions: Bools) -> list[Any]:
        gone = (t.owner >= 0) & ~coalitions[:, t.owner]  # [N, S]
        made = zip(*(without(row, gone, absence) for row in whole), strict=True)
        return [rows if len(rows) > 1 else rows[0] for rows in made]

    owner = np.concatenate([_owner(model, t.owner, goal) for goal in goals or [NOTHING]])
    return _encoding(model, prompt, goals, told, at, replace(t, owner=owner))


def features_within(told: Rendered, by: Granularity) -> Granularity:
    """What the features are; those of a chat lie each in one of its messages."""
    if told.within is None:
        if by == "message":
            raise OptionError("by='message' is for a saywhy.llm.Chat, whose messages are the features.")
        return by
    if by == "message":
        return {"prompt": told.within}
    if by == "token" or not isinstance(by, str):
        return by
    found = [
        (a + start, a + end) for a, b in told.within for start, end in segments(told.text[a:b], by, "prompt") or ()
    ]
    return {"prompt": found}


def _slots(model: PromptReader, prompt: Prompt, goals: list[Ints]) -> Encoding:
    template, width = prompt.given, max((len(goal) for goal in goals), default=0)
    known: dict[Rendered, Ints] = {}

    def row(told: Rendered, goal: Ints) -> Scored:
        if told not in known:
            known[told] = ids_of(model, told)
        blank = None if told.blank is None or not any(told.blank) else np.array(told.blank)
        return Scored(_room(model, known[told], goal), goal, width, blank)

    def at(coalitions: Bools) -> list[Any]:
        filled = template.filled(model.tokenizer, coalitions)
        made = [tuple(row(told, goal) for told in each for goal in goals) for each in filled]
        return [rows if len(rows) > 1 else rows[0] for rows in made]

    n = len(template.features)
    full, none = template.filled(model.tokenizer, np.array([[True] * n, [False] * n]))
    for told in (full[0], *none):
        for goal in goals or [NOTHING]:
            row(told, goal)
    made = _encoding(model, prompt, goals, full[0], at, None)
    owner = None
    if prompt.differentiable and goals:
        owner = np.concatenate([_owner(model, template.owner, goal) for goal in goals])
    return replace(
        made,
        features=placed(full[0].text, model.tokenizer)
        if (placed := getattr(template, "placed", None))
        else template.features,
        owner=owner,
        notes=made.notes + template.notes,
        about=made.about * len(full),
        drawn=getattr(template, "drawn", 0),
    )


def _owner(model: PromptReader, owner: Ints, goal: Ints) -> Ints:
    """[S + T - 1]: the continuation belongs to no feature; a decoder's is not among the positions."""
    return np.concatenate([owner, np.full(0 if model.decodes else max(0, len(goal) - 1), -1, dtype=np.int64)])


def _encoding(
    model: PromptReader,
    prompt: Prompt,
    goals: list[Ints],
    told: Rendered,
    at: Callable[[Bools], Sequence[Any]],
    t: Tokens | None,
) -> Encoding:
    names = [
        goal if isinstance(goal, str) else str(model.tokenizer.decode(ids)) if len(ids) else ""
        for goal, ids in zip(prompt.goals, goals, strict=True)
    ]
    parts = [f"{'written' if prompt.written and not c else 'continuation'}:{c}" for c in range(len(goals))]
    said = [
        Token(spoken(model.tokenizer, int(i)), part=part)
        for part, ids in zip(parts, goals, strict=True)
        for i in ids
    ]  # fmt: skip
    notes = dict.fromkeys(note for goal in prompt.goals if (note := _joint(model, told, goal)) is not None)
    return Encoding(
        texts={"prompt": told.text} | ({"continuation": names[0]} if names and names[0].strip() else {}),
        features=() if t is None else t.features,
        at=at,
        owner=None if t is None else t.owner,
        notes=tuple(notes),
        labels=tuple(names),
        label_ids=tuple(tuple(map(int, ids)) for ids in goals),
        tokens=(() if t is None else t.tokens) + tuple(said),
        about=tuple(range(len(goals))) if len(goals) > 1 else (),
    )


def ids_of(model: PromptReader, told: Rendered) -> Ints:
    """[S]: the ids of a prompt, with no beginning token twice."""
    if told.ids is not None:
        return np.array(told.ids, dtype=np.int64)
    bare = told.bare or doubled(told.text, model.tokenizer)
    found = model.tokenizer(told.text, add_special_tokens=not bare, verbose=False)["input_ids"]
    return np.array(found or [blank_id(model.tokenizer)], dtype=np.int64)


def goal_of(model: PromptReader, wanted: Goal) -> Ints:
    """[T]: the ids of a continuation, without special tokens. Raises InputError for one that is empty."""
    if wanted is None:
        return NOTHING
    ids: Sequence[int] = wanted  # type: ignore[assignment]
    if isinstance(wanted, str):
        if not wanted.isascii() and any("\ud800" <= char <= "\udfff" for char in wanted):
            raise InputError(f"The target {wanted!r:.80} holds half a character, which no tokenizer reads.")
        ids = model.tokenizer(wanted, add_special_tokens=False, verbose=False)["input_ids"]
    if not len(ids):
        raise InputError(f"The target {wanted!r} has no token: give the text whose probability is to be explained.")
    known = getattr(model.config, "vocab_size", None)
    if isinstance(known, int) and not 0 <= min(ids) <= max(ids) < known:
        raise InputError(f"The target {wanted!r:.80} has ids outside the model's vocabulary of {known}.")
    return np.array(ids, dtype=np.int64)


def _room(model: PromptReader, ids: Ints, goal: Ints) -> Ints:
    """The prompt's ids, if it fits into the model together with the continuation."""
    after = max(0, len(goal) - 1)
    longest = max(len(ids), len(model.decoder_prefix) + after) if model.decodes else len(ids) + after
    if model.limit is not None and longest > model.limit:
        raise InputError(
            f"The prompt has {len(ids)} tokens and the target {len(goal)}; the model can read {model.limit}. Shorten one."
        )
    return ids


def _joint(model: PromptReader, told: Rendered, wanted: Goal) -> str | None:
    """A note where prompt and target, written together, would be other tokens than one after the other, or one word."""
    if model.decodes or not isinstance(wanted, str) or told.ids is not None:
        return None
    apart = [*ids_of(model, told).tolist(), *goal_of(model, wanted).tolist()]
    if ids_of(model, replace(told, text=told.text + wanted)).tolist() != apart:
        hint = "" if wanted[:1].isspace() else f"; {_SPACE}"
        return f"prompt and target written together would be other tokens than one after the other{hint}"
    spaced = goal_of(model, " " + wanted).tolist() != goal_of(model, wanted).tolist()
    return (
        f"the target goes on with the prompt's last word; {_SPACE}" if spaced and _goes_on(told.text, wanted) else None
    )


def _goes_on(text: str, wanted: str) -> bool:
    """Do two letters meet, of a script that puts spaces between its words?"""
    return bool(_LETTER.fullmatch(text[-1:]) and _LETTER.fullmatch(wanted[:1]))
