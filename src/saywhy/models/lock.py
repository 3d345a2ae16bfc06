"""One thread at a time on one model: what is put on a model for a call is put on, and taken off, under its own lock."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, count
from threading import Lock, RLock, local
from typing import Any
from weakref import ref

from torch import nn
from torch.utils.weak import WeakIdKeyDictionary


class _Hold:
    """A lock that its thread may take again. Whoever takes several takes them in the order of their numbers."""

    _numbers = count()

    def __init__(self) -> None:
        self.lock = RLock()
        self.number = next(self._numbers)


class _Inside(local):
    """By identity, what this thread is inside with."""

    def __init__(self) -> None:
        self.things: set[int] = set()


_HOLDS = WeakIdKeyDictionary()  # by identity: tensors are compared element by element
_INSIDE = _Inside()
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


def _holds_of(thing: object) -> list[_Hold]:
    """The locks of all that a model is made of, in their order: two models that share a parameter or a module share one.

    What is seen for the first time comes under a lock of what it is seen with, so that most models have only one.
    """
    parts = [*chain(thing.modules(), thing.parameters())] if isinstance(thing, nn.Module) else [_referable(thing)]
    with _REGISTER:
        known = [_HOLDS.get(part) for part in parts]  # type: ignore[no-untyped-call]
        found = {hold for hold in known if isinstance(hold, _Hold)} or {_Hold()}
        holds = sorted(found, key=lambda hold: hold.number)
        for part, hold in zip(parts, known, strict=True):
            if hold is None:
                _HOLDS[part] = holds[0]
        return holds


def _referable(thing: object) -> object:
    """The thing, or its class, where it is of a kind that takes no weak reference."""
    try:
        ref(thing)
    except TypeError:
        return type(thing)
    return thing


@contextmanager
def exclusive(thing: object) -> Iterator[bool]:
    """While inside, no other thread is inside with this model or tokenizer, or with a model that shares a part of it; gives
    whether this is the outermost time.
    """
    if id(thing) in _INSIDE.things:
        yield False
        return
    with ExitStack() as locks:
        for hold in _holds_of(thing):
            locks.enter_context(hold.lock)
        _INSIDE.things.add(id(thing))
        locks.callback(_INSIDE.things.discard, id(thing))
        yield True


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """While inside, this thread alone has the model, in eval mode and uncompiled, and its weights ask for no gradients.

    After, all is as it was, whatever happened. Inside of itself it does nothing.
    """
    with exclusive(model) as outermost:
        if not outermost:
            yield
            return
        modules = list(model.modules())
        training = [module for module in modules if module.training]
        with_gradients = [p for p in model.parameters() if p.requires_grad and not p.is_inference()]
        try:
            for module in training:
                module.training = False
            for p in with_gradients:
                p.requires_grad_(False)
            with _uncompiled(modules):
                yield
        finally:
            for p in with_gradients:
                p.requires_grad_(True)
            for module in training:
                module.training = True


@contextmanager
def _uncompiled(modules: Sequence[nn.Module]) -> Iterator[None]:
    """While inside, each of these modules runs its own code, and not what `torch.compile` or `module.compile` made of it."""
    with ExitStack() as back:
        for module in modules:
            if (made := module._compiled_call_impl) is not None:
                back.callback(setattr, module, "_compiled_call_impl", made)
                module._compiled_call_impl = None
            forward: Any = getattr(module, "forward", None)
            own = getattr(forward, "_torchdynamo_orig_callable", None)
            if own is None:
                continue
            if "forward" in vars(module):
                back.callback(setattr, module, "forward", forward)
            else:  # of the class
                back.callback(delattr, module, "forward")
                own = own.__get__(module)
            module.forward = own
        yield
