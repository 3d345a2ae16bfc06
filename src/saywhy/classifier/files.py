"""A classifier's folder: JSON for what it is, safetensors for its weights. Nothing is ever pickled or unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from ..core.errors import FileError, ModelError, OptionError, SaywhyError
from ..models.registry import CLASSIFIER_CARD as CARD
from ..storage.atomic import write
from ..storage.manifest import list_of, object_of, of_type, read_json
from .encoders import PROBLEMS, Values
from .network import Network, Part
from .tokenizers import Tokenizer, restored

if TYPE_CHECKING:
    from .classifier import TextClassifier

FORMAT, VERSION = "saywhy.classifier", 1
WEIGHTS = "weights.safetensors"
_FIELDS = {"problem": str, "levels": list, "variables": list, "network": dict, "tokenizer": dict, "weights": str}
OWN = "saywhy.compat.torch_text_classifiers."  # networks that come with the package


_DAMAGE = (
    *(KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, AssertionError),
    SafetensorError,
)


def save(classifier: TextClassifier, folder: Path) -> Path:
    """Write the folder: weights first, then the card with their digest, so that half a save is told from a whole one."""
    from safetensors.torch import save as packed

    if isinstance(classifier.network, Part):
        raise OptionError("This is one level of a classifier: save the whole classifier.")
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{str(folder)!r} is a file: give a folder.")
    weights = packed(
        {name: w.detach().cpu().contiguous().clone() for name, w in classifier.network.state_dict().items()}
    )
    card = {
        "format": FORMAT,
        "version": VERSION,
        "problem": classifier.problem,
        "levels": [{"column": level.column, "known": list(level.known)} for level in classifier.levels],
        "variables": [{"column": v.column, "known": list(v.known)} for v in classifier.variables],
        "network": _described(classifier.network),
        "tokenizer": classifier.tokenizer.to_json(),
        "weights": hashlib.sha256(weights).hexdigest(),
    }
    text = json.dumps(card, ensure_ascii=False, indent=1).encode("utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / WEIGHTS, weights)
    write(folder / CARD, text)
    return folder


def _described(network: nn.Module) -> dict[str, Any]:
    if isinstance(network, Network):
        return {"kind": "network", "settings": network.settings()}
    path = f"{type(network).__module__}:{type(network).__qualname__}"
    ask = getattr(network, "settings", None)
    settings = ask() if callable(ask) else None
    try:
        json.dumps(settings)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}.settings() must be plain data that JSON can hold: {error}") from error
    return {"kind": "code", "path": path, "settings": settings}


def read(
    folder: Path, *, allow_code: bool = False, network: nn.Module | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """The fields of the classifier in the folder; see `TextClassifier.load`."""
    from safetensors.torch import load as unpacked

    card = _card(folder)
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError:
        raise FileError(f"{str(folder)!r} has no {WEIGHTS}.") from None
    if hashlib.sha256(weights).hexdigest() != card["weights"]:
        raise FileError(
            f"{str(folder / WEIGHTS)!r} is not the file that {CARD} was written with: damaged or half saved."
        )
    try:
        levels = tuple(Values(level["column"], tuple(level["known"])) for level in card["levels"])
        variables = tuple(Values(v["column"], tuple(v["known"])) for v in card["variables"])
        tokenizer = _tokenizer(card["tokenizer"], str(folder))
        made = _network(card["network"], allow_code) if network is None else network
        made.load_state_dict(unpacked(weights))
    except _DAMAGE as error:
        if isinstance(error, OptionError):
            raise
        raise FileError(f"{str(folder)!r} is damaged: {type(error).__name__} {error}") from error
    except RuntimeError as error:
        if isinstance(error, ModelError):
            raise
        raise FileError(f"The weights in {str(folder)!r} do not fit the network: {error}") from error
    if getattr(made, "vocabulary", tokenizer.size) != tokenizer.size:
        raise FileError(
            f"{str(folder)!r} is damaged: its tokenizer has {tokenizer.size} ids, and its network another number."
        )
    made.eval()
    return {
        "tokenizer": tokenizer,
        "network": made.to(torch.device(device)),
        "levels": levels,
        "variables": variables,
        "problem": card["problem"],
    }


def _tokenizer(described: Mapping[str, Any], name: str) -> Tokenizer:
    """The tokenizer of a card, tried on a text: the tokenizers package finds some damage only when it is used, and panics."""
    try:
        made = restored(described)
        for role in ("padding", "unknown", "mask"):
            known = getattr(made, role, None)
            if (known is not None or role == "padding") and (type(known) is not int or not 0 <= known < made.size):
                raise ValueError(f"its id of {role} is {known!r:.40}")
        made.encode(["A text, to try it."])
        made.ids(["A text, to try it."])
    except (SaywhyError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise FileError(f"{name!r} is damaged: the field 'tokenizer' is no tokenizer: {error}") from None
    return made


def _card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    if not path.is_file():
        raise FileError(f"{str(folder)!r} holds no classifier: there is no {CARD} in it.")
    name = str(path)
    card = read_json(path, FORMAT, VERSION, _FIELDS)
    for field in ("levels", "variables"):
        for i, each in enumerate(list_of(card[field], dict, name, field)):
            of_type(each.get("column"), str, name, f"{field}[{i}].column")
            list_of(each.get("known"), (str, int, float, bool), name, f"{field}[{i}].known")
    if card["problem"] not in PROBLEMS:
        raise FileError(
            f"{name!r} is damaged: the field 'problem' is {card['problem']!r:.60}; it is {', '.join(PROBLEMS)}."
        )
    if not card["levels"]:
        raise FileError(f"{name!r} is damaged: the field 'levels' is empty.")
    described = object_of(card["network"], {"kind": str, "settings": (dict, list, type(None))}, name, "network")
    shape = described["settings"]
    classes = shape.get("classes", [1]) if described["kind"] == "network" and isinstance(shape, dict) else [1]
    if not list_of(classes, int, name, "network.settings.classes"):
        raise FileError(f"{name!r} is damaged: the field 'network.settings.classes' is empty.")
    if described["kind"] != "network":
        of_type(described.get("path"), str, name, "network.path")
    return card


def _network(described: Mapping[str, Any], allow_code: bool) -> nn.Module:
    """A network of the described shape. Code that is not of this package is imported only when that is allowed."""
    if described["kind"] == "network":
        return Network.from_settings(described["settings"])
    path, settings = str(described["path"]), described["settings"]
    module, _, name = path.partition(":")
    if not allow_code and not module.startswith(OWN):
        raise OptionError(
            f"The network is {path!r}, code from outside saywhy. If you trust it, load with allow_code=True; or give a fresh "
            "one as network=…, and the weights are put into it."
        )
    from importlib import import_module

    try:
        found: Any = import_module(module)
        for step in name.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"The network {path!r} cannot be imported here ({error}): give a fresh one as network=…."
        ) from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ModelError(f"{path!r} is no network: it must be a class of torch.nn.Module.")
    try:
        made: nn.Module = (
            found.from_settings(settings) if hasattr(found, "from_settings") else found(**(settings or {}))
        )
    except TypeError as error:
        raise ModelError(
            f"{path!r} cannot be made again from its settings ({error}): give it a method settings() that returns its "
            "arguments, or load with network=…"
        ) from error
    return made
