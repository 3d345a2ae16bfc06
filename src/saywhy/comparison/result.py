"""What a comparison found: every number of every text, and what they come to with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import OptionError, unknown
from ..core.types import Floats, ReadOnly
from .estimates import Column, Estimate, Place, Spent, estimated

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods by metrics, text by text."""

    methods: tuple[str, ...]
    columns: tuple[Column, ...]
    values: Floats  # [T, M, C]; NaN where a metric does not apply
    reverses: Floats  # [T, M, C]: the same for the reversed order, where the metric is about an order
    curves: Mapping[str, Floats]  # removal -> [T, M, 21]: the target's change with the top scores gone, by share gone
    likeness: Floats  # [M, M]: the mean Spearman correlation of two methods' scores
    spent: tuple[Spent, ...]  # [M]
    rows: int  # model inputs that the whole comparison took
    rows_alone: int  # and would have taken, had every method, metric and search been computed for itself
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", ReadOnly(self.settings))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.metric for c in self.columns))

    def numbers(self, method: str, metric: str, removal: str | None = None, *, reverse: bool = False) -> Floats:
        """[T]: one number a text; the mean over the removals where none is named."""
        if method not in self.methods:
            raise unknown("method", method, self.methods)
        if metric not in self.metrics:
            raise unknown("metric", metric, self.metrics)
        chosen = [i for i, c in enumerate(self.columns) if c.metric == metric and removal in (None, c.removal)]
        if not chosen:
            raise unknown("removal", removal, [c.removal for c in self.columns if c.metric == metric])
        table = self.reverses if reverse else self.values
        mean: Floats = table[:, self.methods.index(method), chosen].mean(1)
        return mean

    def estimate(
        self, method: str, metric: str, removal: str | None = None, *, reverse: bool = False
    ) -> Estimate | None:
        """The mean over texts with its 95 % bootstrap interval; None where the metric applies to no text."""
        return estimated(self.numbers(method, metric, removal, reverse=reverse))

    def ranking(self, metric: str | None = None, removal: str | None = None) -> list[Place]:
        """The methods from the best to the worst by a metric, the first one where none is named; controls are left out.

        A method shares the rank of the best before it where the interval of their difference, text by text, holds 0.
        """
        metric = metric or self.metrics[0]
        better = next((c.better for c in self.columns if c.metric == metric), "")
        if not better:
            raise OptionError(f"{metric!r} says of no value that it is better than another: rank by another metric.")
        found = [(m, self.estimate(m, metric, removal)) for m in self.methods if m not in ("random", "oracle")]
        having = [(m, e) for m, e in found if e is not None]
        having.sort(key=lambda pair: pair[1].mean, reverse=better == "higher")
        places: list[Place] = []
        leader = 0
        for i, (method, estimate) in enumerate(having):
            if i:
                ahead, mine = (self.numbers(m, metric, removal) for m in (having[leader][0], method))
                apart = estimated(ahead - mine)
                if apart is None or not apart.low <= 0 <= apart.high:
                    leader = i
            places.append(Place(leader + 1, method, estimate))
        return places

    def records(self) -> list[dict[str, Any]]:
        """One row a method and column: mean, interval, the reversed order's mean, and how many texts it applied to."""
        out = []
        for method in self.methods:
            for c in self.columns:
                found = self.estimate(method, c.metric, c.removal)
                if found is None:
                    continue
                reverse = self.estimate(method, c.metric, c.removal, reverse=True)
                row: dict[str, Any] = {
                    "method": method,
                    "metric": c.metric,
                    "removal": c.removal or "",
                    **found._asdict(),
                }
                out.append({**row, "reversed": None if reverse is None else reverse.mean})
        return out

    def to_pandas(self) -> pandas.DataFrame:
        """The summary as a pandas frame, one row a method and column."""
        from ..storage.explanations import frame

        return frame(self.records())

    def save(self, path: str | Path) -> Path:
        """Write .html, .csv, .json or .txt, by the ending of `path`; returns the path."""
        from .files import save

        return save(self, Path(path))

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.methods)} methods by {len(self.metrics)} metrics on {len(self)} texts>"

    def __str__(self) -> str:
        from .terminal import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)
