"""What the outputs of a torch module are: what the caller says, else probabilities where every answer adds up as those do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.errors import OptionError
from .protocol import EncodingOptions, Model

OUTPUTS = ("probability", "logit", "score")
_TEXTS = ("the", "a good film", "What a terrible night, nobody knows why!", "3,520 of the 17 are not here")


def told_outputs(model: Model[Any], output: str) -> str:
    """The kind of outputs that the caller says a module has. Raises OptionError where its answers say otherwise."""
    output = one_of("value of `output`", output, OUTPUTS)
    if model.head not in ("labels", "image"):
        raise OptionError(f"`output` is for models that give a number to each label; {model.name} is none.")
    if output == "score":
        return "regression"
    if output == "logit":
        return "sigmoid" if model.kind == "sigmoid" else "softmax"
    answers = _answers(model)
    if bool(((answers < 0) | (answers > 1)).any()):
        raise OptionError(
            f"output='probability', and {model.name} answers numbers from {float(answers.min()):.3g} to "
            f"{float(answers.max()):.3g}: say 'logit' or 'score'."
        )
    return "probability" if _adds_up(answers, model) else "independent-probability"


def own_outputs(model: Model[Any]) -> str:
    """The kind of outputs that a module of the caller's own has: as its config says, unless all answers are probabilities.

    Logits that happen to be so several times over are not to be feared; outputs that need not add up to 1, of one label or of
    labels that do not exclude each other, are taken for logits, for they may be.
    """
    if model.kind != "softmax" or model.head not in ("labels", "image"):
        return model.kind
    answers = _answers(model)
    return "probability" if len(answers) > 1 and _adds_up(answers, model) else model.kind


def _adds_up(answers: Tensor, model: Model[Any]) -> bool:
    exact = all(p.dtype == torch.float32 for p in getattr(model.module, "parameters", tuple)())
    return bool(((answers >= 0).all(-1) & ((answers.sum(-1) - 1).abs() <= (1e-4 if exact else 1e-2))).all())


def _answers(model: Model[Any]) -> Tensor:
    """[B, labels]: what the model says to a few inputs."""
    noise = np.random.default_rng(0)
    pictures = [noise.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in _TEXTS]
    given: list[Mapping[str, Any]] = [{"image": each} for each in pictures]
    if model.head != "image":
        given = [{"text": text} for text in _TEXTS]
    found = []
    with model.frozen(), torch.no_grad():
        for parts in given:
            with suppress(Exception):  # of a module that reads other inputs: of what it answers nothing is known
                encoding = model.encode(
                    parts, EncodingOptions("patch" if model.head == "image" else "word", model.absences[0])
                )
                found.append(model.forward(encoding.at(np.ones((1, len(encoding.features)), dtype=bool)))[0])
    return torch.stack(found) if found else torch.empty(0, len(model.labels))
