"""RemoteLLMAttribution: a language model behind an interface that tells the log-probabilities of a continuation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...core.errors import InputError, MethodError, ModelError, OptionError
from ...core.features import checked
from ...core.types import Bools, Encoding, Held, Token
from ...explain.explainer import Explainer
from ...models.causal.prompts import Goal, Prompt, Rendered, filled_whole, spoken
from ...models.protocol import EncodingOptions, Model
from .attribution import LLMAttribution
from .logits_model import TokenizerLike, encoded, joined, token_name
from .methods import AttributionMethod


class RemoteLLMProvider(ABC):
    """What a remote model must answer."""

    api_url: str

    @abstractmethod
    def generate(self, prompt: str, **gen_args: object) -> str:
        """The text that the model writes after the prompt."""

    @abstractmethod
    def get_logprobs(self, input_prompt: str, target_str: str, tokenizer: TokenizerLike | None = None) -> list[float]:
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

    def __init__(self, provider: RemoteLLMProvider, tokenizer: TokenizerLike):
        self.provider, self.tokenizer = provider, tokenizer
        self.name = str(getattr(provider, "api_url", type(provider).__name__))

    def adapter(self) -> Remote:
        """Itself."""
        return self

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: Held | None = None) -> Encoding:
        raise OptionError("A remote model explains a TextTemplateInput or a TextTokenInput.")

    def encode_prompt(self, prompt: Prompt, options: EncodingOptions) -> Encoding:
        """The rows of a template with one continuation."""
        if not prompt.slotted:
            raise OptionError("A remote model explains a TextTemplateInput or a TextTokenInput.")
        template, goal = prompt.given, prompt.goals[0] or ""
        target = goal if isinstance(goal, str) else joined(self.tokenizer, goal)
        ids = self._ids(target)

        def at(coalitions: Bools) -> list[Any]:
            filled = template.filled(self.tokenizer, coalitions)
            rows = [tuple(Joined(self._text(made), target) for made in each) for each in filled]
            return [row if len(row) > 1 else row[0] for row in rows]

        full = filled_whole(template, self.tokenizer)
        tokens = tuple(Token(self._name(i), part="continuation:0") for i in ids)
        texts = {"prompt": checked(self._text(full), "prompt"), "continuation": target}
        return Encoding(
            texts,
            template.features,
            at,
            notes=template.notes,
            labels=(target,),
            tokens=tokens,
            drawn=getattr(template, "drawn", 0),
        )

    def _text(self, made: Rendered) -> str:
        """The prompt as the server gets it; tokens are joined by the tokenizer."""
        return made.text if made.ids is None else joined(self.tokenizer, made.ids)

    def _name(self, token: int) -> str:
        """One token as it reads, where the tokenizer knows how."""
        from transformers import PreTrainedTokenizerBase

        if isinstance(self.tokenizer, PreTrainedTokenizerBase):
            return spoken(self.tokenizer, token)
        return token_name(self.tokenizer, token)

    def _ids(self, target: str) -> list[int]:
        ids = encoded(self.tokenizer, target, special=False)
        if not ids:
            raise InputError(f"The target {target!r} has no token: give the text whose probability is to be explained.")
        return ids

    def count(self, goal: Goal) -> int:
        """How many tokens a continuation has."""
        return len(self._ids(goal)) if isinstance(goal, str) else len(goal or ())

    def generate(self, prompt: Prompt, most: int, settings: Mapping[str, Any] | None = None) -> str:
        """What the remote model writes after the prompt. Of a provider that answers with a list, the first text."""
        full = filled_whole(prompt.given, self.tokenizer)
        answer = self.provider.generate(
            self._text(full), max_new_tokens=most, **{"do_sample": False, **(settings or {})}
        )
        return str(answer[0] if isinstance(answer, list | tuple) and answer else answer)

    def sizes(self, rows: Sequence[Joined]) -> list[int]:
        return [1 + len(row.prompt + row.target) // 4 for row in rows]

    def keys(self, rows: Sequence[Joined]) -> list[Hashable]:
        return list(rows)

    def forward(self, rows: Sequence[Joined], points: Sequence[Tensor] | None = None) -> list[Tensor]:
        many = getattr(self.provider, "get_logprobs_of", None)
        if callable(many):
            answers = many([(row.prompt, row.target) for row in rows], self.tokenizer)
        else:
            answers = [self.provider.get_logprobs(row.prompt, row.target, self.tokenizer) for row in rows]
        out = []
        for row, answer in zip(rows, answers, strict=True):
            count = self.count(row.target)
            logp = torch.as_tensor(answer, dtype=torch.float32).reshape(-1)
            if len(logp) != count:
                raise ValueError(
                    f"The provider sent {len(logp)} log-probabilities for {count} tokens of {row.target!r}."
                )
            out.append(logp)
        return out

    def embed(self, row: Joined) -> Tensor:
        raise MethodError("A remote model has no embeddings.")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        yield


class _Placeholder:
    """Stands where a method object wants a model."""

    device: torch.device | str = torch.device("cpu")

    def __call__(self, *args: object, **kwargs: object) -> int:
        return 0


class RemoteLLMAttribution(LLMAttribution):
    """LLMAttribution for a remote model; every distinct prompt is asked for once."""

    placeholder_model = _Placeholder()

    def __init__(
        self,
        attr_method: AttributionMethod,
        tokenizer: TokenizerLike,
        provider: RemoteLLMProvider,
        attr_target: str = "log_prob",
    ):
        if not callable(getattr(provider, "get_logprobs", None)):
            raise ModelError(f"{type(provider).__name__} is no provider: it must have generate() and get_logprobs().")
        self.provider = provider
        super().__init__(attr_method, tokenizer, attr_target)

    def _made(self) -> Explainer:
        return Explainer(Remote(self.provider, self.tokenizer), task="text-generation")
