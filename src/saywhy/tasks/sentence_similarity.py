"""Sentence similarity: why two texts are close, in the eyes of a model that turns each into a vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ..core.errors import InputError, OptionError
from ..core.types import Bools, Encoding, Target
from .protocol import Case, Task, checked_unit
from .text_classification import parts

if TYPE_CHECKING:
    from ..models.protocol import EncodingOptions, Model
    from .protocol import WantedTarget

NEAR: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {  # vectors [B, D] and another [D] -> how close, [B]
    "cosine": lambda vectors, other: cosine_similarity(vectors, other[None], dim=1),
    "dot": lambda vectors, other: vectors @ other,
    "euclidean": lambda vectors, other: -torch.linalg.vector_norm(vectors - other, dim=1),
    "manhattan": lambda vectors, other: -torch.linalg.vector_norm(vectors - other, ord=1, dim=1),
}


@dataclass(frozen=True)
class SentenceSimilarity(Task):
    """Which words of two texts make their vectors close.

    Given: two texts as a tuple, or a mapping that names the two. Each text's words are taken away with the other text whole,
    and the number is the mean of both: [s(A without some, B) + s(A, B without some)] / 2. With both texts blank at once
    the base would be the closeness of two blanks, which is perfect. How close two vectors are is their `measure`, where a call
    names no unit: a row of NEAR.
    """

    measure: str = "cosine"
    name = "sentence-similarity"
    head = "vector"

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        texts = parts(given) if isinstance(given, tuple | Mapping) else {}
        if len(texts) != 2:
            raise InputError(f"Similarity needs two texts, as a tuple or a mapping of two parts; not {given!r:.80}")
        if options.overlong == "window":
            raise OptionError("A vector stands for one window; use overlong='truncate' for texts that are too long.")
        one, two = (model.encode({part: text}, options) for part, text in texts.items())
        n = len(one.features)

        def at(coalitions: Bools) -> list[tuple[Any, ...]]:
            return list(zip(one.at(coalitions[:, :n]), two.at(coalitions[:, n:]), strict=True))

        assert one.owner is not None
        assert two.owner is not None
        owner = np.concatenate([one.owner, np.where(two.owner >= 0, two.owner + n, -1)])
        notes = tuple(dict.fromkeys(one.notes + two.notes))
        return replace(one, texts=texts, features=one.features + two.features, at=at, owner=owner, notes=notes)

    def default_targets(self, case: Case) -> Sequence[WantedTarget]:
        return (None,)

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        unit = checked_unit(unit or self.measure, tuple(NEAR), "similarity")
        if any(want not in (None, "similarity", 0) for want in wanted) or against is not None:
            raise OptionError("Similarity is one number: leave out `target` and `against`.")
        return tuple(Target("similarity", (0,), unit) for _ in wanted)

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        one, two = case.output.to(outputs)  # the vectors of the whole texts
        columns = [
            (NEAR[t.unit](outputs[:, 0], two) + NEAR[t.unit](outputs[:, 1], one)) / 2 for t in targets
        ]  # outputs [B, 2, D]
        return torch.stack(columns, dim=1)

    def predict_label(self, case: Case) -> tuple[str, float | None]:
        return "similarity", float(NEAR[self.measure](case.output[:1], case.output[1]))
