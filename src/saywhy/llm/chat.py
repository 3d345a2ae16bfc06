"""A conversation as a prompt: rendered by the model's own chat template, with the messages' words as features."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.checks import one_of, several, yes_or_no
from ..core.errors import InputError
from ..core.features import Span
from ..models.causal.prompts import Rendered


@dataclass(frozen=True)
class Chat:
    """Messages [{"role": …, "content": …}, …] as the prompt that the model's chat template makes of them.

    The features lie in the messages (with `by="message"` they are the messages); what the template puts around them is always
    there. The template's beginning token is the only one.

    Parameters
    ----------
    messages
        The conversation.
    roles
        Those whose messages hold features; by default all.
    tools, reply
        For the template; `reply`: does the prompt end where the assistant begins?
    """

    messages: Sequence[Mapping[str, Any]]
    roles: tuple[str, ...] = ()
    tools: Sequence[Any] | None = None
    reply: bool = True

    def __post_init__(self) -> None:
        checked_messages(self.messages)
        held = [str(message["role"]) for message in self.messages]
        for role in several("roles", self.roles, "roles"):
            one_of("role in `roles`", role, dict.fromkeys(held))
        if self.tools is not None:
            several("tools", self.tools, "tools")
        yes_or_no("reply", self.reply)

    def rendered(self, tokenizer: object) -> Rendered:
        """The whole prompt, and where each message stands in it."""
        text, places = self._placed(tokenizer)
        wanted = {i for i, m in enumerate(self.messages) if not self.roles or m["role"] in self.roles}
        return Rendered(text, tuple(span for i, span in places.items() if i in wanted), bare=True)

    def _placed(self, tokenizer: object) -> tuple[str, dict[int, Span]]:
        """The prompt, and where each message stands in it: where marks stand that the template is given in their places."""
        text = in_template(self.messages, tokenizer, tools=self.tools, reply=self.reply)
        contents = [message["content"].strip() for message in self.messages]
        mark = "SAYWHY"
        while mark in text:
            mark += "Y"
        marked = []
        for i, (message, content) in enumerate(zip(self.messages, contents, strict=True)):
            given = message["content"]
            marked.append({**message, "content": given.replace(content, f"{mark}{i}E", 1) if content else given})
        bare = in_template(marked, tokenizer, tools=self.tools, reply=self.reply)
        places: dict[int, Span] = {}
        at = 0
        pieces = re.split(f"{mark}([0-9]+)E", bare)  # what the template says, a message's number, and so on
        for k, piece in enumerate(pieces):
            said = contents[int(piece)] if k % 2 else piece
            if not text.startswith(said, at):
                break
            if k % 2:
                places.setdefault(int(piece), (at, at + len(said)))
            at += len(said)
        for i, content in enumerate(contents):
            if content and i not in places:
                raise InputError(
                    f"The chat template leaves out or rewrites the {self.messages[i]['role']} message {content!r:.60}."
                )
        return text, places


def checked_messages(messages: object) -> None:
    """Refuses what is no list of messages with a role and a text."""
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence) or not messages:
        raise InputError(f'A chat is a list of {{"role": …, "content": …}} messages, not {messages!r:.80}')
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
            raise InputError(f'Message {i} must have a "role" and a "content": {message!r:.80}')
        if not isinstance(message["content"], str):
            raise InputError(f"The content of message {i} must be a text, not {type(message['content']).__name__}.")


def in_template(
    messages: Sequence[Mapping[str, Any]], tokenizer: Any, *, tools: Sequence[Any] | None = None, reply: bool = True
) -> str:
    """The text that the tokenizer's chat template makes of messages. Raises InputError where there is no such template."""
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            f"{type(tokenizer).__name__} has no chat template: give the prompt as a text, or set tokenizer.chat_template."
        )
    given = [dict(message) for message in messages]
    more = {} if tools is None else {"tools": list(tools)}
    text = tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=reply, **more)
    return str(text)
