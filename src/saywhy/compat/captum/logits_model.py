"""Any object that answers ids with logits, and any tokenizer with `encode` and `convert_ids_to_tokens`, as a language model.

Captum asks no more of either, so code written for it may bring a module without a `config`, or a tokenizer of its own. Models of
transformers with their tokenizers go through `saywhy.models.causal`, which batches, shares beginnings and checks more.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import InputError, ModelError, OptionError
from ...core.types import Bools, Encoding, Held, Ints, Token
from ...models.causal.prompts import Goal, Prompt, Rendered, filled_whole
from ...models.lock import frozen
from ...models.protocol import EncodingOptions, Model


class TokenizerLike(Protocol):
    """What Captum asks of a tokenizer. One that splits texts otherwise than by these three cannot be told apart from them."""

    def encode(
        self, text: str, add_special_tokens: bool = ..., return_tensors: object = ...
    ) -> Sequence[int] | Tensor: ...

    def decode(self, token_ids: object) -> str: ...

    def convert_ids_to_tokens(self, token_ids: object) -> list[str]: ...


def encoded(tokenizer: TokenizerLike, text: str, special: bool = True) -> list[int]:
    """The ids of a text, with the tokenizer's special tokens or without; by a tensor where it answers nothing else."""
    if not special:
        return [int(i) for i in np.ravel(tokenizer.encode(text, add_special_tokens=False))]
    return [int(i) for i in np.ravel(tokenizer.encode(text, return_tensors="pt"))]


def token_name(tokenizer: TokenizerLike, token: int) -> str:
    """One token by its name."""
    return str(tokenizer.convert_ids_to_tokens([token])[0])


def joined(tokenizer: TokenizerLike, ids: Sequence[int]) -> str:
    """Ids as text. As a tensor: Captum passes one, and a tokenizer of a caller's own may count on it."""
    return str(tokenizer.decode(torch.tensor(list(ids), dtype=torch.long)))


@dataclass(frozen=True, eq=False)
class PromptRow:
    """A prompt and the continuation that is scored after it."""

    ids: Ints  # [S]
    goal: Ints  # [T]
    zero: Bools | None = None  # [S] positions whose embedding is the zero vector


class LogitsModel(Model[PromptRow]):
    """Rows are prompts with a continuation; a row's output is the log-probability of each token of it, float32 [T].

    Only rows of equal length share a batch, so that nothing is padded. Whether one call with the whole continuation says the
    same as a call for every token of it is tried on the first row: it does for a causal model; where it does not, each token
    gets its own call, with nothing after it to be seen. Gradients go to the output of `layer`, if one is given.
    """

    head = "next"
    labels: tuple[str, ...] = ()
    kind = "softmax"
    uniform = True
    most_rows: int | None = None
    batch_tokens = 4_096

    def __init__(self, model: Callable[..., Any], tokenizer: TokenizerLike, layer: nn.Module | None = None):
        self.model, self.tokenizer, self.layer = model, tokenizer, layer
        self.name = type(model).__name__
        self.differentiable = layer is not None
        self.embeddings: tuple[str, ...] = () if layer is None else ("word",)
        self.absences: tuple[str, ...] = ("drop",) if layer is None else ("zero",)
        self.one_call: bool | None = None  # does one call score all tokens? None: not tried yet
        call = getattr(model, "forward", model)
        self._masked = "attention_mask" in inspect.signature(call).parameters

    def adapter(self) -> LogitsModel:
        """Itself."""
        return self

    @property
    def module(self) -> nn.Module | None:
        return self.model if isinstance(self.model, nn.Module) else None

    @property
    def text_tokenizer(self) -> TokenizerLike:
        return self.tokenizer

    @property
    def device(self) -> torch.device:
        first = next(self.model.parameters(), None) if isinstance(self.model, nn.Module) else None
        return torch.device(getattr(self.model, "device", "cpu")) if first is None else first.device

    def frozen(self) -> AbstractContextManager[None]:
        return frozen(self.model) if isinstance(self.model, nn.Module) else nullcontext()

    # ---- the input -------------------------------------------------------------------------------------------------

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: Held | None = None) -> Encoding:
        raise OptionError("This model explains a TextTemplateInput or a TextTokenInput.")

    def encode_prompt(self, prompt: Prompt, options: EncodingOptions) -> Encoding:
        """The rows of a template, or of a text's tokens, with one continuation."""
        if not prompt.slotted:
            raise OptionError("This model explains a TextTemplateInput or a TextTokenInput.")
        template, goal = prompt.given, self._goal(prompt.goals[0])

        def row(made: Rendered) -> PromptRow:
            zero = None if made.blank is None or not any(made.blank) else np.array(made.blank)
            return PromptRow(self.prompt_ids(made), goal, zero)

        def at(coalitions: Bools) -> list[Any]:
            each = [tuple(map(row, prompts)) for prompts in template.filled(self.tokenizer, coalitions)]
            return [rows if len(rows) > 1 else rows[0] for rows in each]

        full = filled_whole(template, self.tokenizer)
        target = joined(self.tokenizer, goal.tolist())
        return Encoding(
            {"prompt": full.text, "continuation": target},
            template.features,
            at,
            owner=template.owner if prompt.differentiable and self.differentiable else None,
            notes=template.notes,
            labels=(target,),
            tokens=tuple(Token(token_name(self.tokenizer, i), part="continuation:0") for i in goal.tolist()),
            drawn=getattr(template, "drawn", 0),
        )

    def prompt_ids(self, made: Rendered) -> Ints:
        """[S]: the ids of a prompt, special tokens with them."""
        ids = encoded(self.tokenizer, made.text) if made.ids is None else made.ids
        if not len(ids):
            raise InputError(f"The prompt {made.text!r:.80} has no token: there is nothing that the model could read.")
        return np.array(ids, dtype=np.int64)

    def _goal(self, goal: Goal) -> Ints:
        ids = encoded(self.tokenizer, goal, special=False) if isinstance(goal, str) else list(goal or ())
        if not ids:
            raise InputError(f"The target {goal!r} has no token: give the text whose probability is to be explained.")
        return np.array(ids, dtype=np.int64)

    def count(self, goal: Goal) -> int:
        """How many tokens a continuation has."""
        return len(self._goal(goal))

    def generate(self, prompt: Prompt, most: int, settings: Mapping[str, Any] | None = None) -> tuple[int, ...]:
        """The ids that the model itself writes after a prompt."""
        write = getattr(self.model, "generate", None)
        if not callable(write):
            raise ModelError(f"{self.name} has no generate(): give the target yourself.")
        ids = self.prompt_ids(filled_whole(prompt.given, self.tokenizer))
        with self.frozen(), torch.no_grad():
            row = torch.as_tensor(ids, device=self.device)[None]
            greedy = {"do_sample": False, "temperature": None, "top_p": None}
            out = write(input_ids=row, max_new_tokens=most, **(greedy | dict(settings or {})))
        new = [int(i) for i in out[0, len(ids) :].tolist()]
        if not new:
            raise InputError("The model wrote nothing after this prompt: give the target=… that you expected of it.")
        return tuple(new)

    # ---- the model -------------------------------------------------------------------------------------------------

    def sizes(self, rows: Sequence[PromptRow]) -> list[int]:
        return [len(row.ids) + len(row.goal) - 1 for row in rows]

    def keys(self, rows: Sequence[PromptRow]) -> list[Hashable]:
        return [(r.ids.tobytes(), r.goal.tobytes(), None if r.zero is None else r.zero.tobytes()) for r in rows]

    def forward(self, rows: Sequence[PromptRow], points: Sequence[Tensor] | None = None) -> list[Tensor]:
        if self.one_call is None and len(rows[0].goal) > 1:
            self.one_call = self._same_in_one_call(rows[0])
        vectors = None if points is None else torch.stack(list(points))
        score = self._together if self.one_call is not False else self._token_by_token
        out: dict[int, Tensor] = {}
        lengths = [(len(row.ids), len(row.goal)) for row in rows]
        for length in dict.fromkeys(lengths):
            chosen = [i for i, each in enumerate(lengths) if each == length]
            put = None if vectors is None else vectors[chosen]
            out |= dict(zip(chosen, score([rows[i] for i in chosen], put), strict=True))
        return [out[i] for i in range(len(rows))]

    def _same_in_one_call(self, row: PromptRow) -> bool:
        with torch.no_grad():
            together, apart = self._together([row], None)[0], self._token_by_token([row], None)[0]
        return bool(((together - apart).abs() <= 2e-5 * apart.abs().clamp(min=1)).all())  # float32's rounding, no more

    def _together(self, rows: Sequence[PromptRow], vectors: Tensor | None) -> Tensor:
        """[B, T]: every token of the continuation scored by one call that has all but the last of them."""
        ids, goal = self._tensors(rows)
        logits = self._logits(torch.cat([ids, goal[:, :-1]], 1), vectors)
        return _read(logits[:, ids.shape[1] - 1 :], goal)

    def _token_by_token(self, rows: Sequence[PromptRow], vectors: Tensor | None) -> Tensor:
        """[B, T]: each token of the continuation scored by a call that has those before it and no other."""
        ids, goal = self._tensors(rows)
        calls = [self._logits(torch.cat([ids, goal[:, :t]], 1), vectors)[:, -1] for t in range(goal.shape[1])]
        return _read(torch.stack(calls, 1), goal)

    def _tensors(self, rows: Sequence[PromptRow]) -> tuple[Tensor, Tensor]:
        ids, goal = np.stack([row.ids for row in rows]), np.stack([row.goal for row in rows])
        return torch.as_tensor(ids, device=self.device), torch.as_tensor(goal, device=self.device)

    def _logits(self, ids: Tensor, vectors: Tensor | None) -> Tensor:
        with nullcontext() if vectors is None else self._replaced(vectors):
            answer = self.model(input_ids=ids, **({"attention_mask": torch.ones_like(ids)} if self._masked else {}))
        logits = answer["logits"] if isinstance(answer, Mapping) else getattr(answer, "logits", answer)
        if not isinstance(logits, Tensor) or logits.shape[:2] != ids.shape:
            raise ModelError(
                f"{self.name} must answer logits [rows, positions, vocabulary], not {type(answer).__name__}."
            )
        return logits

    @contextmanager
    def _replaced(self, vectors: Tensor) -> Iterator[None]:
        """While inside, the layer answers these vectors [B, S, D] at the prompt's positions."""
        assert self.layer is not None
        count = vectors.shape[1]

        def put(module: nn.Module, args: object, output: Tensor) -> Tensor:
            return torch.cat([vectors.to(output.dtype), output[:, count:]], 1)

        handle = self.layer.register_forward_hook(put)
        try:
            yield
        finally:
            handle.remove()

    def embed(self, row: PromptRow) -> Tensor:
        """[S, D] float32: what the layer answers at the prompt's positions."""
        assert self.layer is not None
        seen: list[Tensor] = []
        handle = self.layer.register_forward_hook(lambda module, args, output: seen.append(output))
        try:
            self._logits(self._tensors([row])[0], None)
        finally:
            handle.remove()
        if not seen or not isinstance(seen[0], Tensor) or seen[0].shape[:2] != (1, len(row.ids)):
            raise ModelError("The layer must turn ids [rows, positions] into vectors: the model's input embedding.")
        vectors = seen[0][0].float().clone()
        if row.zero is not None:
            vectors[torch.as_tensor(row.zero, device=vectors.device)] = 0.0
        return vectors


def _read(logits: Tensor, goal: Tensor) -> Tensor:
    """[B, T, V] and [B, T] -> the log-probabilities [B, T], in float32."""
    if int(goal.max()) >= logits.shape[-1] or int(goal.min()) < 0:
        raise InputError(
            f"The target has ids outside the model's vocabulary of {logits.shape[-1]}: {goal[0].tolist()!r:.80}."
        )
    return logits.float().log_softmax(-1).gather(-1, goal[..., None])[..., 0]
