"""Fingerprints: short texts that are the same for equal models, settings and inputs in any process, and differ otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

if TYPE_CHECKING:
    from ..models.protocol import Model


def model_fingerprint(model: Model[Any]) -> str | None:
    """The digest of an adapter's model and vocabulary; None for one without weights, such as a function."""
    return None if model.module is None else weights_fingerprint(model.module, model.text_tokenizer)


def weights_fingerprint(inner: nn.Module, tokenizer: object = None) -> str:
    """Of the vocabulary, and of every weight's name, shape and first and last 64 numbers."""
    known = sorted(tokenizer.get_vocab().items()) if hasattr(tokenizer, "get_vocab") else []
    found = hashlib.sha256(repr(known).encode("utf-8", "surrogatepass"))
    for name, tensor in inner.state_dict().items():
        flat = tensor.detach().reshape(-1)
        ends = [*flat[:64].tolist(), *flat[-64:].tolist()] if hasattr(flat, "tolist") else []
        found.update(f"{name} {tuple(tensor.shape)} {ends}".encode())
    return found.hexdigest()[:16]


def fingerprint(thing: object) -> str:
    """16 letters that tell two contents apart: of texts, numbers, arrays, images, functions, and of what holds such."""
    return hashlib.sha256(_told(thing).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _told(thing: Any) -> str:
    """The content in words. What is not known here is told by its repr: with an address in it, it is never the same again."""
    if thing is None or isinstance(thing, bool | int | float | str | bytes):
        return repr(thing)
    if isinstance(thing, Mapping):
        return f"{{{', '.join(f'{_told(key)}: {_told(value)}' for key, value in thing.items())}}}"
    if isinstance(thing, Sequence):
        return f"[{', '.join(map(_told, thing))}]"
    if isinstance(thing, set | frozenset):
        return f"{{{', '.join(sorted(map(_told, thing)))}}}"
    if is_dataclass(thing) and not isinstance(thing, type):
        return f"{type(thing).__qualname__} {_told({f.name: getattr(thing, f.name) for f in fields(thing) if f.init})}"
    if isinstance(thing, CodeType):
        return f"{thing.co_code.hex()} {_told(thing.co_consts)} {_told(thing.co_names)}"
    if callable(thing) and isinstance(code := getattr(thing, "__code__", None), CodeType):
        held = [cell.cell_contents for cell in thing.__closure__ or () if cell.cell_contents is not thing]
        more = [thing.__defaults__, thing.__kwdefaults__, held]
        return f"{thing.__module__}.{thing.__qualname__} {_told(code)} {_told(more)}"
    if hasattr(thing, "tobytes") or hasattr(thing, "detach"):
        return _numbers(thing)
    return repr(thing)


def _numbers(thing: object) -> str:
    """Of an array, a tensor or an image: its kind, its shape, and a digest of its numbers."""
    array = np.asarray(thing.detach().cpu() if hasattr(thing, "detach") else thing)
    return f"{getattr(thing, 'mode', '')} {array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
