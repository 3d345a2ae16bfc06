"""The folders that are told by a card of their own, and what loads each: a room above `models` is named, not imported.

A Hugging Face folder has a config.json, and needs no row here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

CLASSIFIER_CARD = "saywhy.json"  # in the folder of a saved saywhy classifier

# the card's file name -> "module:function"; the function takes the folder and the device, and returns an object with `adapter()`
LOADERS: dict[str, str] = {CLASSIFIER_CARD: "saywhy.classifier.classifier:load"}


def loader_of(folder: Path) -> Callable[[Path, str], Any] | None:
    """What loads this folder, by the first registered card that it holds; None where it holds none."""
    for card, path in LOADERS.items():
        if os.path.isfile(folder / card):  # not Path.is_file, which raises for a name that no file can have
            module, _, name = path.partition(":")
            loader: Callable[[Path, str], Any] = getattr(import_module(module), name)
            return loader
    return None
