"""Forward passes whose way back is kept: a method that asks for slopes at the input itself then needs no second one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .types import Slopes

if TYPE_CHECKING:
    from .posed import Posed, Seen


@dataclass(eq=False)
class Pass:
    """One batch on its way: the points it started from, and the outputs with the graph between."""

    rules: str | None
    points: Sequence[Tensor]  # [S, D] each, leaves
    outputs: Sequence[Tensor]


@dataclass(eq=False)
class Kept:
    """The passes of a window, by what they answer."""

    passes: dict[int, tuple[Pass, int]] = field(default_factory=dict)  # id of a Seen -> its pass and its place there

    def add(self, done: Pass, seen: Sequence[Seen]) -> None:
        self.passes.update({id(saw): (done, place) for place, saw in enumerate(seen)})

    def take(
        self, rules: str | None, asked: Sequence[tuple[Posed, Slopes]]
    ) -> list[tuple[Pass, list[tuple[int, int]]]]:
        """The passes that answer some of these questions: for each, (question, place) in the order of the questions."""
        found: dict[int, tuple[Pass, list[tuple[int, int]]]] = {}
        for j, (posed, question) in enumerate(asked):
            done, place = self.passes.get(id(posed.seen), (None, 0))
            if done is None or done.rules != rules or question.rules != rules or len(question.points) != 1:
                continue
            if torch.equal(question.points[0], done.points[place].detach()):
                del self.passes[id(posed.seen)]
                found.setdefault(id(done), (done, []))[1].append((j, place))
        return list(found.values())


def started(points: Sequence[Any]) -> list[Tensor]:
    """Leaves that gradients can be asked of, with the values of these embeddings."""
    return [point.detach().clone().requires_grad_() for point in points]
