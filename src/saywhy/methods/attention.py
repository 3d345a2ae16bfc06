"""Methods that ask where the model looks."""

from __future__ import annotations

from ..errors import MethodError, OptionError
from ..types import Asking, Attentions, Problem, Scores


def label_attention(problem: Problem, *, head: int | None = None) -> Asking:
    """The share of its attention that each target's label gives to each feature, from 0 to 1. Where, not which way.

    The mean over heads, or one `head` by its index. What lies on special tokens belongs to no feature, and a note says how
    much that is. 1 forward. Only for models with label attention (`saywhy.classifier`). Source: Mullenbach et al. 2018.
    """
    if any(target.against is not None for target in problem.targets):
        raise MethodError("label_attention tells where one label looks; it has no `against`.")
    shares = yield Attentions()  # [H, K, n]
    if head is not None and not 0 <= head < len(shares):
        raise OptionError(f"`head` must be from 0 to {len(shares) - 1}, or None for their mean; not {head!r}.")
    found = shares.mean(0) if head is None else shares[head]
    elsewhere = float((1 - found.sum(1)).max())
    note = (f"up to {elsewhere:.0%} of a label's attention is on special tokens",) if elsewhere > 0.005 else ()
    return Scores(found, notes=note)
