"""The nouns: frozen data, and nothing that computes.

Axis letters, here and in every docstring: N coalitions, n features, K targets, S positions, D width, B rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from .shapes import Bool, Float, Float64, Int

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Bools: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"
Ints: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"  # of any kind of number, or of objects
Box: TypeAlias = "tuple[float, float, float, float]"  # left, top, right, bottom, in pixels


class ReadOnly(dict[str, Any]):
    """A mapping that cannot be written to; unlike a view of a mapping it is copied, pickled and written as JSON."""

    def _refuse(self, *args: object, **settings: object) -> NoReturn:
        raise TypeError("This is read-only; dataclasses.replace(…) makes another explanation.")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


@dataclass(frozen=True)
class Feature:
    """One piece of the input that can be present or absent. Its identity is its index, never its label."""

    label: str
    span: tuple[int, int] | None = (
        None  # [start, end) in the text of its part, as that text was given; the first of several
    )
    part: str = "text"
    box: Box | None = None  # its place in an image, in pixels of that image as it was given; None for what is not there
    more_spans: tuple[tuple[int, int], ...] = ()  # where else it stands in that text, in order: after `span`, and apart
    column: bool = False  # is it a whole column of a row, and its label "name = value"?

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Every [start, end) of the text that it stands at, in order; none where it has no place in a text."""
        return () if self.span is None else (self.span, *self.more_spans)


@dataclass(frozen=True)
class Picture:
    """An image small enough to keep, as it was given and as the model sees it. Both are PNG files."""

    png: bytes  # as it was given, at most 512 pixels on its long side
    size: tuple[int, int]  # width and height as it was given; boxes are in these pixels
    seen: bytes  # the model's input, in ordinary colours
    view: Box  # what of the image the model's input shows; with padding it reaches beyond the image


@dataclass(frozen=True)
class Token:
    """What stands at one position of an input, as the tokenizer sees it."""

    label: str
    span: tuple[int, int] | None = None  # None for a special token
    part: str = "special"
    word: int | None = None  # which of the tokenizer's own words it is of
    inside: bool = False  # does it go on with the word of the token before it?


@dataclass(frozen=True)
class Target:
    """Which number of the model is explained: an output, or one output less another."""

    label: str
    index: tuple[int, ...]
    unit: str = "logit"
    against: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Held:
    """What of an input is always there: whole parts, every token of some ids, all that lies outside some spans.

    It belongs to no feature.
    """

    parts: tuple[str, ...] = ()
    token: int | None = None
    special: tuple[int, ...] = ()
    within: tuple[tuple[int, int], ...] | None = None  # where features may lie; None is anywhere

    @property
    def free(self) -> bool:
        """May every token belong to a feature?"""
        return self.token is None and not self.special and self.within is None

    def holds(self, token: int, span: tuple[int, int]) -> bool:
        """Is the token of this id at [start, end) always there?"""
        if token == self.token or token in self.special:
            return True
        return self.within is not None and not any(a < span[1] and span[0] < b for a, b in self.within)


@dataclass(frozen=True, eq=False)
class Encoding:
    """An input as the model sees it, and how to look at any subset of it.

    A row that `at` gives may be a tuple of rows (windows of a long text, a text with each of several hypotheses): the
    model answers its parts one by one, each distinct one once, and the row's output is theirs, stacked.
    """

    texts: Mapping[str, str]  # part -> the text as it was given
    features: tuple[Feature, ...]
    at: Callable[[Bools], Sequence[Any]]  # bool [N, n] -> N rows for the model; True is present
    owner: Int[Ints, " S"] | None = (
        None  # feature of each position of a row, its parts end to end; -1 belongs to none and is never perturbed
    )
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()  # what the model may say of this input, where it chooses one label
    tokens: tuple[Token, ...] = ()  # the token at each position of the whole input, where it has positions
    about: tuple[int, ...] = ()  # the label that each part of a row is about, where labels have rows of their own
    each: tuple[Encoding, ...] = ()  # the encodings that this one holds side by side
    picture: Callable[[], Picture] | None = None  # the image, where the input is one
    additive: Callable[[Target], bool] | None = (
        None  # which targets are known to be sums of what each feature does alone
    )
    drawn: int = 0  # how many random draws of baselines each number is the mean of; 0 where nothing is left to chance
    label_ids: tuple[
        tuple[int, ...], ...
    ] = ()  # the tokens of each label, where labels that read alike may be of others

    @cached_property
    def whole(self) -> Any:
        """The row with everything present."""
        return self.at(np.ones((1, len(self.features)), dtype=bool))[0]

    @cached_property
    def nothing(self) -> object:
        """The row with everything absent."""
        return self.at(np.zeros((1, len(self.features)), dtype=bool))[0]


@dataclass(frozen=True, eq=False)
class EmbeddingPath:
    """The differentiable face of a problem: everything present and everything absent, as embeddings."""

    input: Float[Tensor, "S D"]  # the embeddings with everything present
    baseline: Float[Tensor, "S D"]  # the embeddings of `at(nothing)`
    owner: Int[Ints, " S"]
    n: int
    precision: str = "float32"  # in which the model computes, whatever these embeddings are kept in

    def fold(self, positions: Float[Tensor, "*any S"]) -> Float[Tensor, "*any {self.n}"]:
        """Each feature's sum over its positions."""
        import torch

        owner = torch.as_tensor(self.owner, device=positions.device)
        kept = owner >= 0
        out = positions.new_zeros((*positions.shape[:-1], self.n))
        return out.index_add_(-1, owner[kept], positions[..., kept])


@dataclass(frozen=True, eq=False)
class Problem:
    """The question, and all that a method ever sees."""

    features: tuple[Feature, ...]
    targets: tuple[Target, ...]
    path: EmbeddingPath | None = None
    additive: bool = False  # is every target known to be a sum of what each feature does alone, whatever else is there?

    @property
    def n(self) -> int:
        return len(self.features)


@dataclass(frozen=True, eq=False)
class Values:
    """A question: what are the targets on these subsets? The answer is float64 [N, K]."""

    coalitions: Bool[Tensor, "N n"]


@dataclass(frozen=True, eq=False)
class Gradients:
    """A question: how do the targets change with the embeddings at these points?

    The answer is `(values [B, K], gradients [K, B, S])`, float64: each position's gradient dotted with `direction`, one direction
    [S, D] or one for each point [B, S, D]; or its L2 norm for `along="norm"`. `only` names the targets whose
    gradients are wanted; each is a backward pass. `rules` names other backward rules, of `backward.RULES`.
    """

    points: Float[Tensor, "B S D"]
    direction: Float[Tensor, "S D"] | Float[Tensor, "B S D"] | str
    only: tuple[int, ...] | None = None
    rules: str | None = None


@dataclass(frozen=True, eq=False)
class LabelAttentions:
    """A question: with everything present, how much does each target's label look at each feature?

    The answer is float64 [H, K, n]: of each head, a label's attention summed over a feature's positions.
    """


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """A question: with everything present, how much does each position look at each other, in each head of each layer?

    The answer is a `AttentionWeights`, with the targets' gradients along the weights where `gradients` asks for them.
    """

    gradients: bool = False


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """What the heads of a model look at, float64 on the CPU. Only self-attention over the input's own positions."""

    weights: Float64[Tensor, "L H S S"]  # from (a row, sums to 1) and to; the first layer first
    readout: Float64[
        Tensor, "K S"
    ]  # each position's share of the last layer's gradient, where a target is read off; sums to 1
    owner: Int[Ints, " S"]
    gradients: Float64[Tensor, "K L H S S"] | None = None


Question: TypeAlias = "Values | Gradients | LabelAttentions | AttentionMaps"
MethodGenerator: TypeAlias = "Generator[Question, Any, Scores]"


@dataclass(frozen=True, eq=False)
class PairScores:
    """The interaction of every two features, by each index. Pairs are in the order (0, 1), (0, 2), …, (n - 2, n - 1)."""

    values: Mapping[str, Float[Tensor, "K pairs"]]  # "SII", "FSII", "Banzhaf" -> n (n - 1) / 2 pairs
    stderr: Mapping[str, Float[Tensor, "K pairs"]] | None = None  # None where they are exact


@dataclass(frozen=True, eq=False)
class Scores:
    """What a method returns."""

    values: Float[Tensor, "K n"]
    stderr: Float[Tensor, "K n"] | None = None
    notes: tuple[str, ...] = ()
    without: Float[Tensor, "K n"] | None = (
        None  # the targets with each feature alone absent, where the method asked that
    )
    pairs: PairScores | None = None  # where the method can tell of pairs from what it asked


class Estimate(NamedTuple):
    """What an explanation will ask, as far as it is known before the first answer."""

    requests: int  # distinct ones, at most
    positions: int  # tokens of them all, about
    checks: int  # how many of the requests check the scores and the model, rather than make the scores


class Cost(NamedTuple):
    """What an explanation took: rows are model inputs of this text; passes are model calls it had a part in."""

    rows: int = 0
    backward_rows: int = 0
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0

    def plus(self, other: Cost) -> Cost:
        return Cost(
            self.rows + other.rows,
            self.backward_rows + other.backward_rows,
            self.forwards + other.forwards,
            self.backwards + other.backwards,
            self.seconds + other.seconds,
        )
