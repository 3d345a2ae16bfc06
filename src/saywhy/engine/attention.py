"""How the engine answers questions about where a model looks: label attention, and the heads of every layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import MethodError
from ..core.types import AttentionMaps, AttentionWeights, LabelAttentions

if TYPE_CHECKING:
    from ..core.shapes import Float, Float64
    from ..models.protocol import Model
    from ..models.text.attention import AttentionOutputs
    from .batching import BoundProblem

_APART = (
    "{name} hands out attention weights and states in a form that its output does not follow from. Use 'kernel_shap', "
    "'occlusion' or a gradient method."
)
Answer = Callable[[Any, Sequence[Any], Sequence[Any]], "tuple[list[Any], int]"]


def label_attention(
    model: Model[Any], asked: Sequence[tuple[BoundProblem, LabelAttentions]], rows: Sequence[Any]
) -> tuple[list[Float64[Tensor, "_ _ _"]], int]:
    """For each [H, K, n] on the CPU, from one forward; and 0 backward passes."""
    with torch.no_grad():
        found = model.label_attention(rows)
    answers = []
    for (bound, _), weights in zip(asked, found, strict=True):  # [H, labels, S]
        mine = weights[:, [target.index[0] for target in bound.problem.targets]].cpu().double()
        owner = torch.as_tensor(bound.encoding.owner)
        folded = torch.zeros(*mine.shape[:2], bound.problem.n, dtype=torch.float64)
        answers.append(folded.index_add_(-1, owner[owner >= 0], mine[..., owner >= 0]))
    return answers, 0


def attention_maps(
    model: Model[Any], asked: Sequence[tuple[BoundProblem, AttentionMaps]], rows: Sequence[Any]
) -> tuple[list[AttentionWeights], int]:
    """For each its AttentionWeights, from one forward and a backward pass a target; and how many of these there were.

    Without gradients a backward pass runs through the model's head only.
    """
    if any(isinstance(row, tuple) for row in rows):
        raise MethodError(
            "This input goes through the model in several rows (windows, several labels or two texts), and attention methods "
            "look at one. Use a coalition or a gradient method."
        )
    with torch.inference_mode(False), torch.enable_grad():
        with torch.no_grad():
            points = [model.embed(row) for row in rows]
        seen = model.attention_maps(rows, [point.detach().clone().requires_grad_() for point in points])
        numbers = [_numbers(bound, seen.outputs[b]) for b, (bound, _) in enumerate(asked)]
        sloped = any(q.gradients for _, q in asked)
        wanted = [seen.states, *(seen.weights if sloped else ())]
        passes = max(len(each) for each in numbers)
        by_target = []
        for k in range(passes):
            total = torch.stack([each[k] for each in numbers if len(each) > k]).sum()
            if not all(each.requires_grad for each in (total, *wanted)):
                raise MethodError(_APART.format(name=model.name))
            by_target.append(torch.autograd.grad(total, wanted, retain_graph=k + 1 < passes, allow_unused=True))
    if any(g is None for each in by_target for g in each):
        raise MethodError(_APART.format(name=model.name))
    return [
        _weights(bound, seen, by_target, b, q.gradients, len(numbers[b])) for b, (bound, q) in enumerate(asked)
    ], passes


def _numbers(bound: BoundProblem, output: Float[Tensor, "*_"]) -> Float[Tensor, " K"]:
    """The targets of one output."""
    keep = bound.cache.keep
    return bound.score((output if keep is None else keep(output))[None])[0]


def _weights(
    bound: BoundProblem, seen: AttentionOutputs, by_target: Sequence[Any], b: int, sloped: bool, targets: int
) -> AttentionWeights:
    at = seen.at[b]

    def own(layers: Sequence[Float[Tensor, "B H longest longest"]]) -> Float64[Tensor, "layers H S S"]:
        return torch.stack([layer[b, :, at, at] for layer in layers]).detach().cpu().double()

    readout = torch.stack([each[0][b, at].norm(dim=-1) for each in by_target[:targets]]).cpu().double()
    readout = readout / readout.sum(-1, keepdim=True).clamp(min=1e-300)
    gradients = torch.stack([own(each[1:]) for each in by_target[:targets]]) if sloped else None
    owner = bound.encoding.owner
    if owner is None:
        raise MethodError("This input has no positions that belong to features: use a coalition method.")
    return AttentionWeights(own(seen.weights), readout, owner, gradients)


ATTENTION_ANSWERS: Mapping[type, Answer] = {LabelAttentions: label_attention, AttentionMaps: attention_maps}
