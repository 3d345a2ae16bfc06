"""One thread at a time on one model: what is put on a model for a call is put on, and taken off, under its own lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any

from torch import nn
from torch.utils.weak import WeakIdKeyDictionary


class _Hold:
    """A lock that its thread may take again, and how often it has."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.depth = 0


_HOLDS = WeakIdKeyDictionary()  # by identity: tensors are compared element by element
_REGISTER = Lock()
_LOADING = RLock()


def _after_fork() -> None:
    """A child process has one thread, and would wait for ever for locks that others held when it was forked."""
    global _REGISTER, _LOADING
    _REGISTER, _LOADING = Lock(), RLock()
    _HOLDS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def loading() -> Iterator[None]:
    """While inside, no other thread loads a model.

    transformers imports its modules when they are first asked for, and one that another thread is just importing is taken for
    one that is missing. Its switch of progress bars is of the whole process, too.
    """
    with _LOADING:
        yield


def _hold_of(thing: Any) -> _Hold:
    """Wrappers of one model, and models that share their embeddings, have one lock: that of their first parameter."""
    key = next(thing.parameters(), thing) if isinstance(thing, nn.Module) else thing
    with _REGISTER:
        hold = _HOLDS.get(key)  # type: ignore[no-untyped-call]
        if not isinstance(hold, _Hold):
            hold = _HOLDS[key] = _Hold()
        return hold


@contextmanager
def exclusive(thing: Any) -> Iterator[bool]:
    """While inside, no other thread is inside with the same model or tokenizer; gives whether this is the outermost time."""
    hold = _hold_of(thing)
    with hold.lock:
        hold.depth += 1
        try:
            yield hold.depth == 1
        finally:
            hold.depth -= 1


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """While inside, this thread alone has the model, in eval mode, and its weights ask for no gradients.

    After, all is as it was, whatever happened. Inside of itself it does nothing.
    """
    with exclusive(model) as outermost:
        if not outermost:
            yield
            return
        training = [module for module in model.modules() if module.training]
        with_gradients = [p for p in model.parameters() if p.requires_grad and not p.is_inference()]
        try:
            for module in training:
                module.training = False
            for p in with_gradients:
                p.requires_grad_(False)
            yield
        finally:
            for p in with_gradients:
                p.requires_grad_(True)
            for module in training:
                module.training = True
