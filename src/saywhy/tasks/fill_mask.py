"""Filling a gap: why a masked language model puts this word where the mask is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import InputError, OptionError
from ..core.features import checked
from ..core.types import Encoding, Held, Target
from .protocol import Case, Task, checked_unit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..models.protocol import EncodingOptions, Model
    from .protocol import WantedTarget

_UNITS = ("logit", "log-prob", "prob", "log-odds")


@dataclass(frozen=True)
class FillMask(Task):
    """Which words around a gap make the model put a word there.

    Given: a text with the tokenizer's mask token in it, once or more. A target is a word that is one token, a token's id, or
    (which gap, word); None is the likeliest. `each_target` explains the `top` likeliest words of every gap.
    """

    top: int = 5
    name = "fill-mask"
    head = "blanks"
    position_indexed = True

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        text, tokenizer = checked(given), _tokenizer(model)
        if options.overlong == "window":
            raise OptionError(
                "A gap is filled from one window; use overlong='truncate', or shorten the text around it."
            )
        encoding = model.encode({"text": text}, options, Held(token=tokenizer.mask_token_id))
        if tokenizer.mask_token not in [t.label for t in encoding.tokens]:
            raise InputError(
                f"There is no gap in {text!r:.80}: write {tokenizer.mask_token!r} where the word is to go."
            )
        return encoding

    def default_targets(self, case: Case) -> Sequence[WantedTarget]:
        return [(gap, int(i)) for gap, row in enumerate(case.output) for i in row.topk(min(self.top, len(row))).indices]

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        unit = checked_unit(unit, _UNITS, "a word in a gap")
        many = case.answered and len(case.output) > 1
        out = []
        for want in wanted:
            gap, token = self._index(case, want)
            other = None if against is None else self._index(case, against)[1]
            name = self._word(case, token)
            name += "" if other is None else f" rather than {self._word(case, other)}"
            name += f" (gap {gap + 1})" if many else ""
            out.append(Target(name, (gap, token), unit, None if other is None else (gap, other)))
        return tuple(out)

    def _index(self, case: Case, want: WantedTarget) -> tuple[int, int]:
        tokenizer = _tokenizer(case.model)
        gap, word = want if isinstance(want, tuple) and len(want) == 2 else (0, want)
        gaps = sum(t.label == tokenizer.mask_token for t in case.encoding.tokens)
        if not isinstance(gap, int) or (case.read and not 0 <= gap < gaps):
            raise OptionError(f"There is no gap {gap!r}: the text has {gaps}, counted from 0.")
        if word is None:
            return gap, 0 if not case.answered else int(case.output[gap].argmax())
        if isinstance(word, int) and not isinstance(word, bool):
            if not 0 <= word < len(tokenizer):
                raise OptionError(f"There is no token with the id {word}: the vocabulary has {len(tokenizer)}.")
            return gap, word
        if not isinstance(word, str) or not word.strip():
            raise OptionError(f"A target is a word, a token's id, or (which gap, word); not {want!r}.")
        return gap, _token(tokenizer, word)

    def _word(self, case: Case, token: int) -> str:
        word = str(_tokenizer(case.model).decode([token])).strip()
        return word or str(_tokenizer(case.model).convert_ids_to_tokens(token))

    def keep(self, case: Case, output: Tensor, targets: Sequence[Target]) -> Tensor:
        """[gaps, V] -> [gaps, wanted tokens + 1], the last the logarithm of the sum over the vocabulary."""
        return torch.cat([output[:, _tokens(targets)], output.logsumexp(-1, keepdim=True)], -1)

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        column = {token: i for i, token in enumerate(_tokens(targets))}

        def number(unit: str, index: tuple[int, ...]) -> Tensor:
            logit, total = outputs[:, index[0], column[index[1]]], outputs[:, index[0], -1]
            if unit == "log-odds":
                return logit - (total + torch.log1p(-(logit - total).exp()))
            return {"logit": logit, "log-prob": logit - total, "prob": (logit - total).exp()}[unit]

        columns = [number(t.unit, t.index) - (number(t.unit, t.against) if t.against else 0.0) for t in targets]
        return torch.stack(columns, dim=1)

    def predict_label(self, case: Case) -> tuple[str, float | None]:
        best = case.output.argmax(-1)
        words = " … ".join(self._word(case, int(i)) for i in best)
        return words, float(case.output.softmax(-1)[0, best[0]]) if len(best) == 1 else None

    def confidence(self, case: Case, target: Target) -> tuple[float, int, bool]:
        """The probability of the word in its gap, of the whole vocabulary."""
        gap, token = target.index
        probs = case.output[gap].softmax(-1)
        return float(probs[token]), len(probs), int(probs.argmax()) == token


def _tokenizer(model: Model[Any]) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase | None = model.text_tokenizer
    if tokenizer is None or tokenizer.mask_token_id is None:
        raise OptionError("Filling gaps needs a masked language model whose tokenizer has a mask token.")
    return tokenizer


def _token(tokenizer: PreTrainedTokenizerBase, word: str) -> int:
    """The one token of a word, as it is written inside a sentence or at its start."""
    for written in (f" {word.strip()}", word):
        ids = tokenizer(written, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            return int(ids[0])
    shown = tokenizer.convert_ids_to_tokens(ids)
    raise OptionError(f"{word!r} is not one token here but {shown!r}: choose a word that is, or one of them by its id.")


def _tokens(targets: Sequence[Target]) -> list[int]:
    return sorted({index[1] for t in targets for index in (t.index, t.against) if index})
