"""Other backward rules for one forward: what a model computes stays as it is, what its gradient says changes.

A mode of torch sees every operation of a forward, whatever the architecture, and gives some of them another way back. No class
or model is touched. A rule makes gradient x input of an operation add up to its output where the ordinary gradient does not:

- norms: the spread that a layer divides by is detached, a constant. Taking the mean away is linear and keeps its gradient.
- activations: act(x) is read as x times a constant factor. What act(0) is belongs to nothing, as a bias does.
- products of two activations: each factor gets half. A factor made by tanh, sigmoid or erf is a gate, and constant, so a GELU
  that is written by hand counts as one activation.
- attention: "value" treats the weights as constants; "split" gives half to the weights and half to the values, and half of the
  weights' share to queries and keys each; through softmax itself runs the ordinary gradient.

What is not seen stays as it was: kernels that are not called through torch (flash-attn), exp and products written with addcmul.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from ..core.errors import unknown

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx

Operation: TypeAlias = (
    "Callable[..., Tensor]"  # a function of torch, as a mode of torch is given it; a few give several
)
Arguments: TypeAlias = "tuple[Any, ...]"
Keywords: TypeAlias = "dict[str, Any]"
Result: TypeAlias = "Tensor | tuple[Tensor, ...]"


@dataclass(frozen=True)
class Rules:
    """Which operations get another way back."""

    source: str
    attention: str  # "value" or "split"
    norms: bool = True
    activations: bool = True
    products: bool = True


RULES: Mapping[str, Rules] = {
    "libra": Rules("LibraGrad, Mehri et al. 2025, arXiv 2411.16760", "value"),
    "attn_lrp": Rules("AttnLRP, Achtibat et al. 2024, arXiv 2402.05602; its authors claim a patent", "split"),
    "detach_attention": Rules("Ali et al. 2022, arXiv 2202.07304", "value", activations=False, products=False),
}


@contextmanager
def under(name: str | None) -> Iterator[None]:
    """While inside, forwards of this thread keep the gradients of the rules of that name; None changes nothing.

    Backward passes may run later: only the forward must be inside. Raises OptionError for a name that is not in RULES.
    """
    if name is None:
        yield
        return
    if name not in RULES:
        raise unknown("backward rules", name, RULES)
    with _Watching(RULES[name]):
        yield


class _Watching(TorchFunctionMode):
    """Sees each operation on tensors and answers with the same value, and the gradient of the rules."""

    def __init__(self, rules: Rules):
        super().__init__()
        self.rules = rules
        self.gates = WeakTensorKeyDictionary()  # tensors made by a squashing function, until they are multiplied
        kinds = {
            "statistic": rules.norms,
            "norm": rules.norms,
            "softmax": rules.attention == "value",
            "attention": True,
        }
        kinds |= dict.fromkeys(("squash", "activation", "power"), rules.activations)
        kinds |= dict.fromkeys(
            ("product", "quotient", "sum", "contraction"), rules.products or rules.attention == "split"
        )
        self.kinds = {kind for kind, on in kinds.items() if on}

    def __torch_function__(
        self, func: Operation, types: object, args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        kwargs = kwargs or {}
        kind = _KINDS.get(func)
        if kind not in self.kinds or not torch.is_grad_enabled() or not _follows((*args, *kwargs.values())):
            return func(*args, **kwargs)
        return _WAYS[str(kind)](self, func, args, kwargs)


def _follows(given: Sequence[object]) -> bool:
    """Does any of these tensors, also those in a list, ask for a gradient?"""
    return any(
        each.requires_grad if isinstance(each, Tensor) else isinstance(each, list | tuple) and _follows(each)
        for each in given
    )


def _statistic(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Result:
    out = func(*args, **kwargs)
    if func in _SEVERAL:
        return out[0].detach(), out[1]
    return out.detach()


def _norm(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Tensor:
    return norm(func, args, kwargs)


def _softmax(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Tensor:
    return func(*args, **kwargs).detach()


def _activation(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Tensor:
    out = activation(func, args, kwargs)
    if _KINDS[func] == "squash":
        watch.gates[out] = True
    return out


def _sum(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Result:
    """A gate plus a number is a gate."""
    gated = any(isinstance(a, Tensor) and a in watch.gates for a in args)
    out = func(*args, **kwargs)
    if gated and sum(_follows([a]) for a in args) == 1:
        watch.gates[out] = True
    return out


def _product(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Result:
    if sum(_follows([a]) for a in args[:2]) < 2:
        return _sum(watch, func, args, kwargs)
    gates = [i for i, a in enumerate(args[:2]) if a in watch.gates]
    if len(gates) == 1 and args[0] is not args[1] and not (func in _IN_PLACE and gates == [0]):
        detached = [a.detach() if i in gates else a for i, a in enumerate(args)]
        return func(*detached, **kwargs)
    return shared(func(*args, **kwargs), 1 / 2)


def _quotient(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Result:
    """What is divided by is detached."""
    if len(args) > 1 and _follows(args[:1]) and _follows(args[1:2]):
        args = (args[0], args[1].detach(), *args[2:])
    return func(*args, **kwargs)


def _contraction(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Tensor:
    given = [*args, *kwargs.values()]
    flat = [a for each in given for a in (each if isinstance(each, list | tuple) else [each])]
    return shared(func(*args, **kwargs), 1 / max(1, sum(_follows([a]) for a in flat)))


def _power(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Tensor:
    """x^p is read as x times a constant factor; a negative power is a statistic that something is divided by."""
    exponent = 2 if func in (torch.square, Tensor.square) else args[1] if len(args) > 1 else kwargs.get("exponent")
    out: Tensor = func(*args, **kwargs)
    if not isinstance(exponent, int | float) or exponent == 0:
        return out
    if exponent < 0:
        return out.detach()
    return shared(out, 1 / exponent)


def _attention(watch: _Watching, func: Operation, args: Arguments, kwargs: Keywords) -> Result:
    names = ("query", "key", "value")
    given = [*args[:3], *(kwargs[name] for name in names[len(args) :])]
    rest = {name: value for name, value in kwargs.items() if name not in names}
    if watch.rules.attention == "value":
        ways = [given[0].detach(), given[1].detach(), given[2]]
    else:
        ways = [scaled(given[0], 0.25), scaled(given[1], 0.25), scaled(given[2], 0.5)]
    if func is torch.nn.functional.scaled_dot_product_attention:
        return func(*ways, *args[3:], **rest)
    with (
        torch.no_grad()
    ):  # torch's own layer takes another, slightly different way where query, key and value are not one
        value, weights = func(*given, *args[3:], **rest)
    return answered(func(*ways, *args[3:], **rest)[0], value), weights


def _named(kind: str, torch_names: str = "", tensor_names: str = "", functional: str = "") -> dict[Any, str]:
    places = ((torch, torch_names), (Tensor, tensor_names), (torch.nn.functional, functional))
    return {getattr(place, name): kind for place, names in places for name in names.split()}


_KINDS: Mapping[Any, str] = {
    **_named("statistic", "rsqrt sqrt var std var_mean std_mean norm", "rsqrt sqrt var std norm"),
    torch.linalg.vector_norm: "statistic",
    torch.linalg.norm: "statistic",
    **_named("norm", "", "", "layer_norm rms_norm group_norm normalize"),
    **_named("softmax", "softmax", "softmax", "softmax"),
    **_named("attention", "", "", "scaled_dot_product_attention multi_head_attention_forward"),
    **_named("squash", "tanh sigmoid erf", "tanh sigmoid erf", "hardsigmoid"),
    torch.special.expit: "squash",
    torch.special.erf: "squash",
    **_named(
        "activation", "", "", "gelu silu mish softplus elu celu selu hardswish hardtanh relu6 logsigmoid softsign"
    ),
    **_named("power", "pow square", "pow square __pow__"),
    **_named("product", "mul multiply", "mul multiply mul_ __mul__ __rmul__ __imul__"),
    **_named("quotient", "div divide true_divide", "div divide true_divide __truediv__"),
    **_named("sum", "add sub", "add sub to float __add__ __radd__ __sub__ __rsub__"),
    **_named("contraction", "matmul bmm mm einsum baddbmm", "matmul bmm mm baddbmm __matmul__", "linear bilinear"),
}
_SEVERAL: tuple[object, ...] = (torch.var_mean, torch.std_mean)
_IN_PLACE = (Tensor.mul_, Tensor.__imul__)
_WAYS: Mapping[str, Callable[[_Watching, Operation, Arguments, Keywords], Result]] = {
    "statistic": _statistic,
    "norm": _norm,
    "softmax": _softmax,
    "attention": _attention,
    "squash": _activation,
    "activation": _activation,
    "power": _power,
    "product": _product,
    "quotient": _quotient,
    "sum": _sum,
    "contraction": _contraction,
}


# ---- ways back through one operation: the same value, with another gradient --------------------------------------------

NEAR = 1e-4  # at 0, or nearer than this where act(0) is taken off, an activation's factor is the one found here


class Answered(torch.autograd.Function):
    """A value that is already there, [value], whose gradient goes to `path`, a tensor of its shape."""

    @staticmethod
    def forward(ctx: FunctionCtx, path: Tensor, value: list[Tensor]) -> Tensor:
        return value[0]

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None


def answered(path: Tensor, value: Tensor) -> Tensor:
    """The value, whose gradient goes to `path`."""
    out: Tensor = Answered.apply(path, [value])  # type: ignore[no-untyped-call]
    return out


class Context(Protocol):
    """What torch hands from a forward to its backward."""

    saved_tensors: tuple[Tensor, ...]
    dims: tuple[int, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class Factored(torch.autograd.Function):
    """A value that is already there, [value], whose gradient goes to x times a constant factor."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, factor: Tensor, value: list[Tensor]) -> Tensor:
        ctx.save_for_backward(factor)
        return value[0]

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0] * ctx.saved_tensors[0], None, None


class Levelled(torch.autograd.Function):
    """A layer norm that is there already, [value], with the gradient of (x - mean) / spread x weight for a constant spread."""

    @staticmethod
    def forward(
        ctx: Context, x: Tensor, spread: Tensor, weight: Tensor | None, last: int, value: list[Tensor]
    ) -> Tensor:
        ctx.save_for_backward(spread, weight)
        ctx.dims = tuple(range(-last, 0))
        return value[0]

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
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


def activation(func: Operation, args: Arguments, kwargs: Keywords) -> Tensor:
    """func(x), with the gradient of x times (func(x) - func(0)) / x as a constant. An operation in place keeps its own."""
    if kwargs.get("inplace") or not isinstance(args[0] if args else None, Tensor):
        return func(*args, **kwargs)
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


def norm(func: Operation, args: Arguments, kwargs: Keywords) -> Tensor:
    """func(x, …), with a gradient that is linear in x: the spread is detached."""
    if func is functional.layer_norm and (out := _levelled(*args, **kwargs)) is not None:
        return out
    with torch.no_grad():
        value: Tensor = func(*args, **kwargs)
    return answered(_PATHS[func](*args, **kwargs).to(value.dtype), value)


def _levelled(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
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
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    x = _wide(input)
    dims = tuple(range(-len(normalized_shape), 0))
    spread = (x.detach().var(dims, unbiased=False, keepdim=True) + eps).rsqrt()
    path = (x - x.mean(dims, keepdim=True)) * spread
    return path if weight is None else path * weight


def _rms(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
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


def _unit(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: object = None) -> Tensor:
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
