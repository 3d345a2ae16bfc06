"""The line: given -> encoding -> problem -> method asks, engine answers -> scores -> explanation, for a window of inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from typing import Any, TypeAlias

import torch

from .engine import Engine
from .errors import SaywhyError
from .explanation import Explanation, Interactions, Trust
from .focus import both, focused
from .methods import Method
from .methods.interactions import pairs_over_draws
from .models import NOT_FOLLOWED, Look, Model
from .packing import CHUNK, parts
from .packing import WINDOW as WINDOW
from .posed import Posed, Seen
from .tasks import Case, Task, WantedTarget
from .trust import trust
from .types import Asking, Cost, Encoding, PairScores, Problem, Scores, Smooth, Target, Values

MethodLike: TypeAlias = "str | Callable[..., Asking]"
BARE = 1_000  # outputs with everything absent that are remembered


@dataclass(frozen=True, eq=False)
class Ask:
    """Everything that was asked of a call, checked before any input is read."""

    method: Method
    options: Mapping[str, Any]
    look: Look
    target: WantedTarget
    against: WantedTarget
    unit: str | None
    trust: str = "none"  # how the explanations are checked: one of trust.CHECKS


@dataclass(frozen=True, eq=False)
class Line:
    """A model and a task at one call's work."""

    model: Model
    task: Task
    ask: Ask
    engine: Engine

    @property
    def window(self) -> int:
        """How many inputs to take at once: more where one pass is all, so that the batches of short texts are full."""
        return max(WINDOW, self.engine.batches.budget // 4) if self.ask.method.opens else WINDOW

    def attempt(self, window: Sequence[Any]) -> list[Explanation | SaywhyError]:
        """For each input an explanation of the target, or why there is none. What is refused together is asked by halves."""
        ask = self.ask
        try:
            inputs = [self.task.joined(given, [ask.target], ask.against) for given in window]
            return [found for [found] in self.explain(inputs, [ask.target])]
        except SaywhyError as error:
            if len(window) == 1:
                return [error]
        half = len(window) // 2
        return [*self.attempt(window[:half]), *self.attempt(window[half:])]

    def explain(self, window: Sequence[Any], wanted: Sequence[WantedTarget] | None) -> list[list[Explanation]]:
        """For each input an explanation of each target wanted; None wants all that the task says of an input."""
        with self.model.still():  # once for all that follows, which then finds nothing to change
            return self._twice([self.task.finished(self.model, given) for given in window], wanted)

    def _twice(self, window: Sequence[Any], wanted: Sequence[WantedTarget] | None) -> list[list[Explanation]]:
        """With by="focus" first by sentence, then by the words of those that matter; else once."""
        if self.ask.look.by != "focus":
            return self._explain(window, wanted, [self.ask.look] * len(window))
        first = replace(self, ask=replace(self.ask, trust="none"))
        coarse = first._explain(window, wanted, [replace(self.ask.look, by="sentence")] * len(window))
        looks = [replace(self.ask.look, by=focused(found)) for found in coarse]
        fine = self._explain(window, wanted, looks)
        return [both(before, after) for before, after in zip(coarse, fine, strict=True)]

    def _explain(
        self, window: Sequence[Any], wanted: Sequence[WantedTarget] | None, looks: Sequence[Look]
    ) -> list[list[Explanation]]:
        encodings = [self.task.encode(self.model, given, look) for given, look in zip(window, looks, strict=True)]
        found: list[list[Explanation]] = [[] for _ in window]
        opened = self.ask.method.opens and self._followed(encodings)
        for portion in self.engine.portions(encodings) if opened else [range(len(window))]:
            for i, each in zip(portion, self._portion([encodings[i] for i in portion], wanted), strict=True):
                found[i] = each
        return found

    def _portion(self, encodings: Sequence[Encoding], wanted: Sequence[WantedTarget] | None) -> list[list[Explanation]]:
        cases, seen = self.cases(encodings)
        chosen = [self.task.every(case) if wanted is None else wanted for case in cases]
        posed = [self.posed(case, named, saw) for case, named, saw in zip(cases, chosen, seen, strict=True)]
        asked = [p for p, named in zip(posed, chosen, strict=True) if named]
        found = self.engine.run([(p, self.ask.method.function(p.problem, **self.ask.options)) for p in asked])
        scores = [over_draws(told, p.encoding.drawn) for told, p in zip(found, asked, strict=True)]
        values = self._ends(asked)
        costs = [p.seen.cost for p in asked]
        many = [(case, len(named)) for case, named in zip(cases, chosen, strict=True) if named]
        trusts = self._trusts(asked, scores, many)
        made = iter(zip(scores, values, costs, trusts, strict=True))
        return [
            self._explanations(case, p, *next(made)) if named else []
            for case, p, named in zip(cases, posed, chosen, strict=True)
        ]

    def _ends(self, asked: Sequence[Posed]) -> list[torch.Tensor]:
        """[2, K] each: the targets with everything present, and with everything absent."""
        whole = type(self.task).keep is Task.keep  # outputs are kept as they are, so inputs may share them
        bare = self.engine.bare
        alone = [p.encoding.at(ends(p.problem.n)[1:].numpy())[0] if whole else () for p in asked]
        names = [None if isinstance(row, tuple) else self.model.key(row) for row in alone]
        for p, name in zip(asked, names, strict=True):
            if name in bare:
                p.seen.outputs.setdefault(name, bare[name])
        values = self.engine.values([(p, ends(p.problem.n)) for p in asked])
        if len(bare) < BARE:
            bare.update({name: p.seen.outputs[name] for p, name in zip(asked, names, strict=True) if name is not None})
        return values

    def _trusts(
        self, posed: Sequence[Posed], scores: Sequence[Scores], wanted: Sequence[tuple[Case, int]]
    ) -> list[list[Trust | None]]:
        """For each problem, how far to believe the scores of each target that was wanted."""
        ask = self.ask
        if ask.trust == "none":
            return [[None] * k for _, k in wanted]
        noun = ask.look.by if isinstance(ask.look.by, str) and ask.look.by != "focus" else "feature"
        checks = [
            (p, trust(p.problem, s, ask.trust, ask.method.complete, noun, self._sure(case, p, k)))
            for p, s, (case, k) in zip(posed, scores, wanted, strict=True)
        ]
        return self.engine.drive(checks)

    def _sure(self, case: Case, posed: Posed, wanted: int) -> list[tuple[float, int, bool] | None]:
        """How sure the model is of each target that was wanted, where it chooses."""
        return [self.task.sure(case, target) for target in posed.problem.targets[:wanted]]

    def cases(self, encodings: Sequence[Encoding]) -> tuple[list[Case], list[Seen]]:
        """What the model says of each input with everything present; with what the method asks first, from one forward."""
        seen = [Seen() for _ in encodings]
        opens = self.ask.method.opens
        if opens and self._followed(encodings):
            self.engine.ahead(list(zip(encodings, seen, strict=True)), None if opens == "plain" else opens)
        first = [self._first(encoding) for encoding in encodings]
        outputs = self.engine.outputs(list(zip(encodings, seen, first, strict=True)))
        return [Case(self.model, e, output[0]) for e, output in zip(encodings, outputs, strict=True)], seen

    def _followed(self, encodings: Sequence[Encoding]) -> bool:
        """Can gradients follow the embeddings of these inputs?"""
        smooth = self.model.differentiable and self.ask.look.absent not in NOT_FOLLOWED
        return smooth and all(e.owner is not None and not e.drawn for e in encodings)

    def _first(self, encoding: Encoding) -> torch.Tensor:
        """bool [N, n]: everything present; and where outputs are small, both ends and all that the method asks first."""
        n = len(encoding.features)
        if not self.task.small or self.ask.method.family != "coalition":
            return ends(n)[:1]
        asking = self.ask.method.function(Problem(encoding.features, (Target("", (0,)),)), **self.ask.options)
        question = next(asking)
        asking.close()
        asked = question.coalitions.bool() if isinstance(question, Values) else ends(n)[:0]
        return torch.cat([ends(n), asked])[: CHUNK // 2]

    def posed(self, case: Case, wanted: Sequence[WantedTarget], seen: Seen) -> Posed:
        """The problem of one input, once it is known what the model says of it."""
        targets = self.task.targets(case, wanted, self.ask.against, self.ask.unit)
        return self.put(case, targets + self._watched(case), seen)

    def put(self, case: Case, targets: tuple[Target, ...], seen: Seen) -> Posed:
        """The problem of one input with these targets. What is seen from now on is cut down to what they need."""
        encoding = self.task.narrowed(case, targets)
        narrow = replace(case, encoding=encoding)
        if targets and seen.keep is None:
            seen.hold(lambda output: self.task.keep(case, output, targets))
        problem = Problem(encoding.features, targets * (1 + encoding.drawn), self._smooth(encoding))
        if encoding.drawn:
            return Posed(problem, encoding, lambda outputs: _by_draw(self.task.drawn(narrow, outputs, targets)), seen)
        return Posed(problem, encoding, lambda outputs: self.task.score(narrow, outputs, targets), seen)

    def _watched(self, case: Case) -> tuple[Target, ...]:
        """All labels, for a method that can tell what the model says without each feature."""
        many = len(case.encoding.labels)
        if not self.ask.method.leaves_one_out or many < 2 or case.encoding.about:
            return ()
        return self.task.targets(case, range(many), None, None)

    def _smooth(self, encoding: Encoding) -> Smooth | None:
        look = self.ask.look
        if (
            not self.model.differentiable
            or look.absent in NOT_FOLLOWED
            or encoding.owner is None
            or self.ask.method.family in ("coalition", "attention")
        ):
            return None
        rows = encoding.at(ends(len(encoding.features)).numpy())
        with torch.no_grad():
            point, origin = (torch.cat([self.model.embed(part) for part in parts(row)]) for row in rows)
        return Smooth(point, origin, encoding.owner, len(encoding.features))

    def _explanations(
        self,
        case: Case,
        posed: Posed,
        scores: Scores,
        values: torch.Tensor,
        cost: Cost,
        trusts: Sequence[Trust | None],
    ) -> list[Explanation]:
        ask, encoding, wanted = self.ask, posed.encoding, len(trusts)
        says = self.task.says(case)
        picture = None if encoding.picture is None else encoding.picture()
        without = None
        if scores.without is not None and len(scores.without) > wanted:
            without = tuple(encoding.labels[int(i)] for i in scores.without[wanted:].argmax(0))
        return [
            Explanation(
                features=posed.problem.features,
                scores=scores.values[k].numpy(),
                target=posed.problem.targets[k],
                method=ask.method.name,
                value=float(values[0, k]),
                base=float(values[1, k]),
                stderr=None if scores.stderr is None else scores.stderr[k].numpy(),
                texts=encoding.texts,
                options={**self._looked(), **ask.method.options, **ask.options},
                prediction=says[0],
                probability=says[1],
                without=without,
                notes=encoding.notes + scores.notes,
                complete=ask.method.complete,
                cost=cost,
                image=picture,
                trust=trusts[k],
                interactions=_interactions(scores.pairs, k),
            )
            for k in range(wanted)
        ]

    def _looked(self) -> dict[str, Any]:
        """Model, task and how the input was looked at, with what of the task is not as usual."""
        look = self.ask.look
        settings: tuple[Field[Any], ...] = fields(self.task) if is_dataclass(self.task) else ()
        return {
            "model": self.model.name,
            "task": self.task.name,
            **{s.name: getattr(self.task, s.name) for s in settings if getattr(self.task, s.name) != s.default},
            "by": look.by,
            "absent": look.absent,
            "overlong": look.overlong,
            "embedding": look.embedding,
        }


def _interactions(pairs: PairScores | None, k: int) -> Interactions | None:
    """Of one target."""
    if pairs is None:
        return None
    scores = {index: found[k].numpy() for index, found in pairs.values.items()}
    if pairs.stderr is None:
        return Interactions(scores)
    return Interactions(scores, {index: found[k].numpy() for index, found in pairs.stderr.items()})


def _by_draw(numbers: torch.Tensor) -> torch.Tensor:
    """[B, D, K] -> [B, K + D * K]: the means over the draws, then every draw's own."""
    return torch.cat([numbers.mean(1), numbers.flatten(1)], dim=1)


def over_draws(scores: Scores, drawn: int) -> Scores:
    """The scores of the means, with the standard errors that come of drawing: from how the draws' own scores differ.

    Every draw stands in for what is absent on both sides of every difference, so one draw's scores are a sample of one. A
    method's own standard errors, from the subsets that it chose, are added as variances.
    """
    if not drawn:
        return scores
    many = len(scores.values) // (1 + drawn)
    each = scores.values[many:].reshape(drawn, many, -1)  # [D, K, n]
    variance = each.var(0) / drawn
    if scores.stderr is not None:
        variance = variance + scores.stderr[:many] ** 2
    without = None if scores.without is None else scores.without[:many]
    pairs = None if scores.pairs is None else pairs_over_draws(scores.pairs, drawn, many)
    return replace(scores, values=scores.values[:many], stderr=variance.sqrt(), without=without, pairs=pairs)


def ends(n: int) -> torch.Tensor:
    """bool [2, n]: everything present, everything absent."""
    return torch.tensor([[True] * n, [False] * n])
