"""Python's garbage collector while a command starts: for a process of our own, never for a caller's."""

from __future__ import annotations

import gc


def pause() -> None:
    """Collect nothing from now on: importing torch and transformers makes a million objects, and none of them is garbage."""
    gc.disable()


def resume() -> None:
    """Collect again, where `pause` stopped it. What is there by now stays, so later collections pass over it."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
