"""What a caller gets: the explanation of one target, and sequences of them. Immutable; drawn and saved on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from .checks import one_of, whole_number
from .display import one_line
from .errors import MethodError
from .types import Cost, Feature, Floats, Picture, ReadOnly, Target

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from ..render.aligned import Aligned, Summary
    from ..storage.charts import ChartAxes
    from .shapes import Float64


class Variant(NamedTuple):
    """The input with one feature absent, and what the model then says."""

    removed: str
    text: str
    drop: float  # how far the target falls, in its unit
    label: str  # what the model predicts then
    flips: bool


class Pair(NamedTuple):
    """Two features, and what they do together beyond what each does alone, in the target's unit."""

    indexes: tuple[int, int]
    words: tuple[str, str]
    score: float
    stderr: float | None  # None where every coalition was asked, so that it is exact


class Trust(NamedTuple):
    """How far to believe an explanation."""

    level: str  # "high", "medium", "low", or "unknown" where there is nothing to check
    said: str  # why, in plain words
    figures: Mapping[str, float]  # what was measured; `rows` are the evaluations it took, beside those of the method


class Interactions(NamedTuple):
    """What every two features do together, by index ("SII", "FSII", "Banzhaf"): arrays [n (n - 1) / 2], read-only.

    Pairs are in the order (0, 1), (0, 2), …, (n - 2, n - 1), as of `numpy.triu_indices(n, 1)`.
    """

    scores: Mapping[str, Float64[Floats, " pairs"]]
    stderr: Mapping[str, Float64[Floats, " pairs"]] | None = None  # None where they are exact


def _frozen(array: object) -> Floats:
    out = np.array(array, dtype=np.float64)
    out.setflags(write=False)
    return out


def _frozen_pairs(given: Interactions) -> Interactions:
    scores = {index: _frozen(found) for index, found in given.scores.items()}
    return Interactions(scores, None if given.stderr is None else {i: _frozen(e) for i, e in given.stderr.items()})


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why one target is what it is: a raw, signed score for each feature, in the target's unit."""

    features: tuple[Feature, ...]
    scores: Float64[Floats, " n"]  # read-only
    target: Target
    method: str
    value: float  # the target with everything present
    base: float  # the target with everything absent
    stderr: Float64[Floats, " n"] | None = None  # read-only
    texts: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    prediction: str | None = None  # the label the model gives, whichever target is explained
    probability: float | None = None  # of that label
    without: tuple[str, ...] | None = None  # [n]: the label predicted with each feature alone absent
    notes: tuple[str, ...] = ()
    complete: bool = False  # does the method promise scores that add up to value - base?
    cost: Cost = field(default_factory=Cost)
    image: Picture | None = None  # where the input is one
    trust: Trust | None = None  # how far to believe it, where that was checked
    interactions: Interactions | None = None  # of pairs, where the method tells of them: see `pairs`

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", _frozen(self.scores))
        if self.stderr is not None:
            object.__setattr__(self, "stderr", _frozen(self.stderr))
        if self.interactions is not None:
            object.__setattr__(self, "interactions", _frozen_pairs(self.interactions))
        object.__setattr__(self, "texts", ReadOnly(self.texts))
        object.__setattr__(self, "options", ReadOnly(self.options))

    def __reduce__(self) -> tuple[Any, ...]:
        """To copy, to pickle and to send to another process: arrays are made read-only again there."""
        return type(self), tuple(getattr(self, each.name) for each in fields(self))

    @property
    def words(self) -> tuple[str, ...]:
        """Each feature's label, in the order of the text."""
        return tuple(f.label for f in self.features)

    @property
    def text(self) -> str:
        """The text as it was given; several parts are joined by a newline."""
        return "\n".join(self.texts.values())

    @property
    def gap(self) -> float:
        """What the scores leave unexplained: value - base - sum(scores), in the target's unit."""
        return float(self.value - self.base - self.scores.sum())

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k features of largest |score|, as (label, score)."""
        order = np.argsort(-np.abs(self.scores), kind="stable")[: whole_number("k", k, least=0)]
        return [(self.features[i].label, float(self.scores[i])) for i in order]

    def pairs(self, k: int | None = 5, *, index: str = "SII") -> list[Pair]:
        """Which features belong together: the k pairs of largest |score|, from the evaluations that the method has asked.

        Parameters
        ----------
        k : int, optional
            How many; None for all n (n - 1) / 2.
        index : str
            "SII", the Shapley interaction index: how much the effect of one feature changes with the other, over all orders.
            "FSII", the pairs of the best fit by single features and pairs. "Banzhaf", over all coalitions alike.

        Returns
        -------
        list of Pair
            `indexes`, `words`, `score` and `stderr`, strongest first, in the target's unit: a pair that scores -1.9 lowers the
            target by so much beyond what its features do alone.

        Raises
        ------
        MethodError
            The method does not tell of pairs: `kernel_shap` does (by default with up to 40 features) and `shapley_values`.
        OptionError
            Another index.
        """
        if len(self.features) < 2:
            return []
        if self.interactions is None:
            way = "use method='kernel_shap' (with more than 40 features pairs=True) or 'shapley_values'"
            raise MethodError(f"{self.method!r} told nothing of pairs here; {way}.")
        index = one_of("index of interaction", index, self.interactions.scores)
        scores, errors = self.interactions.scores[index], self.interactions.stderr
        firsts, seconds = np.triu_indices(len(self.features), 1)
        order = np.argsort(-np.abs(scores), kind="stable")[: None if k is None else whole_number("k", k, least=0)]
        return [
            Pair(
                (int(firsts[p]), int(seconds[p])),
                (self.features[firsts[p]].label, self.features[seconds[p]].label),
                float(scores[p]),
                None if errors is None else float(errors[index][p]),
            )
            for p in order
        ]

    @property
    def variants(self) -> list[Variant]:
        """The text without each feature in turn, the fall of the target and the new label; largest fall first.

        Only methods that look at every feature alone absent can tell (`occlusion`); others raise MethodError.
        """
        from .features import removed

        if self.without is None:
            raise MethodError(
                f"{self.method!r} did not look at every feature alone absent, so there are no variants; "
                "use method='occlusion' (with absent='drop' the token is really removed)."
            )
        filler = {"drop": "", "mask": "[MASK]", "unk": "[UNK]", "pad": "[PAD]"}.get(
            str(self.options.get("absent")), "∅"
        )

        def text(f: Feature) -> str:
            return removed(self.texts, f, filler) if self.image is None else f"the image without {f.label}"

        rows = [
            Variant(f.label, text(f), float(score), label, label != self.prediction)
            for f, score, label in zip(self.features, self.scores, self.without, strict=True)
        ]
        return sorted(rows, key=lambda v: -v.drop)

    def save(self, path: str | Path, *, view: str = "overlay") -> Path:
        """Write .html, .svg, .png, .json, .txt or .parquet, by the ending of `path`; returns the path written.

        `view` draws an image as "overlay", "heatmap", "masked_image" or "alpha_scaling".
        """
        from ..storage.explanations import save

        return save(self, path, view)

    @property
    def values(self) -> Float64[Floats, " n"]:
        """The scores, by the name that shap has for them."""
        return self.scores

    @property
    def base_values(self) -> float:
        """The base, by the name that shap has for it: the target with everything absent."""
        return self.base

    @property
    def data(self) -> tuple[str, ...]:
        """What each score is of, by the name that shap has for it: the features' labels."""
        return self.words

    def to_shap(self) -> object:
        """A `shap.Explanation` of these scores [n], for shap's own plots. Raises MissingError without shap."""
        from ..render.aligned import to_shap

        return to_shap([self], single=True)

    def plot(self, kind: str = "waterfall", *, top: int = 15, by: str = "feature", dark: bool = False) -> ChartAxes:
        """A chart of this explanation; see `Explanations.plot`. By default a waterfall, from the base to the value."""
        from ..storage.charts import chart

        return chart([self], kind, top, by, dark)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as in the JSON file."""
        from ..storage.explanations import to_dict

        return to_dict(self)

    def to_arrow(self) -> pyarrow.Table:
        """One row a feature, as a pyarrow table."""
        from ..storage.explanations import to_arrow

        return to_arrow([self])

    def to_pandas(self) -> pandas.DataFrame:
        """One row a feature, as a pandas frame."""
        from ..storage.explanations import to_pandas

        return to_pandas([self])

    def __repr__(self) -> str:
        best = ", ".join(f"{one_line(word)} {score:+.3g}" for word, score in self.top(3))
        more = ", …" if len(self.features) > 3 else ""
        return f"<Explanation of {self.target.label!r} by {one_line(self.method)}: {best}{more}>"

    def __str__(self) -> str:
        from ..render.terminal import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from ..render.html import fragment

        return fragment(self)


def _aligned(items: Sequence[Explanation]) -> Aligned:
    from ..render.aligned import aligned

    return aligned(items)


@dataclass(frozen=True, eq=False)
class Explanations(Sequence[Explanation]):
    """An immutable sequence of explanations: of several texts, or of several targets of one text."""

    items: tuple[Explanation, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.items)

    @overload
    def __getitem__(self, key: int | str) -> Explanation: ...
    @overload
    def __getitem__(self, key: slice) -> Explanations: ...
    def __getitem__(self, key: int | str | slice) -> Explanation | Explanations:
        if isinstance(key, slice):
            return Explanations(self.items[key])
        if isinstance(key, int):
            return self.items[key]
        found = [e for e in self.items if e.target.label == key]
        if len(found) == 1:
            return found[0]
        raise KeyError(
            f"{len(found)} explanations have the target {key!r}; targets here: {sorted({e.target.label for e in self})}"
        )

    @property
    def matrix(self) -> Float64[Floats, "K n"]:
        """The scores of all targets over the same features. Raises ValueError when the features differ."""
        if any(e.features != self.items[0].features for e in self.items):
            raise ValueError("These explanations have different features (different texts): there is no common matrix.")
        return _frozen([e.scores for e in self.items])

    @property
    def values(self) -> Float64[Floats, "B F"]:
        """The scores of each input over the words and columns that any of them has; 0 where one lacks it."""
        return _frozen(_aligned(self.items).values)

    @property
    def base_values(self) -> Float64[Floats, " B"]:
        """The target of each input with everything absent."""
        return _frozen([e.base for e in self.items])

    @property
    def data(self) -> object:
        """object [B, F]: the values of columns, and how often each word stands in each input."""
        return _aligned(self.items).data

    @property
    def feature_names(self) -> tuple[str, ...]:
        """[F]: the words, without regard to case, and the columns that `values` and `data` are of."""
        return _aligned(self.items).names

    def summary(self, *, by: str = "feature") -> Summary:
        """What each word or column does over these inputs: mean |score|, mean with its sign, count, spread.

        Parameters
        ----------
        by
            "feature": each word and each column; "column": each column, a text column being the sum over its words.

        Returns
        -------
        Summary
            It prints as a table, has rows by name, and becomes a frame.

        Raises
        ------
        InputError
            For images, and for explanations in different units.
        """
        from ..render.aligned import summarised

        return summarised(self.items, by)

    def plot(self, kind: str = "bar", *, top: int = 15, by: str = "feature", dark: bool = False) -> ChartAxes:
        """A chart over these inputs.

        Parameters
        ----------
        kind
            "bar": mean |score| of each word or column; "beeswarm": a point for each input, where the word or column stands;
            "waterfall": from the base to the value, of one explanation.
        top
            How many words or columns; the others are put together.
        by
            As in `summary`.
        dark
            Whether for a dark page.

        Returns
        -------
        matplotlib.axes.Axes
            With a method ``save(path)`` for .png, .svg and .pdf.

        Raises
        ------
        InputError, OptionError
            As in `summary`; and for a waterfall of several.
        MissingError
            Without matplotlib.
        """
        from ..storage.charts import chart

        return chart(self.items, kind, top, by, dark)

    def to_shap(self, *, by: str = "feature") -> object:
        """A `shap.Explanation` [B, F], for shap's own plots; `by` and errors as in `summary`, MissingError without shap."""
        from ..render.aligned import to_shap

        return to_shap(self.items, by)

    def save(self, path: str | Path, *, view: str = "overlay") -> Path:
        """Write .html, .json, .txt, .parquet, or up to 24 as .svg or .png, by the ending of `path`; returns the path."""
        from ..storage.explanations import save

        return save(self, path, view)

    def to_arrow(self) -> pyarrow.Table:
        """One row a feature of each explanation, as a pyarrow table."""
        from ..storage.explanations import to_arrow

        return to_arrow(self.items)

    def to_pandas(self) -> pandas.DataFrame:
        """One row a feature of each explanation, as a pandas frame."""
        from ..storage.explanations import to_pandas

        return to_pandas(self.items)

    def __repr__(self) -> str:
        return f"<Explanations: {len(self.items)}>"

    def __str__(self) -> str:
        from ..render.terminal import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from ..render.html import fragment

        return fragment(self)
