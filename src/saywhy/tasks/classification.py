"""Text classification: one label of several, several labels at once, or a single number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import OptionError, unknown
from ..features import checked
from ..types import Encoding, Target

if TYPE_CHECKING:
    from ..models import Look, Model
    from . import WantedTarget

UNITS = {
    "softmax": ("logit", "log-prob", "prob", "log-odds"),
    "sigmoid": ("logit", "log-prob", "prob", "log-odds"),
    "regression": ("score",),
    "score": ("score",),
}


class TextClassification:
    """Which words push a label's logit, probability or log-odds up or down."""

    name = "text-classification"

    def encode(self, model: Model, given: Any, look: Look) -> Encoding:
        return model.encode({"text": checked(given)}, look)

    def targets(
        self, model: Model, output: Tensor, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        unit = UNITS[model.kind][0] if unit is None else unit
        if unit not in UNITS[model.kind]:
            raise unknown(f"unit for {model.kind} outputs", unit, UNITS[model.kind])
        other = None if against is None else label_index(model.labels, against)
        out = []
        for want in wanted:
            i = int(output.argmax()) if want is None else label_index(model.labels, want)
            if i == other:
                raise OptionError(f"The target and `against` are both {model.labels[i]!r}: name two different labels.")
            label = model.labels[i] if other is None else f"{model.labels[i]} rather than {model.labels[other]}"
            out.append(Target(label, (i,), unit, None if other is None else (other,)))
        return tuple(out)

    def score(self, model: Model, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        units = {unit: _in_unit(outputs, unit, model.kind) for unit in {t.unit for t in targets}}
        columns = []
        for target in targets:
            column = units[target.unit][:, target.index[0]]
            columns.append(column if target.against is None else column - units[target.unit][:, target.against[0]])
        return torch.stack(columns, dim=1)

    def says(self, model: Model, output: Tensor) -> tuple[str, float]:
        unit = "score" if model.kind in ("regression", "score") else "prob"
        values = _in_unit(output[None], unit, model.kind)[0]
        i = int(values.argmax())
        return model.labels[i], float(values[i])


def label_index(labels: Sequence[str], wanted: WantedTarget) -> int:
    """The index of a label given by name or by index; an unknown one is refused with the nearest name."""
    if isinstance(wanted, str):
        exact = [i for i, label in enumerate(labels) if label == wanted]
        folded = [i for i, label in enumerate(labels) if label.casefold() == wanted.casefold()]
        found = exact or folded
        if len(found) != 1:
            raise unknown("label", wanted, labels)
        return found[0]
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise OptionError(f"A target is a label's name or its index, not {wanted!r}.")
    if not 0 <= wanted < len(labels):
        raise OptionError(
            f"The label index {wanted} is out of range: the model has {len(labels)} labels, 0 to {len(labels) - 1}."
        )
    return wanted


def _in_unit(logits: Tensor, unit: str, kind: str) -> Tensor:
    """[B, C] logits in another unit."""
    if unit in ("logit", "score"):
        return logits
    if kind == "sigmoid":
        return logits if unit == "log-odds" else logits.sigmoid() if unit == "prob" else -(-logits).exp().log1p()
    logp = logits.log_softmax(-1)
    if unit == "log-prob":
        return logp
    if unit == "prob":
        return logp.exp()
    itself = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = logits[:, None, :].masked_fill(itself, float("-inf"))  # [B, C, C]: for each label, the other ones
    return logits - others.logsumexp(-1)
