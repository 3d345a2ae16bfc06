"""Question answering: why the answer starts and ends where it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import InputError, OptionError, unknown
from ..core.features import checked
from ..core.types import Encoding, Target
from .protocol import Case, Task, beside, checked_unit

if TYPE_CHECKING:
    from ..models.protocol import EncodingOptions, Model
    from .protocol import WantedTarget

_UNITS = ("logit", "log-prob", "prob")
NO_ANSWER = "no answer"
_ENDS = ("answer", "start", "end")
_CANDIDATES = 12  # spans of a window that are looked at, as the transformers pipeline does


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """Which words of question and context make the model pick this answer; the answer stays the same while explaining.

    Given: (question, context) or {"question": …, "context": …}. A target is "answer" (start and end together), "start" or
    "end" of the answer that the model picks, or an answer of your own: a piece of the context, or its (start, end) there.
    "no answer" is the model's own, for models that were trained with it: both ends on the classifier token. It is what is
    explained where it is likelier than any answer, unless `no_answer` is False.
    Probabilities are over the context's tokens, and a span's is their product. `predict` gives the pipeline's, which adds up the
    spans that read the same in whole words; explained is the likeliest of those.
    """

    max_answer_tokens: int = 15
    no_answer: bool = True  # may the model say that the context holds no answer?
    name = "question-answering"
    head = "span"
    position_indexed = True

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        if isinstance(given, tuple) and len(given) == 2:
            given = {"question": given[0], "context": given[1]}
        if not isinstance(given, Mapping) or set(given) != {"question", "context"}:
            raise InputError(f'Give (question, context) or {{"question": …, "context": …}}, not {given!r:.80}')
        parts = {part: checked(given[part], part) for part in ("question", "context")}
        left = getattr(model.text_tokenizer, "padding_side", "right") == "left"
        return model.encode(dict(reversed(parts.items())) if left else parts, options)

    def default_targets(self, case: Case) -> Sequence[WantedTarget]:
        return ("start", "end")

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        unit = checked_unit(unit, _UNITS, "an answer")
        if not case.read:
            return ()
        held = None if against is None else self._index(case, against)[1]
        out = []
        for want in wanted:
            which, index = self._index(case, want)
            name = f"{which}: {self._text(case, index)}" if index else which
            name = NO_ANSWER if index and index[0] == _classifier(case) else name
            name += "" if held is None else f" rather than {self._text(case, held)}"
            out.append(Target(name, index, unit, held))
        return tuple(out)

    def _index(self, case: Case, want: WantedTarget) -> tuple[str, tuple[int, ...]]:
        """(what, (position, 0 for start or 1 for end), …) of a target; nothing where only the output can tell."""
        which = want if isinstance(want, str) and want in _ENDS else "answer"
        if want is None or want in _ENDS:
            if not case.answered:
                return which, ()
            start, end = self.answer(case)[0]
        elif want == NO_ANSWER:
            place = _classifier(case)
            if place is None:
                raise OptionError(f"{case.model.name} has no classifier token, on which {NO_ANSWER!r} would stand.")
            start = end = place
        else:
            start, end = self._given(case, want)
        return which, {"answer": (start, 0, end, 1), "start": (start, 0), "end": (end, 1)}[which]

    def _given(self, case: Case, want: WantedTarget) -> tuple[int, int]:
        """The first and last position of an answer that the caller gave."""
        context = case.encoding.texts["context"]
        if isinstance(want, str):
            at = context.find(want)
            if at < 0 or not want.strip():
                raise unknown("answer, not in the context", want, _ENDS)
            want = (at, at + len(want))
        if not isinstance(want, tuple) or len(want) != 2 or not all(isinstance(n, int) for n in want):
            raise OptionError(f"An answer is one of {_ENDS}, a piece of the context or its (start, end); not {want!r}.")
        if not 0 <= want[0] < want[1] <= len(context):
            raise OptionError(f"The answer {want} lies outside the context, which has {len(context)} characters.")
        held = [
            i
            for i, t in enumerate(case.encoding.tokens)
            if t.part == "context" and t.span is not None and t.span[0] < want[1] and want[0] < t.span[1]
        ]
        if not held:
            raise OptionError(f"The answer {context[slice(*want)]!r} holds no token of the context.")
        return held[0], held[-1]

    def answer(self, case: Case) -> tuple[tuple[int, int], float]:
        """The (first, last) position of the likeliest answer within the context, and its probability.

        As the transformers pipeline picks it: of the likeliest spans of tokens (12 a window), those that read the same in
        whole words are one answer and add up; of the best answer the likeliest span is given.
        """
        probs = _logp(case, case.output[None]).exp()[0]  # [S, 2], of windows [W, S, 2]
        context = _context(case)
        found: dict[str, tuple[tuple[int, int], float]] = {}
        for window in probs if probs.dim() == 3 else probs[None]:
            start, end = torch.where(context, window[:, 0], 0.0), torch.where(context, window[:, 1], 0.0)
            joint = (start[:, None] * end[None]).triu().tril(self.max_answer_tokens - 1)
            top = joint.flatten().topk(min(_CANDIDATES, joint.numel()))
            for prob, place in zip(top.values.tolist(), top.indices.tolist(), strict=True):
                i, j = divmod(place, len(context))
                if context[i] and context[j]:
                    text = self._text(case, (i, 0, j, 1)).casefold()
                    first, total = found.get(text, ((i, j), 0.0))
                    found[text] = (first, total + prob)
        best = max(found.values(), key=lambda answer: answer[1])
        place = _classifier(case)
        if place is None or not self.no_answer:
            return best
        none = float((probs[..., place, 0] * probs[..., place, 1]).min())  # of windows the one that is least sure of it
        return ((place, place), none) if none > best[1] else best

    def span(self, case: Case, start: int, end: int) -> tuple[int, int]:
        """The characters of an answer in the context, whole words of the tokenizer."""
        tokens = case.encoding.tokens
        words = {tokens[start].word, tokens[end].word} - {None}
        spans = [t.span for i, t in enumerate(tokens) if t.part == "context" and t.span is not None
                 and (start <= i <= end or t.word in words)]  # fmt: skip
        return min(a for a, _ in spans), max(b for _, b in spans)

    def _text(self, case: Case, index: tuple[int, ...]) -> str:
        if index[0] == _classifier(case):
            return NO_ANSWER
        start, end = self.span(case, index[0], index[-2])
        return case.encoding.texts["context"][start:end].strip()

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        columns = []
        for t in targets:
            number = _number(case, outputs, t.unit, t.index)
            columns.append(number - _number(case, outputs, t.unit, t.against) if t.against else number)
        return torch.stack(columns, dim=1)

    def predict_label(self, case: Case) -> tuple[str, float | None]:
        (start, end), prob = self.answer(case)
        return self._text(case, (start, 0, end, 1)), prob

    def confidence(self, case: Case, target: Target) -> tuple[float, int, bool]:
        """The probability of the answer, of as many pairs of a first and a last token as there are for each that reads so."""
        (start, end), probability = self.answer(case)
        words = [t.word if t.part == "context" else None for t in case.encoding.tokens]
        if start == _classifier(case):
            return probability, max(2, int(_context(case).sum()) ** 2), True
        first, last = (1 if words[i] is None else words.count(words[i]) for i in (start, end))
        alike = first * last if words[start] != words[end] or words[start] is None else first * (first + 1) // 2
        return probability, max(1, int(_context(case).sum()) ** 2 // alike), True


def _context(case: Case) -> Tensor:
    """bool [S]: the positions where an answer may be."""
    return torch.tensor([t.part == "context" and t.span is not None for t in case.encoding.tokens])


def _classifier(case: Case) -> int | None:
    """The position of the classifier token, on which "no answer" stands; None where the tokenizer has none."""
    label = getattr(case.model.text_tokenizer, "cls_token", None)
    places = (
        i for i, t in enumerate(case.encoding.tokens) if label is not None and t.span is None and t.label == label
    )
    return next(places, None)


def _logp(case: Case, outputs: Tensor) -> Tensor:
    """[..., S, 2] logits -> log-probabilities over the context's tokens and a classifier token, as the pipeline counts."""
    first = getattr(case.model.text_tokenizer, "cls_token", None)
    counted = _context(case) | torch.tensor([t.span is None and t.label == first for t in case.encoding.tokens])
    masked = outputs.masked_fill(~counted.to(outputs.device)[:, None], float("-inf"))
    return masked.log_softmax(-2)


def _number(case: Case, outputs: Tensor, unit: str, index: tuple[int, ...]) -> Tensor:
    """[B]: the sum of the logits or log-probabilities at (position, end) pairs, or the product of the probabilities."""
    table = outputs if unit == "logit" else _logp(case, outputs)
    pairs = list(zip(index[::2], index[1::2], strict=True))
    if table.dim() == 4:  # [B, windows, S, 2]: the window that holds the whole answer with most around it
        saw = case.output.isfinite().all(-1)  # [W, S]
        before, after = beside(saw)
        room = torch.minimum(before[:, pairs[0][0]], after[:, pairs[-1][0]])
        window = int(torch.where(saw[:, [i for i, _ in pairs]].all(1), room, -1).argmax())
        if pairs[0][0] == _classifier(case):  # every window sees it: the one that is least sure of it decides
            window = int(
                torch.stack([_logp(case, case.output[None])[0, :, i, end] for i, end in pairs]).sum(0).argmin()
            )
        table = table[:, window]
    total = torch.stack([table[:, i, end] for i, end in pairs]).sum(0)
    return total.exp() if unit == "prob" else total
