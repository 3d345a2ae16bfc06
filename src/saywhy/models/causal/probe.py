"""What a language model does with its rows, found out at its first blocks: a probe that costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class _EnoughError(Exception):
    """Ends a forward once its first blocks have answered."""


def second_block(model: nn.Module) -> nn.Module | None:
    """The second of a decoder's blocks, where all are built alike: what holds there holds for every one of them.

    None for encoder-decoders, for blocks that differ, and for a model that is spread over devices, whose own hooks must run
    to the end.
    """
    config: Any = getattr(model, "config", None)
    kinds = getattr(config, "layer_types", None) or ()
    if getattr(config, "is_encoder_decoder", False) or len(set(kinds)) > 1:
        return None
    if any(hasattr(module, "_hf_hook") for module in model.modules()):
        return None
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 2]
    if len(lists) != 1 or len(lists[0]) != getattr(config, "num_hidden_layers", None):
        return None
    built = {tuple(type(part) for part in block.modules()) for block in lists[0]}
    return lists[0][1] if len(built) == 1 else None


def states_after(block: nn.Module, run: Callable[[], Any]) -> Tensor | None:
    """[B, S, D]: what `block` answers while `run` calls the model, which goes no further. The hook is always removed."""
    found: list[Any] = []

    def stop(module: nn.Module, args: object, output: object) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)
        raise _EnoughError

    hook = block.register_forward_hook(stop)
    try:
        run()
    except _EnoughError:
        pass
    finally:
        hook.remove()
    return found[0] if found and isinstance(found[0], Tensor) and found[0].dim() == 3 else None


def apart(a: Tensor, b: Tensor) -> float:
    """How far two answers differ, against their size: medians, so that a few huge numbers hide nothing."""
    size = float(a.float().abs().median())
    return float((a - b).float().abs().median()) / (size or 1.0)
