"""Logits in other units, and labels by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.errors import OptionError, unknown

if TYPE_CHECKING:
    from .protocol import WantedTarget

UNITS = {
    "softmax": ("logit", "log-prob", "prob", "log-odds"),
    "sigmoid": ("logit", "log-prob", "prob", "log-odds"),
    "regression": ("score",),
    "score": ("score",),
}


def checked_unit(unit: str | None, allowed: Sequence[str], what: str) -> str:
    """The unit asked for, or the first of those allowed; refuses others."""
    if unit is None:
        return allowed[0]
    if unit not in allowed:
        raise unknown(f"unit for {what}", unit, allowed)
    return unit


def in_unit(logits: Tensor, unit: str, kind: str) -> Tensor:
    """[..., C] logits in another unit."""
    if unit in ("logit", "score"):
        return logits
    if kind == "sigmoid":
        return logits if unit == "log-odds" else logits.sigmoid() if unit == "prob" else -(-logits).exp().log1p()
    logp = logits.log_softmax(-1)
    if unit == "log-prob":
        return logp
    if unit == "prob":
        return logp.exp()
    itself = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    others = logits[..., None, :].masked_fill(itself, float("-inf"))  # [..., C, C]: for each label, the other ones
    return logits - others.logsumexp(-1)


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
