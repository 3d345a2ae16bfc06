"""What is read off a model's answer: one output for each row, in the shape that a task works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.errors import ModelError
from .text.tokens import Row


@dataclass(frozen=True)
class Wanted:
    """What a reader must know of the model: how many labels, and how a text's vector is made."""

    labels: int = 0
    pooling: str = "mean"
    normalised: bool = False  # is a text's vector brought to the length 1, before the next?
    width: int | None = None  # how many numbers of a text's vector are kept


Read = Callable[[Any, Sequence[Any], Sequence[slice], Wanted], "Tensor | list[Tensor]"]


def _weighted_mean(states: Tensor) -> Tensor:
    """Later positions count for more: position i of S has the weight i (Muennighoff 2022)."""
    weights = torch.arange(1, len(states) + 1, device=states.device, dtype=states.dtype)
    return (weights[:, None] * states).sum(0) / weights.sum()


POOLINGS: Mapping[str, Callable[[Tensor], Tensor]] = {  # hidden states [S, D] of a text -> its vector [D]
    "mean": lambda states: states.mean(0),
    "first": lambda states: states[0],
    "last": lambda states: states[-1],
    "max": lambda states: states.amax(0),
    "mean_sqrt_len": lambda states: states.sum(0) / len(states) ** 0.5,
    "weightedmean": _weighted_mean,
}


@dataclass(frozen=True)
class Head:
    """One kind of model: the class that loads it, the ending of its classes' names, and how its answer is read."""

    loader: str  # the Auto class of transformers
    suffixes: tuple[str, ...]
    read: Read  # (the model's answer, rows, where each row's positions are in the batch, …) -> an output a row
    named: tuple[str, ...] = ()  # endings of classes that can be read so too, where the task is asked for by name
    trained: bool = True  # does the head have weights of its own, which must come with the model?


def _labels(out: object, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> Tensor:
    """[B, labels]"""
    return _told(out, (len(rows), wanted.labels), "AutoModelForSequenceClassification").float()


def _image(out: object, rows: Sequence[Any], at: Sequence[slice], wanted: Wanted) -> Tensor:
    """[B, labels]"""
    return _told(out, (len(rows), wanted.labels), "AutoModelForImageClassification").float()


def _tokens(out: object, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> list[Tensor]:
    """[S, labels] each"""
    logits = _told(out, (len(rows), None, wanted.labels), "AutoModelForTokenClassification").float()
    return [_placed(logits[b, at[b]], row) for b, row in enumerate(rows)]


def _span(out: object, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> list[Tensor]:
    """[S, 2] each: start and end logits"""
    loader, shape = "AutoModelForQuestionAnswering", (len(rows), None)
    both = [part for part in _parts(out) if part.dim() == 2] if isinstance(out, tuple | list) else []
    one, two = (*both, None, None)[:2] if both else (_member(out, f"{end}_logits") for end in ("start", "end"))
    logits = torch.stack([_shaped(end, shape, loader) for end in (one, two)], -1).float()
    return [_placed(logits[b, at[b]], row) for b, row in enumerate(rows)]


def _blanks(out: object, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> list[Tensor]:
    """[blanks, vocabulary] each"""
    logits = _told(out, (len(rows), None, None), "AutoModelForMaskedLM")
    return [logits[b, at[b]][_read(row, logits.device)].float() for b, row in enumerate(rows)]


def _vector(out: object, rows: Sequence[Row], at: Sequence[slice], wanted: Wanted) -> Tensor:
    """[B, D]: the last hidden states pooled over each row's own positions"""
    states = _told(out, (len(rows), None, None), "AutoModel", "last_hidden_state").float()
    vectors = torch.stack([POOLINGS[wanted.pooling](states[b, at[b]]) for b in range(len(rows))])
    return (torch.nn.functional.normalize(vectors, dim=-1) if wanted.normalised else vectors)[:, : wanted.width]


def _next(out: object, rows: Sequence[Any], at: Sequence[slice], wanted: Wanted) -> list[Tensor]:
    """[T] each: the log-probability of every token of the row's continuation, then zeros up to the row's width"""
    logits = _told(out, (len(rows), None, None), "AutoModelForCausalLM")
    found = []
    for b, row in enumerate(rows):
        goal = torch.as_tensor(row.goal, device=logits.device)[:, None]
        told = logits[b, at[b]].float().log_softmax(-1).gather(-1, goal)[:, 0]
        found.append(torch.nn.functional.pad(told, (0, row.width - len(told))))
    return found


@contextmanager
def vocabulary_at(model: object, places: Tensor) -> Iterator[list[bool]]:
    """While inside, only the hidden states at `places` [B, T] go through the vocabulary; says whether they did.

    The logits are then [B, T, V], and [B, S, V] never exists. The hook is always removed.
    """
    done: list[bool] = []
    last = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None

    def cut(_: object, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if done or not args or not isinstance(args[0], Tensor) or args[0].dim() != 3 or len(args[0]) != len(places):
            return None
        done.append(True)
        rows = torch.arange(len(places), device=args[0].device)[:, None]
        return (args[0][rows, places.to(args[0].device)], *args[1:])

    hook = None if last is None else last.register_forward_pre_hook(cut)
    try:
        yield done
    finally:
        if hook is not None:
            hook.remove()


def _placed(output: Tensor, row: Row) -> Tensor:
    """A window's outputs at their places in the whole input, -inf where it saw nothing."""
    if row.places is None:
        return output
    whole = output.new_full((row.whole, *output.shape[1:]), float("-inf"))
    return whole.index_copy(0, torch.as_tensor(row.places, device=output.device), output)


def _read(row: Row, device: torch.device) -> Tensor:
    return torch.as_tensor(row.read if row.read is not None else range(len(row.ids)), device=device)


def _member(out: object, name: str) -> Tensor | None:
    return out.get(name) if isinstance(out, Mapping) else getattr(out, name, None)


def _parts(out: object) -> list[Tensor]:
    parts = out.values() if isinstance(out, Mapping) else out if isinstance(out, tuple | list) else [out]
    return [part for part in parts if isinstance(part, Tensor)]


def _told(out: object, shape: tuple[int | None, ...], loader: str, name: str = "logits") -> Tensor:
    """What a model answers under that name; without names the first of that shape (a loss may stand before it), with other
    names the only one.
    """
    found: object = _member(out, name)
    if found is None:
        fitting = [part for part in _parts(out) if _fits(part, shape)]
        found = fitting[0] if len(fitting) == 1 or (fitting and not isinstance(out, Mapping)) else out
    return _shaped(found, shape, loader)


def _fits(output: Tensor, shape: tuple[int | None, ...]) -> bool:
    return output.dim() == len(shape) and all(
        want in (None, have) for want, have in zip(shape, output.shape, strict=True)
    )


def _shaped(output: object, shape: tuple[int | None, ...], loader: str) -> Tensor:
    if isinstance(output, Tensor) and _fits(output, shape):
        return output
    kind = "" if isinstance(output, Tensor) else f"{type(output).__name__} of "
    got = kind + (", ".join(str(tuple(part.shape)) for part in _parts(output)) or "no tensors")
    wanted = " x ".join("any" if want is None else str(want) for want in shape)
    raise ModelError(
        f"The model answered {got} where this task reads {wanted}. Load it with {loader}, or name its own task=…"
    )


_NEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "MTModel", "EncoderDecoderModel", "ModelWithLMHead")
_IMAGE = ("ForImageClassification", "ForImageClassificationWithTeacher")
HEADS: Mapping[str, Head] = {
    "labels": Head("AutoModelForSequenceClassification", ("ForSequenceClassification",), _labels),
    "tokens": Head("AutoModelForTokenClassification", ("ForTokenClassification",), _tokens),
    "span": Head("AutoModelForQuestionAnswering", ("ForQuestionAnswering", "ForQuestionAnsweringSimple"), _span),
    "blanks": Head("AutoModelForMaskedLM", ("ForMaskedLM", "WithLMHeadModel"), _blanks, ("ForConditionalGeneration",)),
    "next": Head("AutoModelForCausalLM", _NEXT, _next, ("WithLMHeadModel",)),
    "image": Head("AutoModelForImageClassification", _IMAGE, _image),
    "vector": Head("AutoModel", ("Model",), _vector, trained=False),
}
