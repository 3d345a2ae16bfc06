"""Prompts of a server that tells no tokens: features are spans of the text, and what is absent is left out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.errors import InputError, OptionError
from ...core.features import text_features, without_spans
from ...core.types import Bools, Encoding, Token
from ..causal.encode import features_within
from ..causal.prompts import Prompt, rendered
from ..protocol import EncodingOptions
from .scoring import Question
from .tokenizer import messages_in

EMPTY = " "  # servers refuse a prompt without any text


def shown(prompt: Sequence[Any]) -> str | Sequence[Any]:
    """A prompt as something that has an order and a length: ids or a text."""
    if isinstance(prompt, str) or not prompt or isinstance(prompt[0], int):
        return prompt
    return "\n".join(f"{role}: {content}" for role, content in prompt)


def text_encoding(prompt: Prompt, options: EncodingOptions, tokenizer: object, chats: bool) -> Encoding:
    """The rows of a prompt, a chat or a template as texts (messages, where `chats`), each with every continuation in turn."""
    if options.overlong != "refuse":
        raise OptionError("A prompt is read whole: shorten it; `overlong` is for texts that are classified.")
    goals = [_goal(goal) for goal in prompt.goals]

    def rows(texts: Sequence[str]) -> object:
        made = tuple(
            Question(
                (messages_in(text) or text) if chats else text or EMPTY, (), goal, 1, tuple(goals[:c] + goals[c + 1 :])
            )
            for text in texts
            for c, goal in enumerate(goals or [""])
        )
        return made if len(made) > 1 else made[0]

    whole, features, at, notes, draws = _prompt_rows(prompt, options, tokenizer, rows)
    parts = [f"{'written' if prompt.written and not c else 'continuation'}:{c}" for c in range(len(goals))]
    return Encoding(
        texts={"prompt": whole} | ({"continuation": goals[0]} if goals and goals[0].strip() else {}),
        features=features,
        at=at,
        notes=notes,
        labels=tuple(goals),
        tokens=tuple(Token(goal, part=part) for goal, part in zip(goals, parts, strict=True)),
        about=tuple(range(len(goals))) * draws if len(goals) > 1 else (),
        drawn=getattr(prompt.given, "drawn", 0) if prompt.slotted else 0,
    )


def _goal(goal: object) -> str:
    if goal is None:
        return ""
    if not isinstance(goal, str):
        raise InputError(
            "This server tells no tokens, so a target is a text; or give its tokenizer: Server(url, tokenizer=…)."
        )
    if not goal.strip():
        raise InputError(f"The target {goal!r} has no text: give the one whose probability is to be explained.")
    return goal


def _prompt_rows(
    prompt: Prompt, options: EncodingOptions, tokenizer: Any, rows: Callable[[Sequence[str]], Any]
) -> tuple[str, tuple[Any, ...], Callable[[Bools], list[Any]], tuple[str, ...], int]:
    """The prompt with everything present, its features, its rows, its notes, and how many fillings a row has."""
    given = prompt.given
    if prompt.slotted:
        [full] = given.filled(tokenizer, np.full((1, len(given.features)), True))

        def filled(coalitions: Bools) -> list[Any]:
            return [rows([told.text for told in each]) for each in given.filled(tokenizer, coalitions)]

        return full[0].text, given.features, filled, given.notes, len(full)
    told = rendered(given, tokenizer)
    by = features_within(told, options.by)
    if by == "token":
        raise OptionError("This server tells no tokens: use by='word', 'sentence' or spans, or give its tokenizer.")
    features = text_features(told.text, by, "prompt")
    if not features:
        raise InputError(f"There is no word in {told.text!r:.80}: there is nothing to explain.")
    placed = sorted((span, i) for i, feature in enumerate(features) for span in feature.spans)
    spans, owner = [span for span, _ in placed], [i for _, i in placed]

    def cut(coalitions: Bools) -> list[Any]:
        return [rows([without_spans(told.text, spans, keep)]) for keep in coalitions[:, owner].tolist()]

    return told.text, tuple(features), cut, (), 1
