"""What a task is: how an input becomes features, and which numbers of the model's outputs can be explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
from torch import Tensor

from ..core.errors import OptionError, unknown
from ..core.types import Encoding, Target

if TYPE_CHECKING:
    from ..models.protocol import EncodingOptions, Model

WantedTarget: TypeAlias = "int | float | str | tuple[Any, ...] | None"


class OutputIndex(int):
    """The index of an output and nothing else: a caller's whole number may also be the name of a class."""


def every_output(labels: Sequence[str]) -> list[OutputIndex]:
    """The index of each label."""
    return [OutputIndex(i) for i in range(len(labels))]


NOTHING = Encoding({}, (), lambda coalitions: [])
UNANSWERED = torch.empty(0)


@dataclass(frozen=True, eq=False)
class Case:
    """One input at hand: the model, how the input is encoded, and what the model says with everything present."""

    model: Model[Any]
    encoding: Encoding = NOTHING  # before any input was read
    output: Tensor = UNANSWERED  # before the first forward

    @property
    def read(self) -> bool:
        return self.encoding is not NOTHING

    @property
    def answered(self) -> bool:
        return self.output is not UNANSWERED


class Task(Protocol):
    """One kind of question about one kind of model. About 25 lines; a row in TASKS.

    Parts of this protocol have a body that most tasks share; a task names itself a `Task` to have them.
    """

    name: str
    head: str  # the row of models.heads.HEADS that it reads
    default_granularity: str = "word"  # the features where `by` does not say
    position_indexed: bool = False  # are outputs read at positions, which `absent="drop"` would move?
    prefetch_rows: bool = (
        False  # are whole outputs so small that a method's rows may be asked for before its targets are known?
    )

    def with_targets(self, given: object, wanted: Sequence[WantedTarget] | None, against: WantedTarget) -> object:
        """What was given, with what of the question is part of the input. Before any input is read."""
        return given

    def complete_input(self, model: Model[Any], given: object) -> object:
        """The input with what the model itself adds to it first. After all inputs were checked, before the first forward."""
        return given

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        """What was given, as rows and features. Raises InputError before any forward."""

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        """The targets named by `wanted` for this input; None is what the model predicts. Refuses unknown names and units.

        Asked before the first forward too (no output) and before any input was read (no encoding either): then a target
        that only the output can tell may be any.
        """

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        """[B, ...], what is kept of the outputs -> [B, K]: each target's number for each row."""

    def drawn(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        """[B, D, K]: the numbers of `score` draw by draw, where they are means over `case.encoding.drawn` draws."""
        return self.score(case, outputs, targets)[:, None]

    def predict_label(self, case: Case) -> tuple[str | None, float | None]:
        """The label (or answer) that the model gives to this input, and its probability (or score); None if not asked."""

    def confidence(self, case: Case, target: Target) -> tuple[float, int, bool] | None:
        """(probability, of how many, was it picked as the likeliest?) of what the model says; None where it does not choose."""
        many, probability = len(case.encoding.labels), self.predict_label(case)[1]
        return None if probability is None or many < 2 or case.model.kind not in SURE else (probability, many, True)

    def default_targets(self, case: Case) -> Sequence[WantedTarget]:
        """What `each_target` explains when nothing is named: every label."""
        return every_output(case.encoding.labels)

    def restrict_encoding(self, case: Case, targets: Sequence[Target]) -> Encoding:
        """The encoding with only those rows that these targets need."""
        return case.encoding

    def keep(self, case: Case, output: Tensor, targets: Sequence[Target]) -> Tensor:
        """What of one row's output these targets need."""
        return output


SURE = ("softmax", "probability")  # kinds of outputs that choose one of the labels, and say how surely

# ---- what most tasks share: logits in other units, and labels by name ------------------------------------------------

UNITS = {
    "softmax": ("logit", "log-prob", "prob", "log-odds"),
    "sigmoid": ("logit", "log-prob", "prob", "log-odds"),
    "regression": ("score",),
    "score": ("score",),
    "decision": ("decision",),
    "probability": ("prob", "log-prob", "log-odds"),
    "independent-probability": ("prob", "log-prob", "log-odds"),  # of labels that do not exclude each other
}
LEAST = 1e-12  # a probability is taken to be at least this far from 0 and 1 where its logarithm is asked for


def checked_unit(unit: str | None, allowed: Sequence[str], what: str) -> str:
    """The unit asked for, or the first of those allowed; refuses others."""
    if unit is None:
        return allowed[0]
    if unit not in allowed:
        raise unknown(f"unit for {what}", unit, allowed)
    return unit


def in_unit(logits: Tensor, unit: str, kind: str) -> Tensor:
    """[..., C] the model's outputs, which are logits, probabilities or scores as `kind` says, in a unit of UNITS."""
    if unit in ("logit", "score", "decision"):
        return logits
    if kind in ("probability", "independent-probability"):
        return _of_probabilities(logits, unit)
    if kind == "sigmoid":
        return logits if unit == "log-odds" else logits.sigmoid() if unit == "prob" else -(-logits).exp().log1p()
    logp = logits.log_softmax(-1)
    if unit == "log-prob":
        return logp
    if unit == "prob":
        return logp.exp()
    # for each label the log-sum of the others: of those before it and those after it, so that memory is linear in the labels
    edge = torch.full_like(logits[..., :1], float("-inf"))
    before = torch.cat([edge, logits.logcumsumexp(-1)[..., :-1]], dim=-1)
    after = torch.cat([logits.flip(-1).logcumsumexp(-1).flip(-1)[..., 1:], edge], dim=-1)
    return logits - torch.logaddexp(before, after)


def _of_probabilities(probabilities: Tensor, unit: str) -> Tensor:
    """[..., C] probabilities in another unit."""
    if unit == "prob":
        return probabilities
    inner = probabilities.clamp(LEAST, 1 - LEAST)
    return inner.log() if unit == "log-prob" else inner.log() - (-inner).log1p()


def beside(saw: Tensor) -> tuple[Tensor, Tensor]:
    """[W, S] each: how many positions each window saw before a position, and how many after it; `saw` is bool [W, S]."""
    before = saw.cumsum(1) - 1
    return before, saw.sum(1, keepdim=True) - 1 - before


def label_index(labels: Sequence[str], wanted: WantedTarget) -> int:
    """The index of a label given by name or by index; an unknown one is refused with the nearest name."""
    if isinstance(wanted, OutputIndex):
        return int(wanted)
    if isinstance(wanted, str):
        exact = [i for i, label in enumerate(labels) if label == wanted]
        folded = [i for i, label in enumerate(labels) if label.casefold() == wanted.casefold()]
        found = exact or folded
        if len(exact) > 1:
            raise OptionError(
                f"{wanted!r} is the name of the outputs {exact}: give the index of the one that is meant."
            )
        if len(found) != 1:
            raise unknown("label", wanted, labels)
        return found[0]
    if not isinstance(wanted, int | float):
        raise OptionError(f"A target is a label's name or its index, not {wanted!r}.")
    named = next((list(labels).index(name) for name in _names_of(wanted) if name in labels), None)
    if isinstance(wanted, bool | float):  # such a class by its name; no index is of these types
        if named is None:
            raise OptionError(
                f"A target is a label's name or its index, not {wanted!r}: {unknown('label', wanted, labels)}"
            )
        return named
    if 0 <= wanted < len(labels):
        if named not in (None, wanted):
            raise OptionError(
                f"{wanted} is both a label's name, {labels[named]!r} (output {named}), and the index of another, "
                f"{labels[wanted]!r}: give the label by its name, target={labels[named]!r} or target={labels[wanted]!r}."
            )
        return wanted
    if named is None:
        raise OptionError(
            f"The label index {wanted} is out of range: the model has {len(labels)} labels, 0 to {len(labels) - 1}."
        )
    return named  # classes may be numbers of their own: 3, 4 and 5


def _names_of(number: float) -> tuple[str, ...]:
    """The names that a class equal to this number may have: of 2 they are "2" and "2.0"."""
    if isinstance(number, bool):
        return (str(number),)
    if isinstance(number, int):
        return (str(number), f"{number}.0")
    return (str(number), str(int(number))) if number.is_integer() else (str(number),)
