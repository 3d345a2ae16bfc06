"""What a comparison says, in words and numbers that the terminal and the page share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..metrics import METRICS
from ..render.headline import Badge
from .estimates import Estimate, Place, Spent, estimated

if TYPE_CHECKING:
    from .result import Comparison

CONTROLS = {"random": "the control: scores without meaning", "oracle": "the best order known, found by search"}
_ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}


def title(c: Comparison) -> str:
    return f"{len(c.methods)} methods by {len(c.metrics)} metrics on {len(c):,} {'text' if len(c) == 1 else 'texts'}"


def about(c: Comparison) -> str:
    removals = list(c.settings.get("removals", ()))
    over = "these and all texts" if len(removals) > 1 else "all texts"
    return f"{c.settings.get('model', '')} · features taken away by {_listed(removals)} · each number is the mean over {over}"


def leading(c: Comparison) -> str | None:
    """The metric that ranks: the first that says which value is better, and applies to more than one method."""
    for metric in c.metrics:
        better = METRICS[metric].better if metric in METRICS else ""
        if better and len(c.ranking(metric)) > 0:
            return metric
    return None


def verdict(c: Comparison) -> str:
    """One or two sentences: who is best, whether that may be chance, and whether it beats the control."""
    metric = leading(c)
    if metric is None:
        return "No metric here says that one value is better than another."
    places = c.ranking(metric)
    best = [p.method for p in places if p.rank == 1]
    said = f"{_listed(best)} {'is' if len(best) == 1 else 'are'} best by {spaced(metric)}"
    said += "." if len(best) == 1 else ": the differences among them may be chance."
    cheapest = min(best, key=lambda m: price(c.spent[c.methods.index(m)]))
    if len(best) > 1:
        said += f" The cheapest of them is {cheapest}."
    control = c.estimate("random", metric)
    lost = [p.method for p in places if control is not None and not _beats(c, p, metric)]
    if lost:
        said += f" No better than random: {_listed(lost)}."
    return said


def sentences(c: Comparison) -> tuple[str, str]:
    """The verdict's first sentence, and the others."""
    first, _, rest = verdict(c).partition(". ")
    return first.removesuffix(".") + ".", rest


def badge(c: Comparison) -> Badge | None:
    """Whether the best methods beat random scores; none without that control."""
    metric = leading(c)
    if metric is None or c.estimate("random", metric) is None:
        return None
    best = [p for p in c.ranking(metric) if p.rank == 1]
    if best and all(_beats(c, p, metric) for p in best):
        return Badge("high", "✓", "better than random")
    return Badge("low", "!", "not clearly better than random")


def _beats(c: Comparison, place: Place, metric: str) -> bool:
    apart = estimated(c.numbers(place.method, metric) - c.numbers("random", metric))
    higher = METRICS[metric].better == "higher"
    return apart is not None and (apart.low > 0 if higher else apart.high < 0)


def price(spent: Spent) -> float:
    """Evaluations in forwards: a backward pass counts as two more."""
    return spent.rows + 2 * spent.backward_rows


def ordered(c: Comparison) -> list[tuple[str, str]]:
    """(rank, method), the best first, then the controls. A rank that is shared has a "="."""
    metric = leading(c)
    places = [] if metric is None else c.ranking(metric)
    shared = [p.rank for p in places]
    ranked = [(f"{p.rank}{'=' if shared.count(p.rank) > 1 else ''}", p.method) for p in places]
    named = [method for _, method in ranked]
    return ranked + [("", m) for m in c.methods if m not in named]


def spaced(name: str) -> str:
    return name.replace("_", " ")


def heading(metric: str) -> str:
    return spaced(metric) + _ARROWS[METRICS[metric].better if metric in METRICS else ""]


def short(e: Estimate | None) -> str:
    """ "0.68 ±.05": the mean and half of the interval."""
    if e is None:
        return "–"
    return f"{e.mean:.3g} ±{(e.high - e.low) / 2:.2g}"


def full(e: Estimate | None) -> str:
    return "–" if e is None else f"{e.mean:.3g} [{e.low:.3g}, {e.high:.3g}]"


def spent_cells(spent: Spent, texts: int) -> list[str]:
    """Evaluations a text, backward ones, milliseconds a text, peak MB."""
    rows, back = spent.rows / max(1, texts), spent.backward_rows / max(1, texts)
    peak = "–" if spent.peak_mb is None else f"{spent.peak_mb:,.0f}"
    return [f"{rows:,.0f}", f"{back:,.0f}", f"{1000 * spent.seconds / max(1, texts):,.0f}", peak]


def saved(c: Comparison) -> str:
    """What it took, and what sharing rows saved, where it saved any."""
    took = f"{c.rows:,} model inputs in all, every distinct one once"
    if c.rows_alone <= c.rows:
        return f"{took}."
    return (
        f"{took}; each method, metric and search for itself would have taken {c.rows_alone:,} "
        f"({c.rows_alone / c.rows:.1f} x)."
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
