"""Adapters: from whatever the caller has to one seam, rows in and outputs out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..core.features import Granularity
from ..core.types import Encoding, Held

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

ABSENCES = ("mask", "pad", "unk", "zero", "drop", "hide")
NON_DIFFERENTIABLE = ("drop", "hide")  # absences that embeddings cannot tell of, so gradients cannot follow
OVERLONG = ("refuse", "truncate", "window")
EMBEDDINGS = ("word", "position", "token_type")


@dataclass(frozen=True)
class EncodingOptions:
    """How to look at an input: what the features are, how one is taken away, and what to do with a text that is too long."""

    by: Granularity = "word"
    absent: str = "drop"
    overlong: str = "refuse"
    embedding: str = "word"


class Model(Protocol):
    """Rows in, outputs out; and, if it has gradients, embeddings in."""

    name: str
    head: str  # what its outputs are: a row of models.heads.HEADS; "labels" for a callable
    labels: tuple[str, ...]
    kind: str  # what the outputs are: "softmax", "sigmoid" or "regression" logits, or plain "score"s
    absences: tuple[str, ...]  # the ways a feature can be taken away here, the default first
    embeddings: tuple[str, ...]  # the embeddings that gradients can follow: some of EMBEDDINGS
    differentiable: bool
    uniform: bool  # must rows of a batch be of equal length?
    most_rows: int | None  # the most rows of a batch, where the model sets a limit
    batch_tokens: int  # a batch's size (rows x longest) that keeps this model's device busy

    def encode(self, parts: Mapping[str, Any], encoding_options: EncodingOptions, held: Held | None = None) -> Encoding:
        """The input, part by part, as rows and features. Raises InputError before any forward."""

    def size(self, row: Any) -> int:
        """How long a row is, in positions."""

    def key(self, row: Any) -> Hashable:
        """The same key for the same row, and only then."""

    def forward(self, rows: Sequence[Any], points: Sequence[Tensor] | None = None) -> Tensor | Sequence[Tensor]:
        """An output for each row, float32: [B, ...], or a tensor a row where their shapes differ.

        With `points`, each [S, D], those take the place of the rows' embeddings.
        """

    def embed(self, row: Any) -> Tensor:
        """[S, D] float32: the embeddings of a row, as the model looks them up."""

    def frozen(self) -> AbstractContextManager[None]:
        """While inside, the model is in eval mode and its weights ask for no gradients; after, all is as it was."""
