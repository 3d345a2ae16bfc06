"""Token scores as scores of characters and words, with their sign and scale, and bars of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ....core.errors import InputError, missing
from ....core.types import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WordIds: TypeAlias = "Sequence[int | None]"  # of each token; None for a special one


def _rows(attributions: ArrayLike | Tensor) -> Floats:
    """[k, T] of scores [k, T] or [T]."""
    given = attributions.detach().cpu().numpy() if isinstance(attributions, Tensor) else np.asarray(attributions)
    return np.atleast_2d(given).astype(np.float64)


def map_attributions_to_char(attributions: ArrayLike | Tensor, offsets: ArrayLike, text: str) -> Floats:
    """[k, len(text)]: each character's share of the scores [k, T] or [T] of the tokens over it; the sums stay the same.

    A token's score is split evenly over its characters; tokens that overlap (n-grams) add up.
    """
    if not isinstance(text, str):
        raise InputError(f"The text is one string, not {type(text).__name__}.")
    scores = _rows(attributions)
    out = np.zeros((len(scores), len(text)))
    for t, (start, end) in enumerate(np.asarray(offsets).tolist()):
        if start < end:
            out[:, start:end] += scores[:, t, None] / (end - start)
    return out


def get_id_to_word(text: str, word_ids: WordIds, offsets: ArrayLike) -> dict[int, str]:
    """{word id: the whole word}, cut from the text from its first token to its last."""
    found: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(word_ids, np.asarray(offsets).tolist(), strict=True):
        if word is not None:
            a, b = found.get(int(word), (start, end))
            crosses = int(word) in found and start == a and end > b and " " in text[start:end]  # a word n-gram
            found[int(word)] = (min(a, start), b if crosses else max(b, end))
    return {word: text[a:b] for word, (a, b) in sorted(found.items())}


def map_attributions_to_word(
    attributions: ArrayLike | Tensor, text: str, word_ids: WordIds, offsets: ArrayLike
) -> tuple[dict[int, str], Floats]:
    """({word id: word}, [k, words]): each word's sum of its tokens' scores [k, T] or [T], words in order."""
    scores = _rows(attributions)
    words = get_id_to_word(text, word_ids, offsets)
    places = {word: i for i, word in enumerate(words)}
    out = np.zeros((len(scores), len(words)))
    for t, word in enumerate(word_ids):
        if word is not None:
            out[:, places[int(word)]] += scores[:, t]
    return words, out


def plot_attributions_at_char(
    text: str,
    attributions_per_char: ArrayLike | Tensor,
    figsize: tuple[float, float] = (10, 2),
    titles: Sequence[str] | None = None,
) -> list[Figure]:
    """A figure with a bar a character for each row."""
    return _bars(list(text), attributions_per_char, figsize, titles)


def plot_attributions_at_word(
    text: str,
    words: Mapping[int, str] | Sequence[str],
    attributions_per_word: ArrayLike | Tensor,
    figsize: tuple[float, float] = (10, 2),
    titles: Sequence[str] | None = None,
) -> list[Figure]:
    """A figure with a bar a word for each row."""
    return _bars(list(words.values() if isinstance(words, Mapping) else words), attributions_per_word, figsize, titles)


def _bars(
    names: list[str], scores: ArrayLike | Tensor, figsize: tuple[float, float], titles: Sequence[str] | None
) -> list[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing("matplotlib", "A figure", "plot") from None
    figures = []
    for k, row in enumerate(_rows(scores)):
        figure = Figure(figsize=figsize, layout="constrained")
        axes = figure.subplots()
        axes.bar(range(len(names)), row, color=["#2166ac" if score >= 0 else "#b2182b" for score in row])
        axes.axhline(0, color="#888888", linewidth=0.6)
        axes.set_xticks(range(len(names)), [name.replace("$", r"\$") for name in names], rotation=45, ha="right")
        axes.set_ylabel("score")
        axes.set_title(titles[k] if titles is not None else f"Prediction {k + 1}")
        figures.append(figure)
    return figures


def figshow(figure: Figure) -> None:
    """Show one figure, in a notebook or in a window."""
    try:
        from IPython.display import display
    except ImportError:
        figure.show()
    else:
        display(figure)
