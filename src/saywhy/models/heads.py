"""What is read off a model's answer: one output for each row, in the shape that a task works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from .rows import Row


@dataclass(frozen=True)
class Wanted:
    """What a reader must know of the model: how many labels, and how a text's vector is pooled."""

    labels: int = 0
    pooling: str = "mean"


Read = Callable[[Any, Sequence[Any], Sequence[slice], Wanted], "Tensor | list[Tensor]"]
POOLINGS = ("mean", "first", "last", "max")


@dataclass(frozen=True)
class Head:
    """One kind of model: the class that loads it, the ending of its classes' names, and how its answer is read."""

    loader: str  # the Auto class of transformers
    suffixes: tuple[str, ...]
    read: Read  # (the model's answer, rows, where each row's positions are in the batch, …) -> an output a row
    trained: bool = True  # does the head have weights of its own, which must come with the model?


def _labels(out: Any, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> Tensor:
    """[B, labels]"""
    logits = out.logits if hasattr(out, "logits") else out if isinstance(out, Tensor) else out[0]
    return _shaped(logits, (len(rows), wanted.labels), "AutoModelForSequenceClassification").float()


def _image(out: Any, rows: Sequence[Any], at: Sequence[slice], wanted: Wanted) -> Tensor:
    """[B, labels]"""
    return _shaped(_member(out, "logits"), (len(rows), wanted.labels), "AutoModelForImageClassification").float()


def _tokens(out: Any, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> list[Tensor]:
    """[S, labels] each"""
    logits = _shaped(
        _member(out, "logits"), (len(rows), None, wanted.labels), "AutoModelForTokenClassification"
    ).float()
    return [_placed(logits[b, at[b]], row) for b, row in enumerate(rows)]


def _span(out: Any, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> list[Tensor]:
    """[S, 2] each: start and end logits"""
    ends = [_member(out, f"{end}_logits") for end in ("start", "end")]
    logits = torch.stack([_shaped(e, (len(rows), None), "AutoModelForQuestionAnswering") for e in ends], -1).float()
    return [_placed(logits[b, at[b]], row) for b, row in enumerate(rows)]


def _blanks(out: Any, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> list[Tensor]:
    """[blanks, vocabulary] each"""
    logits = _shaped(_member(out, "logits"), (len(rows), None, None), "AutoModelForMaskedLM")
    return [logits[b, at[b]][_read(row, logits.device)].float() for b, row in enumerate(rows)]


def _vector(out: Any, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> Tensor:
    """[B, D]: the last hidden states pooled over each row's own positions"""
    states = _shaped(_member(out, "last_hidden_state"), (len(rows), None, None), "AutoModel").float()
    pool = {"mean": lambda s: s.mean(0), "first": lambda s: s[0], "last": lambda s: s[-1], "max": lambda s: s.amax(0)}
    return torch.stack([pool[wanted.pooling](states[b, at[b]]) for b in range(len(rows))])


def _placed(output: Tensor, row: Row) -> Tensor:
    """A window's outputs at their places in the whole input, -inf where it saw nothing."""
    if row.places is None:
        return output
    whole = output.new_full((row.whole, *output.shape[1:]), float("-inf"))
    return whole.index_copy(0, torch.as_tensor(row.places, device=output.device), output)


def _read(row: Row, device: torch.device) -> Tensor:
    return torch.as_tensor(row.read if row.read is not None else range(len(row.ids)), device=device)


def _member(out: Any, name: str) -> Any:
    return getattr(out, name, None)


def _shaped(output: Any, shape: tuple[int | None, ...], loader: str) -> Tensor:
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if (
        not isinstance(output, Tensor)
        or output.dim() != len(shape)
        or any(want is not None and want != have for want, have in zip(shape, output.shape, strict=True))
    ):
        wanted = " x ".join("any" if want is None else str(want) for want in shape)
        raise ModelError(
            f"The model answered {got} where this task reads {wanted}. Load it with {loader}, or name its own task=…"
        )
    return output


_IMAGE = ("ForImageClassification", "ForImageClassificationWithTeacher")
HEADS: Mapping[str, Head] = {
    "labels": Head("AutoModelForSequenceClassification", ("ForSequenceClassification",), _labels),
    "tokens": Head("AutoModelForTokenClassification", ("ForTokenClassification",), _tokens),
    "span": Head("AutoModelForQuestionAnswering", ("ForQuestionAnswering", "ForQuestionAnsweringSimple"), _span),
    "blanks": Head("AutoModelForMaskedLM", ("ForMaskedLM", "WithLMHeadModel"), _blanks),
    "image": Head("AutoModelForImageClassification", _IMAGE, _image),
    "vector": Head("AutoModel", ("Model",), _vector, trained=False),
}
