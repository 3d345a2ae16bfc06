"""From what the caller has - a hub id, a folder, a model and its tokenizer, a pipeline, a function - to an adapter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, OptionError
from . import Model
from .black_box import BlackBox

if TYPE_CHECKING:
    from .text import TextModel


def adapt(
    model: Any,
    tokenizer: Any = None,
    *,
    labels: Sequence[str] | None = None,
    device: str | None = None,
    mask_token: str | None = None,
    trust_remote_code: bool = False,
) -> Model:
    """The adapter for what was given. A model loaded here goes to `device`; the caller's own model stays where it is."""
    if isinstance(model, tuple) and len(model) == 2 and tokenizer is None:
        model, tokenizer = model
    if isinstance(model, str | Path):
        model, loaded = _from_pretrained(str(model), device, trust_remote_code)
        tokenizer = loaded if tokenizer is None else tokenizer
    elif device is not None:
        raise OptionError("`device` is for models loaded by name; move your own model with model.to(device).")
    if hasattr(model, "model") and hasattr(model, "tokenizer") and hasattr(model, "postprocess"):  # a pipeline
        model, tokenizer = model.model, model.tokenizer if tokenizer is None else tokenizer
    if not hasattr(model, "parameters"):
        if not callable(model):
            raise OptionError(
                f"Cannot explain a {type(model).__name__}. Give a hub id, a folder, (model, tokenizer), a pipeline, or a "
                "function from a list of strings to an array [B, K] with labels=[...]."
            )
        return BlackBox(model, labels, mask_token)
    if mask_token is not None:
        raise OptionError("`mask_token` is for callables; a tokenizer brings its own mask token.")
    if tokenizer is None:
        raise OptionError("A model needs its tokenizer: Explainer(model, tokenizer) or Explainer((model, tokenizer)).")
    return _text_model(model, tokenizer, labels)


def _text_model(model: Any, tokenizer: Any, labels: Sequence[str] | None) -> TextModel:
    from .text import TextModel

    architecture = type(model).__name__
    if any(
        head in architecture
        for head in ("ForCausalLM", "ForMaskedLM", "ForTokenClassification", "ForQuestionAnswering")
    ):
        raise ModelError(
            f"{architecture} has no classification head over whole texts; load it with AutoModelForSequenceClassification."
        )
    return TextModel(model, tokenizer, labels)


@contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """No progress bars of transformers while inside, if wanted: a folder loads at once, and pipes stay clean."""
    from transformers.utils import logging as named

    logging: Any = named
    shown = logging.is_progress_bar_enabled()
    if wanted and shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if wanted and shown:
            logging.enable_progress_bar()


def _from_pretrained(name: str, device: str | None, trust: bool) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if os.sep in name and Path(name).expanduser().is_dir():
        name = str(Path(name).expanduser())
    try:
        with _quiet(Path(name).is_dir() or not sys.stderr.isatty()):
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust)
            model, info = AutoModelForSequenceClassification.from_pretrained(
                name, trust_remote_code=trust, output_loading_info=True
            )
    except (OSError, ValueError, KeyError) as error:
        said = str(error).strip().splitlines()
        raise ModelError(
            f"Could not load {name!r} as a text classifier: {said[0] if said else type(error).__name__} "
            "Give a hub id, or a folder with config.json, the weights and the tokenizer."
        ) from error
    missing = sorted(str(key) for key in info.get("missing_keys", ()))
    if missing:
        raise ModelError(
            f"{name!r} has no trained classification head: its weights lack {', '.join(missing[:4])}. "
            "An untrained head would be explained as if it meant something; fine-tune the model first."
        )
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return model.to(device), tokenizer
