"""What a model adapter is: rows in and outputs out; and, if it has gradients, embeddings in. Every member is declared here."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..core.errors import MethodError, ModelError, OptionError
from ..core.features import Granularity
from ..core.types import Encoding, Estimate, Held

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from .background import Background
    from .causal.prompts import Prompt
    from .pipelines import PipelineSettings
    from .text.attention import AttentionOutputs

ABSENCES = ("mask", "pad", "unk", "zero", "drop", "hide")
NON_DIFFERENTIABLE = ("drop", "hide")  # absences that embeddings cannot tell of, so gradients cannot follow
OVERLONG = ("refuse", "truncate", "window")
EMBEDDINGS = ("word", "position", "token_type")

R = TypeVar("R", contravariant=True)  # a row: one input as this model reads it


@dataclass(frozen=True)
class EncodingOptions:
    """How an input becomes features: what they are, what stands in for an absent one, and what is done with a long text."""

    by: Granularity = "word"
    absent: str = "drop"
    overlong: str = "refuse"
    embedding: str = "word"
    background: Background | None = None  # of a model of rows: what stands in for absent columns


class Model(Protocol[R]):
    """An adapter of one model. Adapters name this protocol as their base, and so have its defaults.

    Members without a value here are every adapter's own; those with one are capabilities that not every model has.
    """

    name: str
    head: str  # what its outputs are: a row of models.heads.HEADS; "labels" for a callable
    labels: tuple[str, ...]
    kind: str  # what the outputs are: "softmax", "sigmoid" or "regression" logits, a "probability", a "decision" or "score"s
    absences: tuple[str, ...]  # the ways a feature can be taken away here, the default first
    batch_tokens: int  # a batch's size (rows x longest) that keeps this model's device busy

    costly: bool = False  # is every row a request that takes time or money, so that few are asked for by default?
    deterministic: bool = True  # is the same row answered the same each time? Of a function nobody knows
    samples: int | None = None  # of how many random answers each number is a share, where it is one
    differentiable: bool = False
    embeddings: tuple[str, ...] = ()  # the embeddings that gradients can follow: some of EMBEDDINGS
    uniform: bool = False  # must rows of a batch be of equal length?
    most_rows: int | None = None  # the most rows of a batch, where the model sets a limit
    columns: tuple[str, ...] = ()  # parts of the input that hold a value in place of a text
    row_columns: tuple[str, ...] = ()  # where an input is a row of a table: its columns
    has_label_attention: bool = False
    attention_unavailable: str | None = (
        "it does not say what its attention heads look at"  # None: `attention_maps` answers
    )
    prefix_sharing: bool = False  # do rows that begin alike belong into one batch? `bundles` then says which
    overlong: str = "refuse"  # what is done with a text longer than `limit`, where the caller does not say
    limit: int | None = None  # the longest input, in tokens
    vocabulary: int = 0  # for a language model: of how many tokens each is one

    @property
    def module(self) -> nn.Module | None:
        """The torch module that answers, where there is one."""
        return None

    @property
    def text_tokenizer(self) -> Any:
        """The tokenizer, where there is one."""
        return None

    def encode(self, parts: Mapping[str, Any], options: EncodingOptions, held: Held | None = None) -> Encoding:
        """The input, part by part, as rows and features. Raises InputError before any forward."""
        raise NotImplementedError

    def background_rows(self, given: object) -> Background | None:
        """What stands in for absent columns, as a call said it, or as the model has it; None for a model that reads no rows.

        Raises OptionError for what is no background, and where there is none.
        """
        if given is not None:
            raise OptionError(
                f"`background` stands in for absent columns, and {self.name} reads no rows of a table: leave it out. A function "
                "of data frames is told by Explainer(function, labels=…, background=…)."
            )
        return None

    def encode_prompt(self, prompt: Prompt, options: EncodingOptions) -> Encoding:
        """For a language model: the rows of a prompt or a template with its continuations."""
        raise ModelError(f"{self.name} is no language model, and reads no prompts.")

    def length(self, prompt: Prompt, usual: int) -> int:
        """For a language model: how many tokens it writes at most where a call does not say; `usual` where it does not either."""
        return usual

    def generate(self, prompt: Prompt, most: int, settings: Mapping[str, Any] | None = None) -> str | tuple[int, ...]:
        """For a language model: the continuation that it writes itself, as ids or as text, of at most so many tokens."""
        raise ModelError(f"{self.name} is no language model, and writes nothing.")

    def sizes(self, rows: Sequence[R]) -> list[int]:
        """How long each row is, in positions."""
        raise NotImplementedError

    def keys(self, rows: Sequence[R]) -> list[Hashable]:
        """The same key for the same row, and only then."""
        raise NotImplementedError

    def bundles(self, rows: Sequence[R], budget: int) -> list[list[int]] | None:
        """The batches in which these rows had best be sent; None where it does not matter."""
        return None

    def forward(self, rows: Sequence[R], points: Sequence[Tensor] | None = None) -> Tensor | Sequence[Tensor]:
        """An output for each row, float32: [B, ...], or a tensor a row where their shapes differ.

        With `points`, each [S, D], those take the place of the rows' embeddings.
        """
        raise NotImplementedError

    def embed(self, row: R) -> Tensor:
        """[S, D] float32: the embeddings of a row, as the model looks them up."""
        raise MethodError(f"{self.name} has no embeddings.")

    def label_attention(self, rows: Sequence[R]) -> Sequence[Tensor]:
        """For each row its label attention [H, labels, S]."""
        raise MethodError(f"{self.name} has no label attention.")

    def attention_maps(self, rows: Sequence[R], points: Sequence[Tensor]) -> AttentionOutputs:
        """The outputs at these embeddings, and the attention weights of every head."""
        raise MethodError(f"{self.name} does not say what its attention heads look at.")

    def requests(self, rows: Sequence[R]) -> int:
        """How many requests these rows take, of a model that is asked by requests."""
        return len(rows)

    def afford(self, estimate: Estimate, shown: bool) -> None:
        """Told before the first row of a call what it will take; a model whose answers cost something may refuse."""
        return

    def repeated(self) -> AbstractContextManager[Any]:
        """While inside, rows that were answered before are answered anew: do the answers differ?"""
        return nullcontext()

    def remarks(self, keys: Sequence[Hashable]) -> tuple[str, ...]:
        """Notes on the answers to these rows."""
        return ()

    def follow(self, settings: PipelineSettings) -> None:
        """Take over what a pipeline's settings say of the model: its outputs' kind, how long a text may be, and what then."""
        if settings.kind is not None:
            self.kind = settings.kind
        if settings.overlong is not None:
            self.overlong = settings.overlong
        if settings.limit is not None:
            self.limit = settings.limit if self.limit is None else min(self.limit, settings.limit)

    def frozen(self) -> AbstractContextManager[None]:
        """While inside, the model is this thread's, in eval mode, its weights without gradients; after, all is as it was."""
        raise NotImplementedError
