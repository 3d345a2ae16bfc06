"""Text generation: why a language model gives a continuation its probability, whole or token by token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import InputError, ModelError, OptionError
from ..core.types import Encoding, Target, Token
from ..models.causal.prompts import Goal, Prompt
from .protocol import Case, Task, checked_unit

if TYPE_CHECKING:
    from ..models.protocol import EncodingOptions, Model
    from .protocol import WantedTarget

_UNITS = ("log-prob", "prob")
_LENGTH = 25  # tokens that a model writes where nothing says how many


@dataclass(frozen=True)
class TextGeneration(Task):
    """Which parts of a prompt make a language model say what it says.

    Given: a prompt (a string, a saywhy.llm.Template or Chat), or {"prompt": …, "continuation": …}. A target is a continuation
    as text, or as a tuple of token ids; an int is one token of the continuation, counted from 0; None is the whole of it.
    Without a continuation the model writes one first, as its generation_config says but without drawing: greedily or by beams, up
    to `max_new_tokens` (by default what the generation_config says, else 25). `against` is another continuation.
    The number is the log-probability of the continuation after the prompt, the sum over its tokens in float32, or its
    probability. `each_target` explains every token. A continuation is scored as it is given: " yes" is not "yes".
    """

    max_new_tokens: int | None = None
    name = "text-generation"
    head = "next"
    prefetch_rows = True

    def with_targets(self, given: object, wanted: Sequence[WantedTarget] | None, against: WantedTarget) -> Prompt:
        goals: list[Goal] = []
        if isinstance(given, Mapping) and set(given) == {"prompt", "continuation"}:
            first, given = _goal(given["continuation"]), given["prompt"]
            if isinstance(first, int) or first is None:
                raise InputError('"continuation" is a text or a tuple of token ids.')
            goals.append(first)
        elif isinstance(given, Mapping) and "role" in given:
            raise InputError("These are messages: explain a conversation as saywhy.llm.Chat([message, …]).")
        elif wanted is None or any(_goal(want) is None or isinstance(want, int) for want in wanted):
            goals.append(None)
        for want in [*(wanted or ()), against]:
            goal = _goal(want)
            if goal is not None and not isinstance(goal, int) and goal not in goals:
                goals.append(goal)
        return Prompt(given, tuple(goals))

    def complete_input(self, model: Model[Any], given: object) -> object:
        given = given if isinstance(given, Prompt) else self.with_targets(given, None, None)
        if None not in given.goals:
            return given
        ids = model.generate(given, self.max_new_tokens or model.length(given, _LENGTH))
        return replace(given, goals=tuple(ids if goal is None else goal for goal in given.goals), written=True)

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        prompt = given if isinstance(given, Prompt) else self.with_targets(given, None, None)
        encoding: Encoding = model.encode_prompt(prompt, options)
        return encoding

    def default_targets(self, case: Case) -> Sequence[WantedTarget]:
        return range(len(_tokens(case, 0)))

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        unit = checked_unit(unit, _UNITS, "a continuation")
        if isinstance(against, int):
            raise OptionError("`against` is another continuation: a text or a tuple of token ids.")
        if not case.read:
            for want in wanted:
                _goal(want)
            return ()
        if case.answered and not bool(torch.isfinite(case.output).all()):
            raise ModelError(
                "The model's log-probabilities are not all finite: check the weights, or load it in float32: half overflows."
            )
        other = None if against is None else self._index(case, against)
        out = []
        for want in wanted:
            index = self._index(case, want)
            if other == index:
                raise OptionError(f"The target and `against` are both {case.encoding.labels[index[0]]!r}.")
            label = self._label(case, index)
            label += "" if other is None else f" rather than {self._label(case, other)}"
            out.append(Target(label, index, unit, other))
        return tuple(out)

    def _index(self, case: Case, want: WantedTarget) -> tuple[int, ...]:
        """(which continuation,) or (which, token)."""
        goal = _goal(want)
        if goal is None:
            return (0,)
        if isinstance(goal, int):
            count = len(_tokens(case, 0))
            if count and not 0 <= goal < count:
                raise OptionError(f"There is no token {goal}: the continuation has {count}, counted from 0.")
            return 0, goal
        return (self._which(case, goal),)

    def _which(self, case: Case, goal: str | tuple[int, ...]) -> int:
        """The place of a continuation among those that are scored; of several that read alike the one of its own tokens."""
        tokenizer, ids = case.model.text_tokenizer, case.encoding.label_ids
        text = goal if isinstance(goal, str) else str(tokenizer.decode(list(goal)))
        alike = [place for place, label in enumerate(case.encoding.labels) if label == text]
        if len(alike) > 1 and ids:
            own = tokenizer(goal, add_special_tokens=False)["input_ids"] if isinstance(goal, str) else goal
            alike = [place for place in alike if ids[place] == tuple(own)]
        return alike[0]

    def _label(self, case: Case, index: tuple[int, ...]) -> str:
        """The continuation, or one token of it; a token that came before has its count with it.

        A continuation that reads as another one has the names of its tokens with it.
        """
        if len(index) == 1:
            label, ids = case.encoding.labels[index[0]], case.encoding.label_ids
            alike = {own for own, name in zip(ids, case.encoding.labels, strict=False) if name == label}
            names = case.model.text_tokenizer.convert_ids_to_tokens(list(ids[index[0]])) if len(alike) > 1 else ()
            return f"{label} ({' '.join(names)})" if names else label
        said = [token.label for token in _tokens(case, index[0])]
        if not said:
            return ""
        again = said[: index[1] + 1].count(said[index[1]])
        return said[index[1]] + (f" ({again})" if again > 1 else "")

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        return self.drawn(case, outputs, targets).mean(1)

    def drawn(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        many = len(set(case.encoding.about)) or 1
        each = outputs.reshape(len(outputs), -1, many, outputs.shape[-1])  # [B, draws, continuations, tokens]

        def number(unit: str, index: tuple[int, ...]) -> Tensor:
            logp = each[:, :, index[0]]
            told = logp.sum(-1) if len(index) == 1 else logp[:, :, index[1]]
            return told.exp() if unit == "prob" else told  # [B, draws]

        columns = [number(t.unit, t.index) - (number(t.unit, t.against) if t.against else 0.0) for t in targets]
        return torch.stack(columns, dim=-1)

    def predict_label(self, case: Case) -> tuple[str | None, float | None]:
        if not any(token.part == "written:0" for token in case.encoding.tokens):
            return None, None
        whole = Target("", (0,), "prob")
        return case.encoding.labels[0], float(self.score(case, case.output[None], (whole,))[0, 0])

    def confidence(self, case: Case, target: Target) -> tuple[float, int, bool] | None:
        """The mean probability (geometric) of the target's tokens, of the whole vocabulary; a remote model's is not known."""
        vocabulary = case.model.vocabulary
        told = float(self.score(case, case.output[None], (Target("", target.index, "log-prob"),))[0, 0])
        count = 1 if len(target.index) > 1 else len(_tokens(case, target.index[0]))
        return (math.exp(told / count), vocabulary, False) if count and vocabulary else None


def _goal(want: object) -> Goal | int:
    """A continuation as text or ids, one token of it by its place, or None; refuses anything else."""
    if want is None or isinstance(want, str) or (isinstance(want, int) and not isinstance(want, bool)):
        return want
    if hasattr(want, "tolist"):
        want = want.tolist()
    if isinstance(want, tuple | list) and want and all(isinstance(i, int) for i in want):
        return tuple(want)
    raise OptionError(
        f"A target is a text, a tuple of token ids or the place of a token in the answer; not {want!r:.80}."
    )


def _tokens(case: Case, which: int) -> list[Token]:
    names = (f"continuation:{which}", f"written:{which}")
    return [token for token in case.encoding.tokens if token.part in names]
