"""What stands around a model: compiled, parallel and adapted models, looked through to the one that answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from ..core.errors import FileError, ModelError, missing


class Adapted(Protocol):
    """A model of PEFT, as far as it is asked here."""

    peft_config: Mapping[str, object]  # the name of an adapter -> its configuration

    def get_base_model(self) -> object: ...


def unwrapped(model: object) -> object:
    """The module within `torch.compile`, DataParallel and PEFT wrappers, whose numbers are the same; another as it is.

    A compiled model is asked uncompiled: hooks on its embeddings, and gradients with respect to them, need its own code.
    """
    for _ in range(8):  # wrappers stand in each other
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            inner = getattr(model, "module", None)
        if inner is None and hasattr(model, "get_base_model") and hasattr(model, "peft_config"):
            inner = _adapted(cast(Adapted, model))
        if inner is None:
            return model
        model = inner
    return model


def _adapted(model: Adapted) -> object:
    """The base model of PEFT, in which the adapters stand. Raises ModelError for prompts that are learned, which it lacks."""
    if any(getattr(config, "is_prompt_learning", False) for config in model.peft_config.values()):
        raise ModelError(
            f"{type(model).__name__} puts learned vectors before the prompt, which cannot be followed here; LoRA and other "
            "adapters that stand in the layers can."
        )
    return model.get_base_model()


def adapter_base(folder: Path) -> str | None:
    """The model that the adapters in a PEFT folder are for; None for another folder. Raises FileError, MissingError."""
    path = folder / "adapter_config.json"
    if not path.is_file() or (folder / "config.json").is_file():
        return None
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError, OSError) as error:
        raise FileError(f"{str(path)!r} is damaged: {error}.") from None
    if not isinstance(base, str) or not base:
        raise FileError(f"{str(path)!r} does not say which model its adapters are for (base_model_name_or_path).")
    try:
        import peft  # noqa: F401
    except ImportError:
        raise missing("peft", "Loading a folder of adapters", "peft") from None
    return base
