"""Prompted: a language model as a text classifier, by the log-probabilities of its labels after a prompt."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import several
from ..core.errors import InputError, MethodError, OptionError
from ..core.features import Granularity
from ..core.types import Bools, Encoding, Estimate, Held
from ..explain.explainer import Explainer
from ..models.causal.prompts import Prompt, Rendered
from ..models.labels import label_names
from ..models.protocol import EncodingOptions, Model
from .chat import Chat, checked_messages

if TYPE_CHECKING:
    from torch import Tensor

SLOT = "{text}"


@dataclass(frozen=True, eq=False)
class Prompted:
    """A text classifier made of a prompt: each label's number is its log-probability after the prompt with the text in it.

    Give it to an `Explainer`: the features are those of the text alone, and the prompt around it always stays.

    Parameters
    ----------
    model
        A `saywhy.Server`, an address, a GGUF file, or a language model as `Explainer` takes it: a name, a folder,
        ``(model, tokenizer)``.
    prompt
        A text, or messages, in which ``{text}`` stands once.
    labels
        What the model may answer. Each is scored as an answer of its own, after a space where the prompt does not end in white
        space.
    names
        What the labels are called, in their order; by default as they are.

    Raises
    ------
    OptionError
        For a prompt without its place for the text, and labels that are fewer than two or equal.
    """

    model: Any
    prompt: Any
    labels: Sequence[str]
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "labels", tuple(str(label) for label in several("labels", self.labels, "texts")))
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels) or not all(s.strip() for s in self.labels):
            raise OptionError(f"`labels` are two different texts or more, not {list(self.labels)!r:.80}.")
        put(
            self,
            "names",
            tuple(label.strip() for label in self.labels) if self.names is None else label_names(self.names),
        )
        if len(self.names or ()) != len(self.labels):
            raise OptionError(f"{len(self.names or ())} names were given for {len(self.labels)} labels.")
        if not isinstance(self.prompt, str):
            checked_messages(self.prompt)
        texts = [self.prompt] if isinstance(self.prompt, str) else [m["content"] for m in self.prompt]
        if sum(text.count(SLOT) for text in texts) != 1:
            raise OptionError(f"The prompt has the place {SLOT} exactly once: {self.prompt!r:.80}")

    def adapter(self) -> PromptedModel:
        """The classifier, its language model loaded or asked what it can do.

        Raises
        ------
        ModelError
            As making an `Explainer` does.
        """
        return PromptedModel(self, Explainer(self.model, task="text-generation").model)


@dataclass(frozen=True, eq=False)
class _Around:
    """A text within its prompt: the features lie in the text."""

    prompt: Any
    text: str

    def rendered(self, tokenizer: object) -> Rendered:
        if isinstance(self.prompt, str):
            start = self.prompt.index(SLOT)
            whole = self.prompt[:start] + self.text + self.prompt[start + len(SLOT) :]
            return Rendered(whole, ((start, start + len(self.text)),))
        filled = [{**message, "content": message["content"].replace(SLOT, self.text)} for message in self.prompt]
        told = Chat(filled).rendered(tokenizer)
        which = next(i for i, message in enumerate(self.prompt) if SLOT in message["content"])
        before = self.prompt[which]["content"].lstrip().index(SLOT)
        start = (told.within or ())[which][0] + before
        if told.text[start : start + len(self.text)] != self.text:
            raise InputError(f"The chat template rewrites the text {self.text!r:.60}.")
        return replace(told, within=((start, start + len(self.text)),))


@dataclass(frozen=True, eq=False)
class Rows:
    """One filled prompt with each label after it: rows of the language model, which the engine takes as one."""

    each: tuple[Any, ...]


class PromptedModel(Model[Rows]):
    """Rows are filled prompts, outputs the log-probabilities of the labels [B, L]. No gradients."""

    head = "labels"
    kind = "softmax"
    prefix_sharing = True

    def __init__(self, prompted: Prompted, inner: Model[Any]):
        self.prompted, self.inner = prompted, inner
        self.labels: tuple[str, ...] = tuple(prompted.names or ())
        self.name = f"{inner.name}, prompted"
        self.batch_tokens, self.absences = inner.batch_tokens, tuple(a for a in inner.absences if a != "zero")
        self.deterministic, self.costly, self.limit = inner.deterministic, inner.costly, inner.limit
        self.samples = inner.samples
        self.goals = self._goals()

    def __repr__(self) -> str:
        return f"<{', '.join(self.labels)} by {self.inner!r}>"

    def _goals(self) -> tuple[Any, ...]:
        """The labels as continuations; of a server that tells the first token alone, their first tokens."""
        prompt = self.prompted.prompt
        spaced = isinstance(prompt, str) and not prompt[-1:].isspace()
        goals: tuple[Any, ...] = tuple(
            f" {label}" if spaced and not label[:1].isspace() else label for label in self.prompted.labels
        )
        found = getattr(self.inner, "found", None)
        if not getattr(self.inner, "first_token_only", False) or found is None or not found.ids:
            return goals
        first = tuple(
            (int(self.inner.text_tokenizer(goal, add_special_tokens=False)["input_ids"][0]),) for goal in goals
        )
        if len(set(first)) < len(first):
            raise OptionError(
                f"The labels {list(self.labels)} begin with the same token, and this server tells the first only."
            )
        return first

    def encode(self, parts: Mapping[str, Any], options: EncodingOptions, held: Held | None = None) -> Encoding:
        if len(parts) != 1 or held is not None:
            raise OptionError("A prompted classifier takes one text at a time, not a pair.")
        [(part, text)] = parts.items()
        around = _Around(self.prompted.prompt, text)
        told = around.rendered(self.inner.text_tokenizer)
        start = (told.within or ((0, 0),))[0][0]
        made = self.inner.encode_prompt(
            Prompt(around, self.goals), replace(options, by=_moved(options.by, part, start))
        )

        def at(coalitions: Bools) -> list[Rows]:
            return [Rows(row if isinstance(row, tuple) else (row,)) for row in made.at(coalitions)]

        features = tuple(
            replace(
                f,
                part=part,
                span=_back(f.span, start),
                more_spans=tuple((a - start, b - start) for a, b in f.more_spans),
            )
            for f in made.features
        )
        return Encoding({part: text}, features, at, notes=made.notes, labels=self.labels)

    def sizes(self, rows: Sequence[Rows]) -> list[int]:
        return [sum(self.inner.sizes(row.each)) for row in rows]

    def keys(self, rows: Sequence[Rows]) -> list[Hashable]:
        return [tuple(self.inner.keys(row.each)) for row in rows]

    def bundles(self, rows: Sequence[Rows], budget: int) -> list[list[int]] | None:
        """Of a server all that are asked at once, in the order in which it had best be asked."""
        if not self.costly:
            return None
        return self.inner.bundles([row.each[0] for row in rows], budget)

    def forward(self, rows: Sequence[Rows], points: Sequence[Tensor] | None = None) -> Tensor:
        import torch

        if points is not None:
            raise MethodError("A prompted classifier has no gradients here; explain the prompt itself for those.")
        flat = [each for row in rows for each in row.each]
        sums: list[float] = [0.0] * len(flat)
        for batch in self._batches(flat):
            for i, told in zip(batch, self.inner.forward([flat[i] for i in batch]), strict=True):
                sums[i] = float(torch.as_tensor(told).double().sum())
        return torch.tensor(np.reshape(sums, (len(rows), -1)), dtype=torch.float64)

    def _batches(self, flat: Sequence[Any]) -> list[list[int]]:
        if not self.inner.uniform:
            return [list(range(len(flat)))]
        lengths: dict[int, list[int]] = {}
        for i, size in enumerate(self.inner.sizes(flat)):
            lengths.setdefault(size, []).append(i)
        return list(lengths.values())

    def afford(self, estimate: Estimate, shown: bool) -> None:
        self.inner.afford(estimate, shown)

    def requests(self, rows: Sequence[Rows]) -> int:
        return sum(self.inner.requests(row.each) for row in rows)

    def repeated(self) -> AbstractContextManager[Any]:
        return self.inner.repeated()

    def remarks(self, keys: Sequence[Hashable]) -> tuple[str, ...]:
        return self.inner.remarks([key for row in keys if isinstance(row, tuple) for key in row])

    def frozen(self) -> AbstractContextManager[None]:
        return self.inner.frozen()


def _moved(by: Granularity, part: str, start: int) -> Granularity:
    """What the features shall be, told of the prompt in place of the text."""
    if isinstance(by, str):
        return by
    given = by[part] if isinstance(by, Mapping) and part in by else by
    if isinstance(given, Mapping):
        return given

    def moved(item: Any) -> Any:
        pair = tuple(item)
        return (
            tuple(int(i) + start for i in pair)
            if pair and hasattr(pair[0], "__index__")
            else [moved(one) for one in pair]
        )

    return {"prompt": [moved(item) for item in given]}


def _back(span: tuple[int, int] | None, start: int) -> tuple[int, int] | None:
    return None if span is None else (span[0] - start, span[1] - start)
