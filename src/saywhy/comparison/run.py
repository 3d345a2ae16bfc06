"""The walk of a comparison: every input is posed once; methods and metrics ask about it together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.types import Cost, MethodGenerator, Problem, Question, Scores, Target
from ..engine.batching import BoundProblem, OutputCache
from ..engine.engine import Engine
from ..explain.pipeline import Pipeline, over_draws
from ..metrics import Candidate, Judgement, Metric
from ..metrics.removal import best_known
from ..metrics.stability import shaken, under_noise
from ..models.protocol import Model
from ..tasks.protocol import Case, Task, every_output
from .entries import ORACLE, RANDOM, Entry
from .estimates import SHARES
from .plan import Plan
from .randomisation import randomised
from .resources import Tally, counted, peak_memory

WINDOW = 16  # texts in flight at once
NOISY = 4  # noisy explanations that are averaged, and how far they are shaken, for smooth randomisation
RADIUS = 0.1
FAITHFUL = "FSII"  # the index of interaction whose sums come nearest to what the model does


@dataclass(eq=False)
class Found:
    """What came out for one text."""

    values: Mapping[str, list[list[float | None]]] = field(default_factory=dict)  # method -> a pair for each column
    curves: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)  # removal -> method -> [21]
    scores: Mapping[str, list[float]] = field(default_factory=dict)
    spent: Mapping[str, tuple[int, int, float, float | None]] = field(default_factory=dict)
    rows: int = 0
    rows_alone: int = 0


class Walk:
    """A model and a task at one comparison's work."""

    def __init__(
        self,
        model: Model[Any],
        task: Task,
        plan: Plan,
        batch_tokens: int | None,
        tick: Callable[[int, int], None] | None,
    ):
        self.model, self.task, self.plan = model, task, plan
        self.engine = Engine(model, batch_tokens, tick)
        self.pipeline = Pipeline(model, task, plan.request, self.engine)

    def window(self, inputs: Sequence[Any], start: int) -> list[Found]:
        """What is found for some inputs; `start` is the place of the first among all."""
        with self.model.frozen():
            return self._window(inputs, start)

    def _window(self, inputs: Sequence[Any], start: int) -> list[Found]:
        given = [self.task.complete_input(self.model, each) for each in inputs]
        operators = {
            *self.plan.removals,
            *(e.absent or self.plan.request.encoding.absent for e in self.plan.entries),
        }
        encodings = {
            o: [self.task.encode(self.model, g, replace(self.plan.request.encoding, absent=o)) for g in given]
            for o in ({"mask"} if "infill" in operators else set()) | operators - {"infill"}
        }
        if self.plan.infill is not None and "infill" in operators:
            encodings["infill"] = [self.plan.infill.encoding(encoding) for encoding in encodings["mask"]]
        cases, caches = self.pipeline.cases(encodings[self.plan.request.encoding.absent])
        targets = [self._targets(case) for case in cases]
        bound = {
            o: [
                self.pipeline.bind(replace(case, encoding=encoding), named, cache)
                for case, encoding, named, cache in zip(cases, made, targets, caches, strict=True)
            ]
            for o, made in encodings.items()
        }
        return self._asked(bound, caches, start)

    def _asked(self, bound: Mapping[str, list[BoundProblem]], caches: Sequence[OutputCache], start: int) -> list[Found]:
        """The claims of the methods and how the metrics judge them."""
        found = [Found() for _ in caches]
        claims = self._claims(bound, found, start)
        self._judged(bound, claims, found)
        for each, cache in zip(found, caches, strict=True):
            each.rows += cache.cost.rows
        return found

    def _targets(self, case: Case) -> tuple[Target, ...]:
        """The target that is explained, and the label that comes closest to it, where there is one."""
        first = self.task.targets(case, [self.plan.request.target], None, self.plan.request.unit)
        labels = case.encoding.labels
        if len(labels) < 2 or case.encoding.about or len(first[0].index) != 1:
            return first
        every = self.task.targets(case, every_output(labels), None, self.plan.request.unit)
        numbers = self.task.score(case, case.output[None], every)[0]
        rival = max(
            (i for i in range(len(labels)) if every[i].index != first[0].index), key=lambda i: float(numbers[i])
        )
        return (*first, every[rival])

    # ---- scores --------------------------------------------------------------------------------------------------------

    def _claims(
        self, bound: Mapping[str, list[BoundProblem]], found: list[Found], start: int
    ) -> list[dict[str, Candidate]]:
        """For each text, what each method claims."""
        made: list[dict[str, Scores]] = [{} for _ in found]
        for entry in self.plan.entries:
            here = bound[entry.absent or self.plan.request.encoding.absent]
            for t, scores in enumerate(self._scored(entry, here, found, start)):
                made[t][entry.label] = scores
        claims: list[dict[str, Candidate]] = []
        for t, scores_by in enumerate(made):
            found[t].scores = {label: scores.values[0].tolist() for label, scores in scores_by.items()}
            human = None if self.plan.human is None else self.plan.human[start + t]
            mine = {}
            for entry in self.plan.entries:
                others = [s.values[0] for label, s in scores_by.items() if label not in (entry.label, RANDOM)]
                told = scores_by[entry.label]
                pairs = None if told.pairs is None else told.pairs.values[FAITHFUL][0]
                mine[entry.label] = Candidate(
                    told.values, self._again(entry, start + t), others, human=human, pairs=pairs
                )
            claims.append(mine)
        return self._with_random_weights(bound[self.plan.request.encoding.absent], claims, start)

    def _scored(self, entry: Entry, here: list[BoundProblem], found: list[Found], start: int) -> list[Scores]:
        if entry.method is None:
            for t in range(len(here)):
                found[t].spent = {**found[t].spent, entry.label: (0, 0, 0.0, None)}
            return [Scores(entry.scores(start + t)) for t in range(len(here))]
        tallies = [Tally() for _ in here]
        before = [p.cache.cost for p in here]
        jobs: list[tuple[BoundProblem, MethodGenerator]] = [
            (p, counted(entry.asking(p.problem, start + t, self.plan.seed), tallies[t])) for t, p in enumerate(here)
        ]
        with peak_memory() as peak:
            scores = self.engine.run(jobs)
        for t, p in enumerate(here):
            spent = _spent(before[t], p.cache.cost, tallies[t], peak[0])
            found[t].spent = {**found[t].spent, entry.label: spent}
        return [over_draws(s, p.encoding.drawn) for s, p in zip(scores, here, strict=True)]

    def _again(self, entry: Entry, index: int) -> Callable[[Problem, int], MethodGenerator] | None:
        if entry.method is None:
            return None
        return lambda problem, seed: entry.asking(problem, index, seed)

    def _with_random_weights(
        self, here: list[BoundProblem], claims: list[dict[str, Candidate]], start: int
    ) -> list[dict[str, Candidate]]:
        """The claims with the scores of ever more random models, where a metric needs them."""
        needs = {m.needs for m in self.plan.metrics if m.needs}
        if not needs:
            return claims
        entries = [e for e in self.plan.entries if e.method is not None and e.absent is None]
        stages: dict[str, list[list[Tensor]]] = {e.label: [[] for _ in here] for e in entries}
        noisy: dict[str, list[list[Tensor]]] = {e.label: [[] for _ in here] for e in entries}

        def note(pipeline: Pipeline, bound: list[BoundProblem], plain: bool) -> None:
            for e in entries:
                if plain:
                    jobs = [(p, e.asking(p.problem, start + t, self.plan.seed)) for t, p in enumerate(bound)]
                    for t, scores in enumerate(pipeline.engine.run(jobs)):
                        stages[e.label][t].append(scores.values[0])
                if "smoothed" in needs:
                    path = [(p, _mean_under_noise(p.problem, claims[t][e.label])) for t, p in enumerate(bound)]
                    for t, mean in enumerate(pipeline.engine.drive(path)):
                        noisy[e.label][t] += [] if mean is None else [mean]

        note(self.pipeline, here, False)
        for model in randomised(self.model, self.plan.seed):
            pipeline = replace(
                self.pipeline, model=model, engine=Engine(model, self.engine.batches.budget, self.engine.batches.tick)
            )
            cases, caches = pipeline.cases([p.encoding for p in here])
            again = [pipeline.bind(c, _once(p), s) for c, p, s in zip(cases, here, caches, strict=True)]
            note(pipeline, again, True)
        for t, mine in enumerate(claims):
            for e in entries:
                smoothed = torch.stack(noisy[e.label][t]) if len(noisy[e.label][t]) > 1 else None
                mine[e.label] = replace(mine[e.label], randomised=torch.stack(stages[e.label][t]), smoothed=smoothed)
        return claims

    # ---- judgements ----------------------------------------------------------------------------------------------------

    def _judged(
        self, bound: Mapping[str, list[BoundProblem]], claims: list[dict[str, Candidate]], found: list[Found]
    ) -> None:
        values: list[dict[str, list[list[float | None]]]] = [{} for _ in found]
        curves: list[dict[str, dict[str, list[float]]]] = [{} for _ in found]
        for removal in (None, *self.plan.removals):
            stated = self._with_oracle(bound[removal], claims, found) if removal else claims
            own = {e.label: removal or e.absent or self.plan.request.encoding.absent for e in self.plan.entries}
            jobs, places = [], []
            for t, mine in enumerate(stated):
                for label, candidate in mine.items():
                    p = bound[own.get(label, removal or "")][t]
                    for column, metric in self._columns(removal):
                        tally = Tally()
                        places.append((t, label, column, metric, tally))
                        jobs.append((p, counted(metric.function(p.problem, candidate), tally)))
            for (t, label, column, metric, tally), judged in zip(places, self.engine.drive(jobs), strict=True):
                pair = [judged.value, judged.reverse]
                values[t].setdefault(label, [[None, None] for _ in self.plan.columns])[column] = pair
                if label != ORACLE:
                    found[t].rows_alone += tally.rows + found[t].spent[label][0]
                if judged.curve and metric.name not in ("sufficiency", "normalised_sufficiency", "insertion"):
                    curves[t].setdefault(str(removal), {})[label] = _on_shares(judged)
        for t, each in enumerate(found):
            each.values, each.curves = values[t], curves[t]

    def _columns(self, removal: str | None) -> Iterator[tuple[int, Metric]]:
        by_name = {m.name: m for m in self.plan.metrics}
        for i, column in enumerate(self.plan.columns):
            if column.removal == removal:
                yield i, by_name[column.metric]

    def _with_oracle(
        self, here: list[BoundProblem], claims: list[dict[str, Candidate]], found: list[Found]
    ) -> list[dict[str, Candidate]]:
        """The claims, and that of the best order known under this removal: what scores could reach. The search is counted."""
        tallies = [Tally() for _ in here]
        orders = self.engine.drive(
            [
                (p, counted(best_known(p.problem, mine[RANDOM]), tally))
                for p, mine, tally in zip(here, claims, tallies, strict=True)
            ]
        )
        for each, tally in zip(found, tallies, strict=True):
            each.rows_alone += tally.rows
        out = []
        for order, mine in zip(orders, claims, strict=True):
            falling = -order.argsort().double()[None]
            out.append({**mine, ORACLE: Candidate(falling, None, mine[RANDOM].others)})
        return out


def _once(bound: BoundProblem) -> tuple[Target, ...]:
    """The targets of a problem, without those of single draws of baselines."""
    return bound.problem.targets[: len(bound.problem.targets) // (1 + bound.encoding.drawn)]


def _mean_under_noise(problem: Problem, candidate: Candidate) -> Generator[Question, Any, torch.Tensor | None]:
    """The mean of the scores over NOISY shaken embeddings, as something the engine can drive; None where that cannot be."""
    if problem.path is None:
        return None
    total = []
    for noise in shaken(problem.path, NOISY, RADIUS, 0):
        scores: Scores | None = yield from under_noise(problem, candidate, noise)
        if scores is None:
            return None
        total.append(scores.values[0])
    return torch.stack(total).mean(0)


def _spent(before: Cost, after: Cost, tally: Tally, peak: float | None) -> tuple[int, int, float, float | None]:
    """Evaluations as if alone; the seconds measured, with those rows that had been answered before at the mean price."""
    rows, seconds = after.rows - before.rows, after.seconds - before.seconds
    price = after.seconds / max(1, after.rows)
    shared = max(0, tally.rows - rows)
    return tally.rows, after.backward_rows - before.backward_rows, seconds + shared * price, peak


def _on_shares(judged: Judgement) -> list[float]:
    """The curve as the target's change, at the 21 shares of the text that are gone."""
    curve = np.asarray(judged.curve)
    drawn: list[float] = np.interp(SHARES, np.linspace(0, 1, len(curve)), curve - curve[0]).tolist()
    return drawn
