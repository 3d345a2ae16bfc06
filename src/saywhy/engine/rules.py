"""Other backward rules for one forward: what a model computes stays as it is, what its gradient says changes.

A mode of torch sees every operation of a forward, whatever the architecture, and gives some of them another way back. No class
or model is touched. A rule makes gradient x input of an operation add up to its output where the ordinary gradient does not:

- norms: the spread that a layer divides by is held still. Taking the mean away is linear and keeps its gradient.
- activations: act(x) is read as x times a factor that is held still. What act(0) is belongs to nothing, as a bias does.
- products of two activations: each factor gets half. A factor made by tanh, sigmoid or erf is a gate, and held still, so a GELU
  that is written by hand counts as one activation.
- attention: "value" holds the weights still; "split" gives half to the weights and half to the values, and half of the
  weights' share to queries and keys each; through softmax itself runs the ordinary gradient.

What is not seen stays as it was: kernels that are not called through torch (flash-attn), exp and products written with addcmul.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from ..core.errors import unknown
from .autograd import activation, answered, norm, scaled, shared


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
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = _KINDS.get(func)
        if kind not in self.kinds or not torch.is_grad_enabled() or not _follows((*args, *kwargs.values())):
            return func(*args, **kwargs)
        return _WAYS[str(kind)](self, func, args, kwargs)


def _follows(given: Any) -> bool:
    """Does any of these tensors, also those in a list, ask for a gradient?"""
    return any(
        each.requires_grad if isinstance(each, Tensor) else isinstance(each, list | tuple) and _follows(each)
        for each in given
    )


def _statistic(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Any:
    out = func(*args, **kwargs)
    if func in (torch.var_mean, torch.std_mean):
        return out[0].detach(), out[1]
    return out.detach()


def _norm(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Tensor:
    return norm(func, args, kwargs)


def _softmax(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Tensor:
    return func(*args, **kwargs).detach()  # type: ignore[no-any-return]


def _activation(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Tensor:
    out = activation(func, args, kwargs)
    if _KINDS[func] == "squash":
        watch.gates[out] = True
    return out


def _sum(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Any:
    """A gate plus a number is a gate."""
    gated = any(isinstance(a, Tensor) and a in watch.gates for a in args)
    out = func(*args, **kwargs)
    if gated and sum(_follows([a]) for a in args) == 1:
        watch.gates[out] = True
    return out


def _product(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Any:
    if sum(_follows([a]) for a in args[:2]) < 2:
        return _sum(watch, func, args, kwargs)
    gates = [i for i, a in enumerate(args[:2]) if a in watch.gates]
    if len(gates) == 1 and args[0] is not args[1] and not (func in _IN_PLACE and gates == [0]):
        still = [a.detach() if i in gates else a for i, a in enumerate(args)]
        return func(*still, **kwargs)
    return shared(func(*args, **kwargs), 1 / 2)


def _quotient(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Any:
    """What is divided by is held still."""
    if len(args) > 1 and _follows(args[:1]) and _follows(args[1:2]):
        args = (args[0], args[1].detach(), *args[2:])
    return func(*args, **kwargs)


def _contraction(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Tensor:
    given = [*args, *kwargs.values()]
    flat = [a for each in given for a in (each if isinstance(each, list | tuple) else [each])]
    return shared(func(*args, **kwargs), 1 / max(1, sum(_follows([a]) for a in flat)))


def _power(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Tensor:
    """x^p is read as x times a factor held still; a negative power is a statistic that something is divided by."""
    exponent = 2 if func in (torch.square, Tensor.square) else args[1] if len(args) > 1 else kwargs.get("exponent")
    out: Tensor = func(*args, **kwargs)
    if not isinstance(exponent, int | float) or exponent == 0:
        return out
    if exponent < 0:
        return out.detach()
    return shared(out, 1 / exponent)


def _attention(watch: _Watching, func: Any, args: Any, kwargs: Any) -> Any:
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
_IN_PLACE = (Tensor.mul_, Tensor.__imul__)
_WAYS: Mapping[str, Callable[[_Watching, Any, Any, Any], Any]] = {
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
