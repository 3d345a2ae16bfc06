"""Methods that ask where the model looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.errors import MethodError, OptionError
from ..core.types import AttentionMaps, AttentionWeights, LabelAttentions, MethodGenerator, Problem, Scores

if TYPE_CHECKING:
    from ..core.shapes import Float64


def label_attention(problem: Problem, *, head: int | None = None) -> MethodGenerator:
    """The share of its attention that each target's label gives to each feature, from 0 to 1. Where, not which way.

    The mean over heads, or one `head` by its index. What lies on special tokens belongs to no feature, and a note says how
    much that is. 1 forward. Only for models with label attention (`saywhy.classifier`). Source: Mullenbach et al. 2018.
    """
    if any(target.against is not None for target in problem.targets):
        raise MethodError("label_attention tells where one label looks; it has no `against`.")
    shares = yield LabelAttentions()  # [H, K, n]
    if head is not None and not 0 <= head < len(shares):
        raise OptionError(f"`head` must be from 0 to {len(shares) - 1}, or None for their mean; not {head!r}.")
    found = shares.mean(0) if head is None else shares[head]
    elsewhere = float((1 - found.sum(1)).max())
    note = (f"up to {elsewhere:.0%} of a label's attention is on special tokens",) if elsewhere > 0.005 else ()
    return Scores(found, notes=note)


def raw_attention(problem: Problem, *, layer: int = -1, head: int | None = None) -> MethodGenerator:
    """The attention that the position a target is read off gives to each feature, from 0 to 1. Where, not which way.

    Of one `layer`, by default the last; the mean over its heads, or one `head`. A target that is read off several positions
    gets their mean, weighted by its gradient there. 1 forward, and a backward pass a target through the model's head alone.
    Known to explain little: rows mix as layers go up. Source: Jain & Wallace 2019, who show so.
    """
    attention: AttentionWeights = yield AttentionMaps()
    layers, heads = attention.weights.shape[:2]
    if not -layers <= layer < layers:
        raise OptionError(f"`layer` must be from {-layers} to {layers - 1}, not {layer!r}.")
    if head is not None and not 0 <= head < heads:
        raise OptionError(f"`head` must be from 0 to {heads - 1}, or None for their mean; not {head!r}.")
    weights = attention.weights[layer].mean(0) if head is None else attention.weights[layer, head]
    return _folded(attention.readout @ weights, attention, problem.n)


def attention_rollout(problem: Problem) -> MethodGenerator:
    """How much of each feature reaches the position a target is read off, if attention only mixed, from 0 to 1.

    Each layer's weights, averaged over heads and with as much of the identity for the residual, multiplied through all layers.
    The same for all targets read off one place. 1 forward, and a backward pass a target through the model's head alone.
    Source: Abnar & Zuidema 2020.
    """
    attention: AttentionWeights = yield AttentionMaps()
    reached = attention.readout  # [K, S], from the last layer down
    for layer in attention.weights.mean(1).flip(0):
        reached = (reached + reached @ (layer / layer.sum(-1, keepdim=True).clamp(min=1e-300))) / 2
    return _folded(reached, attention, problem.n)


def gradient_rollout(problem: Problem) -> MethodGenerator:
    """How much of each feature reaches a target through the attention that raises it. Always >= 0.

    Each layer adds weights x their gradient, positive parts only, averaged over heads, times what the layers below have
    mixed; of the position a target is read off. 1 forward, 1 backward a target.
    Source: Chefer, Gur & Wolf 2021, arXiv 2103.15679, the form for self-attention.
    """
    attention: AttentionWeights = yield AttentionMaps(gradients=True)
    if attention.gradients is None:
        raise MethodError("gradient_rollout asks for gradients along the attention weights, and the answer has none.")
    helps = (attention.weights * attention.gradients).clamp(min=0).mean(2)  # [K, L, S, S]
    reached = attention.readout[:, None]  # [K, 1, S]; a row of the product (I + last) ... (I + first)
    for layer in helps.transpose(0, 1).flip(0):
        reached = reached + reached @ layer
    return _folded(reached[:, 0] - attention.readout, attention, problem.n)


def _folded(positions: Float64[Tensor, "K S"], attention: AttentionWeights, n: int) -> Scores:
    """Positions as scores of their features, with a note on what lies on special tokens."""
    owner = torch.as_tensor(attention.owner)
    found = positions.new_zeros(len(positions), n).index_add_(-1, owner[owner >= 0], positions[:, owner >= 0])
    elsewhere = float((1 - found.sum(1) / positions.sum(1).clamp(min=1e-300)).max())
    note = (f"up to {elsewhere:.0%} lies on special tokens, which belong to no feature",) if elsewhere > 0.005 else ()
    return Scores(found, notes=note)
