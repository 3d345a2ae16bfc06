"""Ways back through one operation: the same value, with another gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

NEAR = 1e-4  # at 0, or nearer than this where act(0) is taken off, an activation's factor is the one found here


class Answered(torch.autograd.Function):
    """A value that is already there, [value], whose gradient goes to `path`, a tensor of its shape."""

    @staticmethod
    def forward(ctx: Any, path: Tensor, value: list[Tensor]) -> Tensor:
        return value[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def answered(path: Tensor, value: Tensor) -> Tensor:
    """The value, whose gradient goes to `path`."""
    out: Tensor = Answered.apply(path, [value])  # type: ignore[no-untyped-call]
    return out


class Factored(torch.autograd.Function):
    """A value that is already there, [value], whose gradient goes to x times a factor held still."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor, value: list[Tensor]) -> Tensor:
        ctx.save_for_backward(factor)
        return value[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.saved_tensors[0], None, None


class Levelled(torch.autograd.Function):
    """A layer norm that is already there, [value], whose gradient is that of (x - mean) / spread x weight, spread held still."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, spread: Tensor, weight: Tensor | None, last: int, value: list[Tensor]) -> Tensor:
        ctx.save_for_backward(spread, weight)
        ctx.dims = tuple(range(-last, 0))
        return value[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        spread, weight = ctx.saved_tensors
        gradient = gradients[0] if weight is None else gradients[0] * weight
        return (gradient - gradient.mean(ctx.dims, keepdim=True)) * spread, None, None, None, None


def shared(out: Tensor, share: float) -> Tensor:
    """What an operation gave, from now on with that share of its gradient."""
    if out.requires_grad and share != 1:
        out.register_hook(lambda gradient: gradient * share)  # type: ignore[no-untyped-call]
    return out


def scaled(x: Tensor, share: float) -> Tensor:
    """A view of x with that share of its gradient."""
    return shared(x.view_as(x), share)


def activation(func: Any, args: Any, kwargs: Any) -> Tensor:
    """func(x), with the gradient of x times (func(x) - func(0)) / x held still. An operation in place keeps its own."""
    if kwargs.get("inplace") or not isinstance(args[0] if args else None, Tensor):
        return func(*args, **kwargs)  # type: ignore[no-any-return]
    x: Tensor = args[0]
    with torch.no_grad():
        value = func(*args, **kwargs)
        wide = _wide(x)
        rest, near = func(torch.tensor([0, NEAR], dtype=wide.dtype), *args[1:], **kwargs).tolist()
        full = value if wide is x else func(wide, *args[1:], **kwargs)
        if rest:
            factor = (full - rest).div_(wide).masked_fill_(wide.abs() < NEAR, (near - rest) / NEAR)
        else:  # then only 0 / 0 has no factor of its own
            factor = (full / wide).nan_to_num_(nan=near / NEAR)
    out: Tensor = Factored.apply(x, factor.to(x.dtype), [value])  # type: ignore[no-untyped-call]
    return out


def norm(func: Any, args: Any, kwargs: Any) -> Tensor:
    """func(x, …), with a gradient that is linear in x: the spread is held still."""
    if func is functional.layer_norm and (out := _levelled(*args, **kwargs)) is not None:
        return out
    with torch.no_grad():
        value: Tensor = func(*args, **kwargs)
    return answered(_PATHS[func](*args, **kwargs).to(value.dtype), value)


def _levelled(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor | None:
    """The layer norm with the spread that torch itself has found; None in half precision, and where its weights follow."""
    if input.dtype not in (torch.float32, torch.float64) or any(
        p is not None and p.requires_grad for p in (weight, bias)
    ):
        return None
    with torch.no_grad():
        value, _, spread = torch.native_layer_norm(input, list(normalized_shape), weight, bias, eps)
    out: Tensor = Levelled.apply(input, spread, weight, len(normalized_shape), [value])  # type: ignore[no-untyped-call]
    return out


def _layer(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    x = _wide(input)
    dims = tuple(range(-len(normalized_shape), 0))
    spread = (x.detach().var(dims, unbiased=False, keepdim=True) + eps).rsqrt()
    path = (x - x.mean(dims, keepdim=True)) * spread
    return path if weight is None else path * weight


def _rms(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    x = _wide(input)
    dims = tuple(range(-len(normalized_shape), 0))
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    path = x * (x.detach().square().mean(dims, keepdim=True) + eps).rsqrt()
    return path if weight is None else path * weight


def _group(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    x = _wide(input).reshape(len(input), num_groups, -1)
    spread = (x.detach().var(-1, unbiased=False, keepdim=True) + eps).rsqrt()
    path = ((x - x.mean(-1, keepdim=True)) * spread).reshape(input.shape)
    return path if weight is None else path * weight.reshape(1, -1, *[1] * (input.dim() - 2))


def _unit(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(input.detach(), p, dim, keepdim=True)
    return input / length.clamp_min(eps)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


_PATHS: Mapping[Any, Callable[..., Tensor]] = {
    functional.layer_norm: _layer,
    functional.rms_norm: _rms,
    functional.group_norm: _group,
    functional.normalize: _unit,
}
