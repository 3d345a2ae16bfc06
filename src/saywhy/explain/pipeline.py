"""The pipeline: input -> encoding -> problem -> method asks, engine answers -> scores -> explanation, for a window of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from typing import Any

import torch

from ..core.coalitions import ends as ends
from ..core.errors import ModelError, SaywhyError
from ..core.explanation import Explanation, Interactions, Trust
from ..core.types import Cost, EmbeddingPath, Encoding, PairScores, Problem, Scores, Target
from ..engine.batching import CHUNK, BoundProblem, OutputCache
from ..engine.batching import WINDOW as WINDOW
from ..engine.dry_run import first_coalitions
from ..engine.engine import Engine
from ..methods.coalitions import EVERY_COALITION
from ..methods.interactions import pairs_over_draws
from ..models.protocol import NON_DIFFERENTIABLE, EncodingOptions, Model
from ..tasks.protocol import Case, Task, WantedTarget, every_output
from .focus import both, by_sentence, focused, is_focus
from .request import Request, few_enough
from .trust import trust

MOST_BASELINES = 1_000  # outputs with everything absent that are remembered


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A model and a task at one call's work."""

    model: Model[Any]
    task: Task
    request: Request
    engine: Engine

    @property
    def window(self) -> int:
        """How many inputs to take at once: more where one pass is all, so that the batches of short texts are full."""
        if self.request.method.reuses_forward:
            return max(WINDOW, self.engine.batches.budget // 4)
        background = self.request.encoding.background
        return max(1, WINDOW // (1 if background is None else len(background.rows)))  # each of which is kept

    def attempt(self, window: Sequence[Any]) -> list[Explanation | SaywhyError]:
        """For each input an explanation of the target, or why there is none. What fails together is asked by halves.

        Whatever the model, its tokenizer or a caller's function raises on an input is that input's reason.
        """
        request = self.request
        try:
            inputs = [self.task.with_targets(given, [request.target], request.against) for given in window]
            return [found for [found] in self.explain(inputs, [request.target])]
        except SaywhyError as error:
            if len(window) == 1:
                return [error]
        except Exception as error:
            if len(window) == 1:
                return [ModelError(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")]
        half = len(window) // 2
        return [*self.attempt(window[:half]), *self.attempt(window[half:])]

    def explain(
        self, window: Sequence[Any], wanted: Sequence[WantedTarget] | None, encodings: Sequence[Encoding] = ()
    ) -> list[list[Explanation]]:
        """For each input an explanation of each target wanted; None wants all that the task says of an input.

        `encodings` are those of the same inputs under the same request, where they were made already.
        """
        with self.model.frozen():  # once for all that follows, which then finds nothing to change
            inputs = [self.task.complete_input(self.model, given) for given in window]
            if is_focus(self.request.encoding.by):
                return self._focus(inputs, wanted)
            made: list[Encoding | None] = [*encodings] or [None] * len(window)
            whole = [  # an input that the model itself has completed is another one
                self._encode(completed, self.request.encoding)
                if encoding is None or completed is not given
                else encoding
                for completed, given, encoding in zip(inputs, window, made, strict=True)
            ]
            return self._explain(whole, wanted)

    def _encode(self, given: object, encoding_options: EncodingOptions) -> Encoding:
        return self.task.encode(self.model, given, encoding_options)

    def _focus(self, inputs: Sequence[Any], wanted: Sequence[WantedTarget] | None) -> list[list[Explanation]]:
        """First by sentence, then by the words of those that matter."""
        by = self.request.encoding.by
        coarsely = replace(self.request.encoding, by=by_sentence(by))
        first = replace(self, request=replace(self.request, trust="none"))
        coarse = first._explain([self._encode(given, coarsely) for given in inputs], wanted)
        chosen = [replace(self.request.encoding, by=focused(found, by)) for found in coarse]
        fine = self._explain([self._encode(*each) for each in zip(inputs, chosen, strict=True)], wanted)
        return [both(before, after, by) for before, after in zip(coarse, fine, strict=True)]

    def _explain(self, encodings: Sequence[Encoding], wanted: Sequence[WantedTarget] | None) -> list[list[Explanation]]:
        found: list[list[Explanation]] = [[] for _ in encodings]
        opened = self.request.method.reuses_forward and self._followed(encodings)
        for portion in self.engine.gradients.portions(encodings) if opened else [range(len(encodings))]:
            for i, each in zip(portion, self._portion([encodings[i] for i in portion], wanted), strict=True):
                found[i] = each
        return found

    def _portion(self, encodings: Sequence[Encoding], wanted: Sequence[WantedTarget] | None) -> list[list[Explanation]]:
        for encoding in encodings:  # those of a corpus and of by="focus" have not been through `check`
            few_enough(len(encoding.features), self.request.method)
        cases, caches = self.cases(encodings)
        chosen = [self.task.default_targets(case) if wanted is None else wanted for case in cases]
        bound = [
            self.bind_targets(case, named, cache) for case, named, cache in zip(cases, chosen, caches, strict=True)
        ]
        asked = [p for p, named in zip(bound, chosen, strict=True) if named]
        found = self.engine.run([(p, self.request.method.function(p.problem, **self.request.options)) for p in asked])
        scores = [over_draws(told, p.encoding.drawn) for told, p in zip(found, asked, strict=True)]
        values = self._ends(asked)
        noise = self._noise(asked, values)
        scores = [with_noise(s, each, self.model.samples) for s, each in zip(scores, noise, strict=True)]
        costs = [p.cache.cost for p in asked]
        many = [(case, len(named)) for case, named in zip(cases, chosen, strict=True) if named]
        trusts = self._trusts(asked, scores, many, noise)
        made = iter(zip(scores, values, costs, trusts, strict=True))
        return [
            self._explanations(case, p, *next(made)) if named else []
            for case, p, named in zip(cases, bound, chosen, strict=True)
        ]

    def _ends(self, asked: Sequence[BoundProblem]) -> list[torch.Tensor]:
        """[2, K] each: the targets with everything present, and with everything absent."""
        whole = type(self.task).keep is Task.keep  # outputs are kept as they are, so inputs may share them
        baseline_outputs = self.engine.baseline_outputs
        alone = [p.encoding.nothing if whole else () for p in asked]
        names = [None if isinstance(row, tuple) else self.model.keys([row])[0] for row in alone]
        for p, name in zip(asked, names, strict=True):
            if name in baseline_outputs:
                p.cache.outputs.setdefault(name, baseline_outputs[name])
        values = self.engine.values([(p, ends(len(p.problem.features))) for p in asked])
        if len(baseline_outputs) < MOST_BASELINES:
            baseline_outputs.update(
                {name: p.cache.outputs[name] for p, name in zip(asked, names, strict=True) if name is not None}
            )
        return values

    def _noise(self, asked: Sequence[BoundProblem], values: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
        """[K] each: how far both ends differ when they are asked again; None where the model answers the same each time."""
        if self.model.deterministic or self.request.trust == "none":
            return [None] * len(asked)
        fresh = [replace(p, cache=OutputCache(keep=p.cache.keep)) for p in asked]
        with self.model.repeated():
            again = self.engine.values([(p, ends(len(p.problem.features))) for p in fresh])
        found = [(one - other).abs().amax(0) for one, other in zip(values, again, strict=True)]
        if (samples := self.model.samples) is not None:
            drawn = [sampling_noise(v, p.problem.targets, samples) for v, p in zip(values, asked, strict=True)]
            found = [torch.maximum(one, other) for one, other in zip(found, drawn, strict=True)]
        least = [1e-9 * (1 + v.abs().amax(0)) for v in values]
        return [each if bool((each > low).any()) else None for each, low in zip(found, least, strict=True)]

    def _trusts(
        self,
        bound: Sequence[BoundProblem],
        scores: Sequence[Scores],
        wanted: Sequence[tuple[Case, int]],
        noise: Sequence[torch.Tensor | None],
    ) -> list[list[Trust | None]]:
        """For each problem, how far to believe the scores of each target that was wanted."""
        request = self.request
        if request.trust == "none":
            return [[None] * k for _, k in wanted]
        noun = (
            request.encoding.by
            if isinstance(request.encoding.by, str) and request.encoding.by != "focus"
            else "feature"
        )
        checks = [
            (p, trust(p.problem, s, request.trust, request.method.complete, noun, self._confidence(case, p, k), each))
            for p, s, (case, k), each in zip(bound, scores, wanted, noise, strict=True)
        ]
        return self.engine.drive(checks)

    def _confidence(self, case: Case, bound: BoundProblem, wanted: int) -> list[tuple[float, int, bool] | None]:
        """How sure the model is of each target that was wanted, where it chooses."""
        return [self.task.confidence(case, target) for target in bound.problem.targets[:wanted]]

    def cases(self, encodings: Sequence[Encoding]) -> tuple[list[Case], list[OutputCache]]:
        """What the model says of each input with everything present; with what the method asks first, from one forward."""
        cache = [OutputCache() for _ in encodings]
        reuses_forward = self.request.method.reuses_forward
        if reuses_forward and self._followed(encodings):
            rules = None if reuses_forward == "plain" else reuses_forward
            self.engine.gradients.retain(list(zip(encodings, cache, strict=True)), rules)
        first = [self._first(encoding) for encoding in encodings]
        outputs = self.engine.outputs(list(zip(encodings, cache, first, strict=True)))
        return [Case(self.model, e, output[0]) for e, output in zip(encodings, outputs, strict=True)], cache

    def _followed(self, encodings: Sequence[Encoding]) -> bool:
        """Can gradients follow the embeddings of these inputs?"""
        path = self.model.differentiable and self.request.encoding.absent not in NON_DIFFERENTIABLE
        return path and all(e.owner is not None and not e.drawn for e in encodings)

    def _first(self, encoding: Encoding) -> torch.Tensor:
        """bool [N, n]: everything present; and where outputs are small, both ends and all that the method asks first."""
        n = len(encoding.features)
        if not self.task.prefetch_rows or self.request.method.family != "coalition":
            return ends(n)[:1]
        asked = first_coalitions(self.request.method.function, encoding.features, self.request.options)
        return torch.cat([ends(n), asked])[: CHUNK // 2]

    def bind_targets(self, case: Case, wanted: Sequence[WantedTarget], cache: OutputCache) -> BoundProblem:
        """The problem of one input, once it is known what the model says of it."""
        targets = self.task.targets(case, wanted, self.request.against, self.request.unit)
        return self.bind(case, targets + self._all_labels(case), cache)

    def bind(self, case: Case, targets: tuple[Target, ...], cache: OutputCache) -> BoundProblem:
        """The problem of one input with these targets. What is seen from now on is cut down to what they need."""
        encoding = self.task.restrict_encoding(case, targets)
        narrow = replace(case, encoding=encoding)
        if targets and cache.keep is None and type(self.task).keep is not Task.keep:
            cache.hold(lambda output: self.task.keep(case, output, targets))
        known = encoding.additive
        additive = known is not None and all(known(target) for target in targets)
        problem = Problem(encoding.features, targets * (1 + encoding.drawn), self._path(encoding), additive)
        if encoding.drawn:
            return BoundProblem(
                problem, encoding, lambda outputs: _by_draw(self.task.drawn(narrow, outputs, targets)), cache
            )
        return BoundProblem(problem, encoding, lambda outputs: self.task.score(narrow, outputs, targets), cache)

    def _all_labels(self, case: Case) -> tuple[Target, ...]:
        """All labels, for a method that can tell what the model says without each feature."""
        labels = case.encoding.labels
        if not self.request.method.leaves_one_out or len(labels) < 2 or case.encoding.about:
            return ()
        return self.task.targets(case, every_output(labels), None, None)

    def _path(self, encoding: Encoding) -> EmbeddingPath | None:
        encoding_options = self.request.encoding
        if (
            not self.model.differentiable
            or encoding_options.absent in NON_DIFFERENTIABLE
            or encoding.owner is None
            or self.request.method.family in ("coalition", "attention")
        ):
            return None
        with torch.no_grad():
            present, absent = (
                torch.cat([self.model.embed(part) for part in (row if isinstance(row, tuple) else (row,))])
                for row in (encoding.whole, encoding.nothing)
            )
        if present.shape != absent.shape:  # positions that are left out have no baseline
            return None
        precision = str(getattr(self.model.module, "dtype", "float32")).removeprefix("torch.")
        return EmbeddingPath(present, absent, encoding.owner, len(encoding.features), precision)

    def _explanations(
        self,
        case: Case,
        bound: BoundProblem,
        scores: Scores,
        values: torch.Tensor,
        cost: Cost,
        trusts: Sequence[Trust | None],
    ) -> list[Explanation]:
        request, encoding, wanted = self.request, bound.encoding, len(trusts)
        predict_label = self.task.predict_label(case)
        picture = None if encoding.picture is None else encoding.picture()
        without = None
        if scores.without is not None and len(scores.without) > wanted:
            without = tuple(encoding.labels[int(i)] for i in scores.without[wanted:].argmax(0))
        return [
            Explanation(
                features=bound.problem.features,
                scores=scores.values[k].numpy(),
                target=bound.problem.targets[k],
                method=request.method.name,
                value=float(values[0, k]),
                base=float(values[1, k]),
                stderr=None if scores.stderr is None else scores.stderr[k].numpy(),
                texts=encoding.texts,
                options={**self._looked(), **request.method.options, **request.options},
                prediction=predict_label[0],
                probability=predict_label[1],
                without=without,
                notes=encoding.notes + scores.notes + self.model.remarks(tuple(bound.cache.outputs)),
                complete=request.method.complete,
                cost=cost,
                image=picture,
                trust=trusts[k],
                interactions=_interactions(scores.pairs, k),
            )
            for k in range(wanted)
        ]

    def _looked(self) -> dict[str, Any]:
        """Model, task and how the input was looked at, with what of the task is not as usual."""
        encoding_options = self.request.encoding
        settings: tuple[Field[Any], ...] = fields(self.task) if is_dataclass(self.task) else ()
        return {
            "model": self.model.name,
            "task": self.task.name,
            **{s.name: getattr(self.task, s.name) for s in settings if getattr(self.task, s.name) != s.default},
            "by": encoding_options.by,
            "absent": encoding_options.absent,
            "overlong": encoding_options.overlong,
            "embedding": encoding_options.embedding,
            **({} if encoding_options.background is None else {"background": encoding_options.background.recorded}),
        }


def predictions(
    engine: Engine, model: Model[Any], task: Task, window: Sequence[Any], options: EncodingOptions
) -> list[tuple[str | None, float | None]]:
    """What the model says of each input with everything present, and its probability or score."""
    encodings = [task.encode(model, task.complete_input(model, given), options) for given in window]
    outputs = engine.outputs([(e, OutputCache(), ends(len(e.features))[:1]) for e in encodings])
    return [task.predict_label(Case(model, e, output[0])) for e, output in zip(encodings, outputs, strict=True)]


def _interactions(pairs: PairScores | None, k: int) -> Interactions | None:
    """Of one target."""
    if pairs is None:
        return None
    scores = {index: found[k].numpy() for index, found in pairs.values.items()}
    if pairs.stderr is None:
        return Interactions(scores)
    return Interactions(scores, {index: found[k].numpy() for index, found in pairs.stderr.items()})


def sampling_noise(values: torch.Tensor, targets: Sequence[Target], samples: int) -> torch.Tensor:
    """[K]: how far two answers typically differ that are shares of so many samples, at the worse of both ends [2, K].

    By the binomial variance of a share p, p (1 - p) / m, and for logarithms by the delta method, (1 - p) / (p m).
    """
    shares = [v if t.unit == "prob" else v.exp() for v, t in zip(values.T, targets, strict=True)]
    p = torch.stack(shares).T.clamp(0.5 / (samples + 1), 1 - 0.5 / (samples + 1))
    linear = torch.tensor([t.unit == "prob" for t in targets])
    variance = torch.where(linear, p * (1 - p), (1 - p) / p) / samples
    return (2 * variance.amax(0)).sqrt()


def with_noise(scores: Scores, noise: torch.Tensor | None, samples: int | None = None) -> Scores:
    """The scores of a model that answers otherwise each time: `noise` [K] is how far two answers to the same texts differed.

    A score is a (weighted) difference of two answers, so its variance is twice that of one, which is half of noise squared.
    """
    if noise is None:
        return scores
    k = len(scores.values)
    before = torch.zeros_like(scores.values) if scores.stderr is None else scores.stderr
    note = (
        f"the model answers otherwise each time: asked twice, the same texts differed by up to {float(noise[:k].max()):.3g}; "
        "the standard errors have it in them"
    )
    if samples is not None:
        note = (
            f"the numbers are shares of {samples} random answers; the standard errors have their binomial error in them"
        )
    kept = tuple(each for each in scores.notes if each != EVERY_COALITION)
    return replace(scores, stderr=(before**2 + noise[:k, None] ** 2).sqrt(), notes=(*kept, note))


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
