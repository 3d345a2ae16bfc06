"""Bias probes: how likely a continuation is for every combination of values in a prompt, and which slot moves it most."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.checks import text_or_none, whole_number
from ..core.errors import InputError, ModelError, OptionError, unknown
from ..core.progress import progress as shown_progress
from ..core.types import Floats
from ..engine.batching import OutputCache
from ..engine.engine import Engine
from ..explain.request import wanted
from ..models.causal.prompts import Goal, Prompt
from ..models.protocol import EncodingOptions
from ..tasks.protocol import Case
from .effects import interaction_of, main_effect, shares
from .template import Template

if TYPE_CHECKING:
    import pandas

    from ..explain.explainer import Explainer


class Moved(NamedTuple):
    """How far one slot moves the answer, all else averaged."""

    slot: str
    spread: float  # the highest mean over its values less the lowest, in the target's unit
    share: float  # of the variance over all combinations: by this slot alone
    shared: float  # of the variance: by this slot together with others
    highest: str
    lowest: str


@dataclass(frozen=True, eq=False)
class Probe:
    """A target's number for every combination of values: a table, exact main effects and pairwise interactions."""

    template: str
    slots: Mapping[str, tuple[str, ...]]
    values: Floats = field(repr=False)  # [values of the first slot, of the second, …]
    target: str
    unit: str
    model: str

    @property
    def mean(self) -> float:
        """The mean over all combinations, in the target's unit."""
        return float(self.values.mean())

    def main(self, slot: str) -> dict[str, float]:
        """value -> how far the mean with it lies from the mean over all; they add up to zero."""
        axis = self._axis(slot)
        return dict(zip(self.slots[slot], map(float, main_effect(self.values, axis)), strict=True))

    def interaction(self, first: str, second: str) -> Floats:
        """[values of first, values of second]: what two values do together beyond their main effects."""
        if first == second:
            raise OptionError(f"An interaction is of two slots; {first!r} was given twice.")
        return interaction_of(self.values, self._axis(first), self._axis(second))

    @property
    def ranking(self) -> list[Moved]:
        """The slots, the one that moves the answer most first (by the spread of its main effect)."""
        found = []
        for slot, (alone, together) in zip(self.slots, shares(self.values), strict=True):
            effects = self.main(slot)
            high, low = max(effects, key=effects.__getitem__), min(effects, key=effects.__getitem__)
            found.append(Moved(slot, effects[high] - effects[low], alone, together, high, low))
        return sorted(found, key=lambda moved: -moved.spread)

    def rows(self) -> list[dict[str, Any]]:
        """One row a combination, the likeliest first: the slots' values and the number."""
        every = itertools.product(*self.slots.values())
        rows = [
            {**dict(zip(self.slots, row, strict=True)), self.unit: float(value)}
            for row, value in zip(every, self.values.ravel(), strict=True)
        ]
        return sorted(rows, key=lambda row: -row[self.unit])

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a pandas frame, one row a combination."""
        from ..storage.explanations import frame

        return frame(self.rows())

    def save(self, path: str | Path) -> Path:
        """Write .csv, .parquet, .html or .txt, by the ending of `path`; returns the path."""
        from .page import save

        return save(self, Path(path))

    def _axis(self, slot: str) -> int:
        if slot not in self.slots:
            raise unknown("slot", slot, self.slots)
        return list(self.slots).index(slot)

    def __str__(self) -> str:
        from .page import summary

        return summary(self)

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)


def probe(
    explainer: Explainer,
    text: object,
    slots: Mapping[str, Sequence[str]],
    target: Goal = None,
    *,
    against: Goal = None,
    unit: str = "log-prob",
    most: int = 4_096,
    progress: bool | None = None,
) -> Probe:
    """The probability of `target` after the prompt with every combination of the slots' values. One model input each.

    Parameters
    ----------
    explainer
        Of a language model.
    text
        What a Template takes: a text with {slots}, messages, or a function of the values.
    slots
        Slot -> its values.
    target
        A text or token ids.
    against
        Another continuation; the number is then the difference.
    unit
        "log-prob" (default) or "prob".
    most
        The most combinations.
    progress
        Whether a progress line is shown.

    Returns
    -------
    Probe
        The table, exact main effects and pairwise interactions.

    Raises
    ------
    OptionError
        For more than `most` combinations, or no target.
    InputError
        For a bad template.
    """
    if target is None:
        raise OptionError("A probe needs the target whose probability is compared: a text or a tuple of token ids.")
    if not hasattr(explainer, "pipeline"):
        raise OptionError(
            f"`explainer` is an Explainer, for example Explainer(model, tokenizer), not {explainer!r:.60}."
        )
    levels, most, unit = (
        _levels(slots),
        whole_number("most", most, least=1),
        str(text_or_none("unit", unit, "log-prob")),
    )
    target, against = _goal("target", target), _goal("against", against)
    count = math.prod(len(told) for told in levels.values())
    if count > most:
        sizes = " x ".join(str(len(told)) for told in levels.values())
        raise OptionError(
            f"{sizes} values are {count:,} prompts; the limit is {most:,}. Give fewer values, or most={count}."
        )
    first = Template(text, {slot: told[0] for slot, told in levels.items()})
    each = itertools.product(*levels.values())
    prompts = [first.with_values(dict(zip(levels, row, strict=True))) for row in each]
    numbers = _numbers(explainer, prompts, target, against, unit, progress)
    label = str(target) if against is None else f"{target} rather than {against}"
    shape = tuple(len(told) for told in levels.values())
    shown = text if isinstance(text, str) else getattr(text, "__name__", "a conversation")
    return Probe(shown, levels, np.array(numbers).reshape(shape), label, unit, explainer.model.name)


def _goal(name: str, given: object) -> Goal:
    known = wanted(name, given)
    if (
        known is not None
        and not isinstance(known, str)
        and not (isinstance(known, tuple) and all(type(i) is int for i in known))
    ):
        raise OptionError(f"`{name}` is a text or a tuple of token ids, not {given!r:.60}.")
    return known


def _levels(slots: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    if not isinstance(slots, Mapping) or not slots:
        raise InputError(f"`slots` is a mapping from each slot to a list of its values, not {slots!r:.80}")
    out: dict[str, tuple[str, ...]] = {}
    for slot, told in slots.items():
        if isinstance(told, str) or not isinstance(told, Sequence) or not all(isinstance(one, str) for one in told):
            raise InputError(f"The values of slot {slot!r} must be a list of texts, not {told!r:.80}")
        if not told or len(set(told)) < len(told):
            raise InputError(f"The values of slot {slot!r} must be at least one, and differ: {list(told)!r:.80}")
        out[str(slot)] = tuple(told)
    return out


def _numbers(
    explainer: Explainer, prompts: Iterable[Any], target: Goal, against: Goal, unit: str, progress: bool | None
) -> list[float]:
    task, model = explainer.task, explainer.model
    asked = [task.with_targets(prompt, [target], against) for prompt in prompts]
    if not all(isinstance(prompt, Prompt) for prompt in asked):
        raise ModelError(f"{model.name} is no language model: a probe asks for the probability of a continuation.")
    encodings = [task.encode(model, prompt, EncodingOptions(by="slot", absent="baseline")) for prompt in asked]
    targets = task.targets(Case(model, encodings[0]), [target], against, unit)
    whole = [np.ones((1, len(encoding.features)), dtype=bool) for encoding in encodings]
    import torch

    with shown_progress(len(encodings), progress) as tick:
        engine = Engine(model, explainer.batch_tokens, None if tick is None else lambda _, rows: tick(rows, rows))
        asks = [(e, OutputCache(), torch.as_tensor(every)) for e, every in zip(encodings, whole, strict=True)]
        outputs = engine.outputs(asks)
    cases = [Case(model, e, output[0]) for e, output in zip(encodings, outputs, strict=True)]
    task.targets(cases[0], [target], against, unit)  # refuses numbers that are none
    return [float(task.score(c, o, targets)[0, 0]) for c, o in zip(cases, outputs, strict=True)]
