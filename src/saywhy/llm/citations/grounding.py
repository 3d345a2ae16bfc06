"""The prompt that holds documents and a question: rendered once, with the place of every sentence in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import InputError, OptionError
from ...core.features import Span
from ...models.causal.prompts import Rendered
from ..chat import Chat, checked_messages
from .documents import Document, Splitter, split

TEMPLATE = "Answer the question from the documents alone.\n\n{documents}\n\nQuestion: {question}"
PLAIN = TEMPLATE + "\nAnswer:"  # of a model without a chat template
_SLOTS = ("{documents}", "{question}")


@dataclass(frozen=True, eq=False)
class Grounding:
    """Documents and a question as one prompt.

    A model with a chat template is asked in a conversation, whose last message holds both; any other is given the text itself.
    Headers, what separates the documents, and the question are always there.
    """

    documents: tuple[Document, ...]
    sentences: tuple[tuple[Span, ...], ...]  # of each document, as [start, end) in its text as it was given
    question: str
    history: Sequence[Mapping[str, Any]] = ()  # the messages before the question
    template: str | None = None
    splitter: Splitter | None = None

    def content(self, template: str) -> tuple[str, list[int]]:
        """The text of the prompt, and where each document's text begins in it."""
        before, middle, after, swapped = _parts(template)
        shown, starts = "", []
        for i, document in enumerate(self.documents):
            shown += ("\n\n" if i else "") + f"Document {i + 1}{': ' if document.title else ''}{document.title}\n"
            starts.append(len(shown))
            shown += document.text.strip()
        lead = before + (self.question + middle if swapped else "")
        text = lead + shown + (after if swapped else middle + self.question + after)
        return text, [len(lead) + start for start in starts]

    def rendered(self, tokenizer: object) -> Rendered:
        """The prompt as the model is given it; what it can do without are the sentences, in order."""
        if not getattr(tokenizer, "chat_template", None):
            if self.history:
                raise InputError(
                    "This model has no chat template, so it takes no conversation: give the question as a text."
                )
            text, starts = self.content(self.template or PLAIN)
            return Rendered(text, self._places(starts))
        text, starts = self.content(self.template or TEMPLATE)
        told = Chat([*self.history, {"role": "user", "content": text}], roles=("user",)).rendered(tokenizer)
        assert told.within is not None
        shift = told.within[-1][0] - (len(text) - len(text.lstrip()))
        return Rendered(told.text, self._places([shift + start for start in starts]), bare=True)

    def _places(self, starts: Sequence[int]) -> tuple[Span, ...]:
        """Where the sentences stand in the prompt, given where each document's text begins in it."""
        found: list[Span] = []
        for document, spans, start in zip(self.documents, self.sentences, starts, strict=True):
            shift = start - (len(document.text) - len(document.text.lstrip()))
            found += [(shift + a, shift + b) for a, b in spans]
        return tuple(found)


def _parts(template: str) -> tuple[str, str, str, bool]:
    """What stands before, between and after the two slots, and whether the question comes first."""
    swapped = template.find(_SLOTS[1]) < template.find(_SLOTS[0])
    first, second = _SLOTS[::-1] if swapped else _SLOTS
    before, _, rest = template.partition(first)
    middle, _, after = rest.partition(second)
    return before, middle, after, swapped


def grounding_of(
    question: Any, documents: tuple[Document, ...], splitter: Splitter | None, prompt: str | None
) -> Grounding:
    """The prompt of a question, or of a conversation that ends in one. Raises InputError and OptionError."""
    if prompt is not None and (not isinstance(prompt, str) or any(prompt.count(slot) != 1 for slot in _SLOTS)):
        raise OptionError(f"`prompt` is a text that holds {' and '.join(_SLOTS)} once each, not {prompt!r:.80}.")
    history: Sequence[Mapping[str, Any]] = ()
    if not isinstance(question, str):
        checked_messages(question)
        *history, last = question
        if last["role"] != "user":
            raise InputError(
                f"A conversation ends in the question, a message of the user's, not of the {last['role']}'s."
            )
        question = last["content"]
    if not question.strip():
        raise InputError("The question is blank.")
    sentences = tuple(tuple(split(document.text, splitter)) for document in documents)
    return Grounding(documents, sentences, question.strip(), history, prompt, splitter)
