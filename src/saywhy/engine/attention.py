"""How the engine answers questions about where a model looks: label attention, and the heads of every layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.errors import MethodError
from ..core.types import Attentions, Gaze, Heads

if TYPE_CHECKING:
    from .cache import Posed

_APART = (
    "{name} hands out attention weights and states in a form that its output does not follow from. Use 'kernel_shap', "
    "'occlusion' or a gradient method."
)
Look = Callable[[Any, Sequence[Any], Sequence[Any]], "tuple[list[Any], int]"]


def labels(model: Any, asked: Sequence[tuple[Posed, Attentions]], rows: Sequence[Any]) -> tuple[list[Tensor], int]:
    """For each float64 [H, K, n] on the CPU, from one forward; and 0 backward passes."""
    if getattr(model, "attention", None) is None:
        raise MethodError(f"{model.name} has no label attention.")
    with torch.no_grad():
        found = model.attention(rows)
    answers = []
    for (posed, _), weights in zip(asked, found, strict=True):  # [H, labels, S]
        mine = weights[:, [target.index[0] for target in posed.problem.targets]].cpu().double()
        owner = torch.as_tensor(posed.encoding.owner)
        folded = torch.zeros(*mine.shape[:2], posed.problem.n, dtype=torch.float64)
        answers.append(folded.index_add_(-1, owner[owner >= 0], mine[..., owner >= 0]))
    return answers, 0


def heads(model: Any, asked: Sequence[tuple[Posed, Heads]], rows: Sequence[Any]) -> tuple[list[Gaze], int]:
    """For each its Gaze, from one forward and a backward pass a target; and how many of these there were.

    Without slopes a backward pass runs through the model's head only.
    """
    if getattr(model, "heads", None) is None:
        raise MethodError(f"{model.name} does not say what its attention heads look at.")
    if any(isinstance(row, tuple) for row in rows):
        raise MethodError(
            "This input goes through the model in several rows (windows, several labels or two texts), and attention methods "
            "look at one. Use a coalition or a gradient method."
        )
    with torch.inference_mode(False), torch.enable_grad():
        with torch.no_grad():
            points = [model.embed(row) for row in rows]
        seen = model.heads(rows, [point.detach().clone().requires_grad_() for point in points])
        numbers = [_numbers(posed, seen.outputs[b]) for b, (posed, _) in enumerate(asked)]
        sloped = any(q.slopes for _, q in asked)
        wanted = [seen.states, *(seen.weights if sloped else ())]
        passes = max(len(each) for each in numbers)
        gradients = []
        for k in range(passes):
            total = torch.stack([each[k] for each in numbers if len(each) > k]).sum()
            if not all(each.requires_grad for each in (total, *wanted)):
                raise MethodError(_APART.format(name=model.name))
            gradients.append(torch.autograd.grad(total, wanted, retain_graph=k + 1 < passes, allow_unused=True))
    if any(g is None for each in gradients for g in each):
        raise MethodError(_APART.format(name=model.name))
    return [_gaze(posed, seen, gradients, b, q.slopes, len(numbers[b])) for b, (posed, q) in enumerate(asked)], passes


def _numbers(posed: Posed, output: Tensor) -> Tensor:
    """The targets of one output, [K]."""
    keep = posed.seen.keep
    return posed.score((output if keep is None else keep(output))[None])[0]


def _gaze(posed: Posed, seen: Any, gradients: Sequence[Any], b: int, sloped: bool, targets: int) -> Gaze:
    at = seen.at[b]

    def own(layers: Sequence[Tensor]) -> Tensor:
        return torch.stack([layer[b, :, at, at] for layer in layers]).detach().cpu().double()

    reads = torch.stack([each[0][b, at].norm(dim=-1) for each in gradients[:targets]]).cpu().double()
    reads = reads / reads.sum(-1, keepdim=True).clamp(min=1e-300)
    slopes = torch.stack([own(each[1:]) for each in gradients[:targets]]) if sloped else None
    owner = posed.encoding.owner
    if owner is None:
        raise MethodError("This input has no positions that belong to features: use a coalition method.")
    return Gaze(own(seen.weights), reads, owner, slopes)


LOOKS: Mapping[type, Look] = {Attentions: labels, Heads: heads}
