"""Functions that fill one and the same memory at each call: while an answer stands there, no other thread may ask again.

Whether a function does so is seen from its answers: the last one is kept, so memory of its own cannot be at the same place.
Until two answers were compared it is asked by one thread at a time, and so it is for ever if they share memory; a function
whose answers are its own is asked by any number of threads at once.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, RLock
from typing import Any, TypeVar
from weakref import ref

import numpy as np
from torch.utils.weak import WeakIdKeyDictionary

T = TypeVar("T")
_PATIENCE = 60.0  # seconds after which a thread goes on: a function may itself wait for a thread that asks it


class _Turns:
    """What is known of one function."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.last: object = None
        self.shares: bool | None = None  # do its answers share memory? None: not known yet

    def look(self, answer: object) -> None:
        if self.shares is not True and self.last is not None:
            self.shares = _same_memory(self.last, answer)
        self.last = answer

    def __reduce__(self) -> tuple[Any, ...]:
        return _Turns, ()  # a copy of a function is another one


_TURNS = WeakIdKeyDictionary()  # by identity: an object may call others equal, or be none to hash
_REGISTER = Lock()


def turns_of(function: object) -> _Turns:
    """What is known of a function, whoever asks it, of a method by its object; of what nothing can refer to weakly, nothing."""
    owner, name = getattr(function, "__self__", function), getattr(function, "__name__", "")
    try:
        ref(owner)
    except TypeError:
        return _Turns()
    with _REGISTER:
        known = _TURNS.get(owner)  # type: ignore[no-untyped-call]
        if not isinstance(known, dict):
            known = _TURNS[owner] = {}
        found: _Turns = known.setdefault(name, _Turns())
        return found


def asked(turns: _Turns, ask: Callable[[], Any], read: Callable[[Any], T]) -> T:
    """What is read of the answer, before anybody else may write over it."""
    if turns.shares is False:
        answer = ask()
        turns.look(answer)
        return read(answer)
    taken = turns.lock.acquire(timeout=_PATIENCE)
    try:
        answer = ask()
        turns.look(answer)
        return read(answer)
    finally:
        if taken:
            turns.lock.release()


def _same_memory(one: Any, two: Any) -> bool:
    if one is two:
        return not isinstance(one, int | float | str | bytes | tuple | None)
    if type(one) is not type(two):
        return False
    if isinstance(one, list):
        return any(_same_memory(a, b) for a, b in zip(one, two, strict=False))
    if hasattr(one, "untyped_storage"):
        return bool(one.untyped_storage().data_ptr() == two.untyped_storage().data_ptr())
    if hasattr(one, "to_numpy"):
        one, two = one.to_numpy(), two.to_numpy()
    return isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and np.may_share_memory(one, two)
