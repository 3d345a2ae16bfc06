"""Their network and its Lightning module by the places they are kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import components
from .model import TextClassificationModel

if TYPE_CHECKING:
    from .lightning import TextClassificationModule

__all__ = ["TextClassificationModel", "TextClassificationModule", "components"]


def __getattr__(name: str) -> object:
    if name == "TextClassificationModule":  # needs lightning
        from .lightning import TextClassificationModule

        return TextClassificationModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
