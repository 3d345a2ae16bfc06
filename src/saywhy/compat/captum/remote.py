"""RemoteLLMAttribution: a language model behind an interface that tells the log-probabilities of a continuation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import InputError, MethodError, ModelError, OptionError
from ...core.types import Bools, Encoding, Held, Token
from ...explain.explainer import Explainer
from ...models.causal.prompts import Prompt, rendered, spoken
from ...models.protocol import EncodingOptions, Model
from .attribution import LLMAttribution
from .inputs import TextTemplateInput
from .result import LLMAttributionResult


class RemoteLLMProvider(ABC):
    """What a remote model must answer."""

    api_url: str

    @abstractmethod
    def generate(self, prompt: str, **gen_args: Any) -> str:
        """The text that the model writes after the prompt."""

    @abstractmethod
    def get_logprobs(self, input_prompt: str, target_str: str, tokenizer: Any = None) -> list[float]:
        """The log-probability of each token of the target after the prompt."""


@dataclass(frozen=True)
class Joined:
    """One row: a prompt and the target after it."""

    prompt: str
    target: str


class Remote(Model[Joined]):
    """A provider as a model: its rows are prompts with a target, its outputs log-probabilities [T]. No gradients."""

    head = "next"
    labels: tuple[str, ...] = ()
    kind = "softmax"
    absences: tuple[str, ...] = ("drop",)
    embeddings: tuple[str, ...] = ()
    differentiable = uniform = False
    most_rows: int | None = None
    batch_tokens = 16_384

    def __init__(self, provider: Any, tokenizer: Any):
        self.provider, self.tokenizer = provider, tokenizer
        self.name = str(getattr(provider, "api_url", type(provider).__name__))

    def adapter(self) -> Remote:
        """Itself."""
        return self

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: Held | None = None) -> Encoding:
        raise OptionError("A remote model explains templates: give a TextTemplateInput.")

    def encode_prompt(self, prompt: Prompt, options: EncodingOptions) -> Encoding:
        """The rows of a template with one continuation."""
        if not prompt.slotted:
            raise OptionError("A remote model explains templates: give a TextTemplateInput.")
        template, goal = prompt.given, prompt.goals[0] or ""
        target = goal if isinstance(goal, str) else str(self.tokenizer.decode(list(goal)))
        ids = self._ids(target)

        def at(coalitions: Bools) -> list[Any]:
            filled = [template.filled(self.tokenizer, present) for present in coalitions]
            rows = [tuple(Joined(told.text, target) for told in each) for each in filled]
            return [row if len(row) > 1 else row[0] for row in rows]

        full = template.filled(self.tokenizer, np.full(len(template.features), True))[0]
        tokens = tuple(Token(spoken(self.tokenizer, i), part="continuation:0") for i in ids)
        texts = {"prompt": rendered(full.text, self.tokenizer).text, "continuation": target}
        return Encoding(
            texts,
            template.features,
            at,
            notes=template.notes,
            labels=(target,),
            tokens=tokens,
            drawn=getattr(template, "drawn", 0),
        )

    def _ids(self, target: str) -> list[int]:
        ids = list(self.tokenizer.encode(target, add_special_tokens=False))
        if not ids:
            raise InputError(f"The target {target!r} has no token: give the text whose probability is to be explained.")
        return ids

    def count(self, goal: Any) -> int:
        """How many tokens a continuation has."""
        return len(self._ids(goal)) if isinstance(goal, str) else len(goal)

    def generate(self, prompt: Prompt, most: int, settings: Mapping[str, Any] | None = None) -> str:
        """What the remote model writes after the prompt."""
        full = prompt.given.filled(self.tokenizer, np.full(len(prompt.given.features), True))[0]
        return str(self.provider.generate(full.text, max_new_tokens=most, **{"do_sample": False, **(settings or {})}))

    def sizes(self, rows: Sequence[Joined]) -> list[int]:
        return [1 + len(row.prompt + row.target) // 4 for row in rows]

    def keys(self, rows: Sequence[Joined]) -> list[Hashable]:
        return list(rows)

    def forward(self, rows: Sequence[Joined], points: Sequence[Tensor] | None = None) -> list[Tensor]:
        out = []
        for row in rows:
            told, count = self.provider.get_logprobs(row.prompt, row.target, self.tokenizer), self.count(row.target)
            if len(told) != count:
                raise ValueError(
                    f"The provider sent {len(told)} log-probabilities for {count} tokens of {row.target!r}."
                )
            out.append(torch.tensor(told, dtype=torch.float32))
        return out

    def embed(self, row: Any) -> Tensor:
        raise MethodError("A remote model has no embeddings.")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        yield


class _Placeholder:
    """Stands where a method object wants a model."""

    device: Any = torch.device("cpu")

    def __call__(self, *args: Any, **kwargs: Any) -> int:
        return 0


class RemoteLLMAttribution(LLMAttribution):
    """LLMAttribution for a remote model; every distinct prompt is asked for once."""

    placeholder_model = _Placeholder()

    def __init__(self, attr_method: Any, tokenizer: Any, provider: Any, attr_target: str = "log_prob"):
        if not callable(getattr(provider, "get_logprobs", None)):
            raise ModelError(f"{type(provider).__name__} is no provider: it must have generate() and get_logprobs().")
        self.provider = provider
        super().__init__(attr_method, tokenizer, attr_target)

    def _made(self) -> Explainer:
        return Explainer(Remote(self.provider, self.tokenizer), task="text-generation")

    def attribute(self, inp: Any, *args: Any, **kwargs: Any) -> LLMAttributionResult:
        """As LLMAttribution's, for a TextTemplateInput."""
        if not isinstance(inp, TextTemplateInput):
            raise InputError(f"A remote model explains a TextTemplateInput, not {type(inp).__name__}.")
        return super().attribute(inp, *args, **kwargs)
