"""What the attention heads of a model look at, for one call."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from ...core.errors import MethodError


@dataclass(frozen=True, eq=False)
class AttentionOutputs:
    """A model's outputs, and what they were made from, all within one graph."""

    outputs: Tensor | Sequence[Tensor]  # as `forward` gives them
    weights: tuple[Tensor, ...]  # [B, H, S, S] a layer
    states: Tensor  # [B, S, D]: what the last layer hands to the model's head
    at: Sequence[slice]  # where the positions of each row are


def unavailable_reason(model: nn.Module, differentiable: bool) -> str | None:
    """Why a model cannot say what its heads look at, as far as its configuration tells; None where it may."""
    config = getattr(model, "config", None)
    name = type(model).__name__
    if getattr(config, "is_encoder_decoder", False):
        return f"{name} has an encoder and a decoder: attention across them is not supported"
    takes = inspect.signature(model.forward).parameters.values()
    if not any(p.name == "output_attentions" or p.kind is p.VAR_KEYWORD for p in takes):
        return f"{name}.forward takes no output_attentions=True, so it cannot be asked what its heads look at"
    return None if differentiable else f"{name} gives no gradients, which tell where its output is read off"


_HOOKED = "_output_capturing_hooks_installed"  # how transformers marks a model with those hooks


@contextmanager
def eager(model: nn.Module) -> Iterator[None]:
    """While inside, the model computes attention in the way that gives its weights; after, as its configuration said before."""
    configs = {id(c): c for c in (getattr(module, "config", None) for module in model.modules()) if c is not None}
    for config in list(configs.values()):
        parts = (getattr(config, name, None) for name in getattr(config, "sub_configs", {}))
        configs.update({id(part): part for part in parts if part is not None})
    field = "_attn_implementation_internal"
    before = [(config, getattr(config, field)) for config in configs.values() if hasattr(config, field)]
    hooks = [(module, set(module._forward_hooks), _HOOKED in vars(module)) for module in model.modules()]
    try:
        for config, _ in before:
            setattr(config, field, "eager")
        yield
    finally:
        for config, way in before:
            setattr(config, field, way)
        # transformers leaves the hooks that capture attention on the model, which can then not be pickled any more
        for module, known, hooked in hooks:
            for key in set(module._forward_hooks) - known:
                del module._forward_hooks[key]
            if not hooked and _HOOKED in vars(module):
                delattr(module, _HOOKED)


def extract_attention(
    out: object, at: Sequence[slice], outputs: Tensor | Sequence[Tensor], name: str
) -> AttentionOutputs:
    """What a model's answer says of its attention. MethodError where that is nothing, or not of the input's own positions."""
    weights, states = getattr(out, "attentions", None), getattr(out, "hidden_states", None)
    if not weights or not states or any(w is None for w in weights):
        raise MethodError(f"{name} gives no attention weights: use 'kernel_shap', 'occlusion' or a gradient method.")
    longest = states[-1].shape[1]
    if any(w.dim() != 4 or tuple(w.shape[2:]) != (longest, longest) for w in weights) or longest < max(
        a.stop for a in at
    ):
        shapes = sorted({tuple(w.shape) for w in weights})
        raise MethodError(
            f"{name} gives attention weights of shape {shapes[0]}, not [B, H, S, S] over the input's {longest} positions: "
            "use 'kernel_shap', 'occlusion' or a gradient method."
        )
    if any(not bool(((w >= 0) & (w <= 1.01)).all()) for w in weights):
        raise MethodError(
            f"{name} hands out numbers for its attention that are no weights from 0 to 1: use 'kernel_shap', 'occlusion' or a "
            "gradient method."
        )
    return AttentionOutputs(outputs, tuple(weights), states[-1], at)
