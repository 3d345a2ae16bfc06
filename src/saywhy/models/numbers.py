"""What a function or an estimator returns, in whatever form, as numbers [B, K]: rows by their inputs, columns by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import plain
from ..core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_NEAR = 1e-6  # how far from [0, 1] rounding may leave a probability


def numbers_of(answer: object, many: int, labels: Sequence[str], name: str, texts: Sequence[str] = ()) -> Tensor:
    """float64 [B, K], a copy: a function may hand out one buffer again and again.

    Parameters
    ----------
    answer
        An array or a tensor of any library, sparse too, lists of numbers, a generator, the output of a transformers model. A
        frame, a table, or a mapping or a Series for each input is read by its names, and a frame in another order by its index.
    many, labels
        How many inputs there were, and what the columns are called.
    name
        Who answered, for messages.
    texts
        The inputs, where they are texts: what an index may consist of.

    Raises
    ------
    ModelError
        For what is not a row of one number a label for each input.
    """
    import torch

    if hasattr(answer, "__await__"):
        if hasattr(answer, "close"):
            answer.close()  # or Python warns that nobody waited for it
        raise ModelError(
            f"{name} is an `async` function. Give one that waits for it: lambda texts: asyncio.run({name}(texts))."
        )
    try:
        known = _numeric(_by_name(_in_order(answer, texts, many), labels, name))
        out = known.detach().to("cpu", torch.float64, copy=True) if isinstance(known, torch.Tensor) else _array(known)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name} must return numbers [B, K]; it returned {type(answer).__name__}: {error}") from error
    if out.shape == (many,) and len(labels) == 1:
        out = out[:, None]
    if out.shape != (many, len(labels)):
        raise ModelError(
            f"{name} got {many} inputs and returned an array of shape {tuple(out.shape)}; it must be ({many}, {len(labels)}): "
            f"a row for each input, a column for each of the labels {list(labels)!r}."
        )
    return out


def checked_kind(numbers: Tensor, kind: str, name: str) -> Tensor:
    """The numbers, which are probabilities if they are said to be. Raises ModelError: log-odds of others are no numbers."""
    if kind in ("probability", "independent-probability") and numbers.numel():
        least, most = float(numbers.min()), float(numbers.max())
        if least < -_NEAR or most > 1 + _NEAR:
            raise ModelError(
                f"{name} is said to give probabilities, and gave numbers from {least:.4g} to {most:.4g}: they lie between 0 and "
                "1. Divide percentages by 100; of scores say output='score', of logits output='logit'."
            )
    return numbers


def opened(answer: object) -> object:
    """What is wrapped: the items of a generator, the logits of a transformers output, the one array of a tuple."""
    if isinstance(answer, Iterator):
        return list(answer)
    if not hasattr(answer, "to_numpy") and (logits := getattr(answer, "logits", None)) is not None:
        return logits
    if isinstance(answer, tuple) and len(answer) == 1 and getattr(answer[0], "ndim", 0) == 2:
        return answer[0]
    if hasattr(answer, "toarray"):  # scipy's sparse arrays
        return answer.toarray()
    return answer


def _in_order(answer: object, texts: Sequence[str], many: int) -> object:
    """A pandas object whose index says which input each row is of, in the order of the inputs; all else as it is."""
    if not (hasattr(answer, "iloc") and hasattr(answer, "index")) or len(answer.index) != many:
        return answer
    index = [plain(each) for each in answer.index]
    for order in (list(range(many)), list(texts)):
        if index != order and len(order) == many and sorted(map(str, index)) == sorted(map(str, order)):
            places: dict[str, list[int]] = {}
            for place, each in enumerate(index):
                places.setdefault(str(each), []).append(place)
            return answer.iloc[[places[str(each)].pop(0) for each in order]]
    return answer


def _by_name(answer: object, labels: Sequence[str], name: str) -> object:
    """The columns of a frame or a mapping, or the values of a mapping for each input, in the order of the labels."""
    if hasattr(answer, "column_names") and hasattr(answer, "to_pydict"):  # an Arrow table
        _refuse_twice(answer.column_names, name)
        answer = answer.to_pydict()
    if hasattr(answer, "columns") and hasattr(answer, "to_numpy"):
        names = [str(plain(each)) for each in answer.columns]
        made_of_array = _unnamed(answer.columns)
        numbered = names == [str(i) for i in range(len(names))]
        if made_of_array or (numbered and sorted(names) != sorted(labels)):
            return answer.to_numpy()
        _refuse_others(names, labels, name)
        return answer.to_numpy()[:, [names.index(label) for label in labels]]
    if isinstance(answer, Mapping):
        known = {str(plain(key)): column for key, column in answer.items()}
        _refuse_others(list(known), labels, name)
        return np.stack([np.asarray(known[label]) for label in labels], axis=-1)
    if isinstance(answer, list | tuple) and answer and _named(answer[0]) is not None:
        rows = [_named(row) or {} for row in answer]
        for row in rows:
            _refuse_others(list(row), labels, name)
        return [[row[label] for label in labels] for row in rows]
    return answer


def _named(row: object) -> dict[str, Any] | None:
    """One input's numbers by name: a mapping, a Series, or the list of labels and scores that a pipeline gives."""
    if isinstance(row, Mapping):
        pairs = [(row["label"], row["score"])] if {*row} == {"label", "score"} else list(row.items())
    elif hasattr(row, "iloc") and hasattr(row, "items") and not _unnamed(getattr(row, "index", None)):
        pairs = list(row.items())
    elif isinstance(row, list) and row and all(isinstance(e, Mapping) and {*e} == {"label", "score"} for e in row):
        pairs = [(each["label"], each["score"]) for each in row]
    else:
        return None
    return {str(plain(key)): value for key, value in pairs}


def _unnamed(index: object) -> bool:
    """Are these the numbers that pandas gives to what nobody has named?"""
    return type(index).__name__ == "RangeIndex" and (getattr(index, "start", 0), getattr(index, "step", 1)) == (0, 1)


def _refuse_others(names: Sequence[str], labels: Sequence[str], name: str) -> None:
    if sorted(names) != sorted(labels):
        raise ModelError(
            f"{name} returned numbers that are named {list(names)!r:.200}, and its labels are {list(labels)!r:.200}: "
            "name them as the labels, all of them for each input, or return an array."
        )


def _refuse_twice(names: Sequence[str], name: str) -> None:
    if len({*names}) < len(names):
        raise ModelError(f"{name} returned a table with a column name twice: {list(names)!r:.200}.")


def _numeric(answer: object) -> object:
    """A list of tensors as one; torch takes kinds of numbers that numpy has not."""
    import torch

    if isinstance(answer, list | tuple) and answer and all(isinstance(each, torch.Tensor) for each in answer):
        return torch.stack([each.detach() for each in answer])
    return answer


def _array(answer: object) -> Tensor:
    import torch

    return torch.from_numpy(np.array(answer, dtype=np.float64, order="C"))
