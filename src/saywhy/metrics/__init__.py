"""The table of metrics: how far to believe scores. A metric is a generator that asks about the problem whose scores it judges."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .candidate import Candidate, Judgement, Judging
from .fidelity import (
    completeness_gap,
    held_out_r2,
    held_out_r2_with_pairs,
    infidelity,
    leave_one_out_correlation,
    scaled_infidelity,
)
from .human import intersection_over_union, precision_at_one, rationale_precision, token_f1
from .removal import (
    comprehensiveness,
    deletion,
    insertion,
    monotonicity,
    normalised_comprehensiveness,
    normalised_sufficiency,
    removal_area,
    sufficiency,
)
from .stability import (
    agreement,
    efficient_parameter_randomisation,
    max_sensitivity,
    parameter_randomisation,
    random_logit,
    seed_spread,
    smooth_parameter_randomisation,
)

__all__ = ["METRICS", "Candidate", "Judgement", "Judging", "Metric"]


@dataclass(frozen=True)
class Metric:
    """One row: what a reader and a contract test must know of a metric."""

    function: Callable[..., Judging]
    better: str  # "higher", "lower" or "" where neither is better
    family: str  # "removal" (its number depends on how features are removed), "scores", "stability" or "human"
    blind: str  # what it cannot show
    needs: str = ""  # what the comparison must make first: "randomised" models, or "smoothed" ones too

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The first line of the docstring: what comes out, and its cost."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]


_OPERATOR = "favours methods that remove in the same way; the model sees inputs unlike any it was trained on"
_RANGE = f"models differ in how far they can fall, so it compares methods, not models; {_OPERATOR}"
_ROWS = (
    Metric(removal_area, "higher", "removal", _RANGE),
    Metric(comprehensiveness, "higher", "removal", _RANGE),
    Metric(sufficiency, "lower", "removal", _RANGE),
    Metric(normalised_comprehensiveness, "higher", "removal", f"the best order is searched, not known; {_OPERATOR}"),
    Metric(normalised_sufficiency, "lower", "removal", f"the best order is searched, not known; {_OPERATOR}"),
    Metric(deletion, "lower", "removal", _RANGE),
    Metric(insertion, "higher", "removal", _RANGE),
    Metric(monotonicity, "higher", "removal", "says nothing of the order, only of the signs"),
    Metric(
        leave_one_out_correlation,
        "higher",
        "removal",
        "leave-one-out misses words that say the same twice; noisy on short texts",
    ),
    Metric(infidelity, "lower", "removal", "with the Shapley kernel as the law, Shapley values win by definition"),
    Metric(scaled_infidelity, "lower", "removal", "forgives a wrong scale"),
    Metric(held_out_r2, "higher", "removal", f"low where features act together, whatever the method; {_OPERATOR}"),
    Metric(held_out_r2_with_pairs, "higher", "removal", f"only of methods that tell of pairs; {_OPERATOR}"),
    Metric(completeness_gap, "lower", "scores", "wrong scores can add up too"),
    Metric(max_sensitivity, "lower", "stability", "scores that never change are stable and useless"),
    Metric(seed_spread, "lower", "stability", "a method without chance can be wrong all the same"),
    Metric(random_logit, "lower", "scores", "with two labels that mirror each other, likeness is right"),
    Metric(agreement, "", "scores", "methods can share a mistake"),
    Metric(parameter_randomisation, "lower", "scores", "rewards noise", "randomised"),
    Metric(smooth_parameter_randomisation, "lower", "scores", "depends on how the weights are made random", "smoothed"),
    Metric(
        efficient_parameter_randomisation, "higher", "scores", "complexity is not the only sign of noise", "randomised"
    ),
    Metric(precision_at_one, "higher", "human", "one word may be right by luck, and the others wrong"),
    Metric(token_f1, "higher", "human", "people need not give the model's reasons"),
    Metric(intersection_over_union, "higher", "human", "people need not give the model's reasons"),
    Metric(rationale_precision, "higher", "human", "people need not give the model's reasons"),
)
METRICS: Mapping[str, Metric] = {row.name: row for row in _ROWS}
