"""What goes in is checked, training and prediction are run by `saywhy.classifier`, and what comes out has their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ...classifier.encoders import plain
from ...classifier.prediction import answers, probabilities
from ...classifier.training import Training, train
from ...core.errors import InputError, OptionError
from ...core.types import Ints
from . import explain
from .config import TrainingConfig
from .tokenizers import batched
from .value_encoder import ValueEncoder

if TYPE_CHECKING:
    from .wrapper import torchTextClassifiers

Columns = dict[str, Sequence[Any]]
Labels: TypeAlias = "ArrayLike | Sequence[Sequence[Any]]"  # of each text a label, or a list of them
Coded: TypeAlias = "Ints | NDArray[np.float64] | list[list[int]] | dict[str, Ints]"


def checked(ttc: torchTextClassifiers, given: ArrayLike, raw: bool | None) -> tuple[list[str], Columns | None]:
    """(texts, {column: codes}) of an array or list, [N] of texts or [N, 1 + columns] with the text first."""
    rows = np.asarray(given, dtype=object)
    if rows.ndim not in (1, 2) or isinstance(given, str):
        raise InputError(f"X is an array [N] of texts, or [N, 1 + columns] with the text first; not {rows.shape}.")
    texts = list(rows if rows.ndim == 1 else rows[:, 0])
    variables = ttc.coded.variables
    found = rows.shape[1] - 1 if rows.ndim == 2 else 0
    if found != len(variables):
        raise InputError(
            f"X has {found} categorical columns beside the text, and the classifier reads {len(variables)}."
        )
    if not variables:
        return texts, None
    if raw and ttc.value_encoder is not None:
        codes = ttc.value_encoder.transform(rows[:, 1:])
    else:
        codes = np.stack([_whole(rows[:, 1 + i], v.column) for i, v in enumerate(variables)], axis=1)
    return texts, {v.column: codes[:, i].tolist() for i, v in enumerate(variables)}


def _whole(column: Iterable[Any], name: str) -> Ints:
    """The column as whole numbers; what is none is refused with its row."""
    out = []
    for row, value in enumerate(column):
        try:
            number = float(plain(value))
        except (TypeError, ValueError):
            number = 0.5
        if not number.is_integer():  # nor is what is missing, or infinite
            raise InputError(
                f"Column {name!r}, row {row}: {value!r:.60} is no whole number. Raw values need a value_encoder "
                "(and raw_labels or raw_categorical_inputs left on)."
            )
        out.append(int(number))
    return np.array(out, dtype=np.int64)


def labelled(ttc: torchTextClassifiers, given: Labels, config: TrainingConfig) -> Coded:
    """The labels as `saywhy.classifier` reads them: codes, rows of 0 and 1 or of codes, probabilities, or by level."""
    encoder = ttc.value_encoder if config.raw_labels else None
    if ttc.ragged_multilabel:
        rows: list[Any] = list(given)  # type: ignore[arg-type]
        return [_ragged(ttc, row, i, encoder) for i, row in enumerate(rows)]
    labels = np.asarray(given, dtype=object)
    if labels.ndim == 2 and labels.shape[1] == 1 and not isinstance(ttc.num_classes, list):
        labels = labels[:, 0]
    if labels.ndim == 2 and not isinstance(ttc.num_classes, list):
        return np.asarray(given, dtype=np.float64)  # 0 and 1, or probabilities
    if encoder is not None:
        labels = encoder.transform_labels(labels)
    levels = ttc.coded.levels
    if len(levels) == 1:
        codes = _whole(labels.reshape(-1), "label")
        _in_range(codes, len(levels[0]), "label")
        return codes
    if labels.ndim != 2 or labels.shape[1] != len(levels):
        raise InputError(f"The labels of {len(levels)} levels are an array [N, {len(levels)}], not {labels.shape}.")
    out = {level.column: _whole(labels[:, i], level.column) for i, level in enumerate(levels)}
    for level in levels:
        _in_range(out[level.column], len(level), level.column)
    return out


def _in_range(codes: Ints, classes: int, name: str) -> None:
    wrong = (codes < 0) | (codes >= classes)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"Column {name!r}, row {row}: {int(codes[row])} is outside the range [0, {classes - 1}].")


def _ragged(ttc: torchTextClassifiers, row: object, place: int, encoder: ValueEncoder | None) -> list[int]:
    if isinstance(row, str) or not isinstance(row, list | tuple | set | np.ndarray):
        raise InputError(f"Row {place}: with ragged_multilabel each row is a list of labels, not {row!r:.60}.")
    codes = encoder.transform_labels(list(row)) if encoder is not None and len(row) else _whole(row, "label")
    _in_range(codes, len(ttc.coded.levels[0]), "label") if len(codes) else None
    return [int(code) for code in codes]


def problem_of(ttc: torchTextClassifiers, labels: Coded, config: TrainingConfig) -> str:
    """Which problem these labels and this loss are."""
    if ttc.ragged_multilabel:
        return "multi-label"
    if isinstance(labels, dict) or (isinstance(labels, np.ndarray) and labels.ndim == 1):
        return "multi-class"
    return "multi-label" if isinstance(config.loss, nn.BCEWithLogitsLoss) else "soft"


def trained(ttc: torchTextClassifiers, data: Any, held: Any, config: TrainingConfig, verbose: bool) -> None:
    """Run the training; the network ends with its best weights."""
    loss: Any = config.loss
    if ttc.ragged_multilabel and isinstance(loss, nn.CrossEntropyLoss):
        loss = nn.BCEWithLogitsLoss()  # the default loss is for one label a text
    trainer = dict(config.trainer_params or {})
    chosen = Training(
        epochs=config.num_epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        schedule="constant" if config.scheduler is None else _scheduler(config),
        patience=config.patience_early_stopping,
        hidden=0.0,
        validation=0.0,
        seed=int(torch.randint(2**31, (1,))),  # the caller's torch.manual_seed decides
        device=config.accelerator,
        progress=verbose,
        optimizer=_optimizer(config),
        loss=lambda answer, wanted: loss(answer, wanted).mean(),
        trainer={"enable_progress_bar": trainer.pop("enable_progress_bar", verbose), **trainer},
        loader=dict(config.dataloader_params or {}),
    )
    train(ttc.coded, *data, validation=held, training=chosen)


def _optimizer(config: TrainingConfig) -> Callable[..., Any]:
    settings = dict(config.optimizer_params or {})
    return lambda parameters, lr: config.optimizer(parameters, **{"lr": lr, **settings})


def _scheduler(config: TrainingConfig) -> Callable[..., Any]:
    made = config.scheduler
    if made is None:
        raise OptionError("There is no scheduler.")
    return lambda optimizer: made(optimizer, **dict(config.scheduler_params or {}))


def answered(
    ttc: torchTextClassifiers, texts: list[str], columns: Columns | None, top_k: int, flags: tuple[bool, bool]
) -> dict[str, Any]:
    """The result dictionary."""
    coded = ttc.coded
    with_gradients, with_attention = flags
    if len(coded.levels) > 1:
        if any(flags):
            raise OptionError(
                "A model of several levels is explained a level at a time: saywhy.Explainer(x.classifier.level(…))."
            )
        levels = coded.predict_levels(texts, columns, top_k=top_k)
        codes = np.stack([found.labels for found in levels.values()], axis=-1).astype(np.int64)
        confidence = torch.from_numpy(np.stack([found.probabilities for found in levels.values()], axis=-1))
        return {"prediction": _named(ttc, codes), "confidence": confidence}
    logits = torch.cat([*answers(coded, texts, columns), torch.zeros(0, len(coded.levels[0]))])
    if not 1 <= top_k <= logits.shape[1]:
        raise OptionError(f"top_k must be from 1 to {logits.shape[1]}, the number of classes; not {top_k}.")
    found = probabilities(logits, coded.problem)
    best = found.topk(top_k, dim=1)
    result: dict[str, Any] = {"prediction": _named(ttc, best.indices.numpy()), "confidence": best.values}
    if coded.problem == "multi-label":
        result = {"prediction": found, "confidence": found}
    if with_gradients or with_attention:
        tokens = batched(coded.tokenizer.encode(texts), coded.tokenizer.padding, ttc.tokenizer.output_dim, True, True)
        width = tokens.input_ids.shape[1]
        by = explain.integrated(coded, texts, columns, best.indices, width) if with_gradients else None
        maps = explain.attention(coded, texts, columns, width) if with_attention else None
        result |= {"captum_attributions": by, "label_attention_attributions": maps}
        result |= {"offset_mapping": tokens.offset_mapping, "word_ids": tokens.word_ids}
    return result


def _named(ttc: torchTextClassifiers, codes: Ints) -> Tensor | NDArray[Any]:
    """Labels, where a value encoder knows them; else an int64 tensor (of several levels an array, as they have it)."""
    if ttc.value_encoder is not None:
        return ttc.value_encoder.inverse_transform_labels(codes)
    found: Tensor = torch.as_tensor(codes, dtype=torch.int64)
    return found if codes.ndim == 2 else codes
