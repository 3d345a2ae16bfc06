"""The line: given -> encoding -> problem -> method asks, engine answers -> scores -> explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, overload

import torch

from . import demo
from .engine import Engine, Posed, Seen
from .errors import InputError, MethodError, OptionError, unknown
from .explanation import Explanation, Explanations
from .features import Granularity
from .methods import METHODS, Method, checked_options, method_named
from .models import OVERLONG, Look, Model
from .models.load import adapt
from .progress import progress
from .tasks import TASKS, Task, WantedTarget
from .types import Asking, Encoding, Problem, Scores, Smooth, Target

WINDOW = 64  # how many texts are in flight at once; memory is bounded by it

MethodLike = str | Callable[..., Asking]


@dataclass(frozen=True, eq=False)
class Ask:
    """Everything that was asked of a call, checked before any input is read."""

    method: Method
    options: Mapping[str, Any]
    look: Look
    target: WantedTarget
    against: WantedTarget
    unit: str | None


class Explainer:
    """Says why a model predicted what it predicted.

    `model` is a hub id, a folder, `(model, tokenizer)`, a transformers pipeline, or any function from a list of strings to an
    array [B, K] (then with `labels`); None is the small sentiment model in the package. Your model, tokenizer and text stay
    as they were. `batch_tokens` bounds a batch (rows x longest); where memory runs out it is halved. `trust_remote_code` is
    passed to transformers, False by default.
    """

    def __init__(
        self,
        model: Any = None,
        tokenizer: Any = None,
        *,
        task: str = "text-classification",
        labels: Sequence[str] | None = None,
        device: str | None = None,
        mask_token: str | None = None,
        batch_tokens: int | None = None,
        trust_remote_code: bool = False,
    ):
        if task not in TASKS:
            raise unknown("task", task, TASKS)
        self.task: Task = TASKS[task]
        self.model: Model = adapt(
            demo.folder() if model is None else model,
            tokenizer,
            labels=labels,
            device=device,
            mask_token=mask_token,
            trust_remote_code=trust_remote_code,
        )
        if model is None:
            self.model.name = demo.NAME
        self.batch_tokens = batch_tokens

    @overload
    def __call__(self, given: list[Any], **asked: Any) -> Explanations: ...
    @overload
    def __call__(self, given: Any, **asked: Any) -> Explanation: ...
    def __call__(
        self,
        given: Any,
        *,
        method: MethodLike | None = None,
        target: WantedTarget = None,
        against: WantedTarget = None,
        unit: str | None = None,
        by: Granularity = "word",
        absent: str | None = None,
        overlong: str = "refuse",
        progress: bool | None = None,
        **options: Any,
    ) -> Explanation | Explanations:
        """The explanation of one input, or Explanations for a list of inputs, batched across them.

        `method`: a name in METHODS or a generator function; by default integrated_gradients, and kernel_shap where there are
        no gradients. `target`: a label by name or index; by default what the model predicts; with `against`, why the target
        rather than that label. `unit`: "logit" (default), "log-prob", "prob" or "log-odds". `by`: "word", "token", "sentence"
        or spans [(start, end), …]. `absent`: what takes a missing feature's place: "mask", "pad", "unk", "zero" or "drop".
        `overlong`: "refuse" (default) or "truncate". `options` go to the method. All inputs are checked before the first
        model call. Raises InputError, OptionError, MethodError, ModelError.
        """
        ask = self.ask(method, target, against, unit, by, absent, overlong, options)
        many = isinstance(given, list)
        inputs = list(given) if many else [given]
        for i, one in enumerate(inputs):
            self._check(one, ask, f"Input {i} of {len(inputs)}: " if many else "")
        found = tuple(each[0] for each in self._explained(inputs, ask, [target], len(inputs), progress))
        return Explanations(found) if many else found[0]

    def each_target(
        self,
        given: Any,
        targets: Sequence[WantedTarget] | None = None,
        *,
        method: MethodLike | None = None,
        unit: str | None = None,
        by: Granularity = "word",
        absent: str | None = None,
        overlong: str = "refuse",
        **options: Any,
    ) -> Explanations:
        """One explanation for each target of one input (default: every label), all from the same forwards."""
        wanted = list(range(len(self.model.labels))) if targets is None else list(targets)
        if not wanted:
            raise OptionError("`targets` is empty: name at least one label, or leave it out for all of them.")
        ask = self.ask(method, wanted[0], None, unit, by, absent, overlong, options)
        self._check(given, ask)
        return Explanations(tuple(next(self._explained([given], ask, wanted, 1, False))))

    def stream(
        self,
        inputs: Iterable[Any],
        *,
        method: MethodLike | None = None,
        target: WantedTarget = None,
        against: WantedTarget = None,
        unit: str | None = None,
        by: Granularity = "word",
        absent: str | None = None,
        overlong: str = "refuse",
        **options: Any,
    ) -> Iterator[Explanation]:
        """Explanations of any number of inputs, one after the other, in constant memory; stop whenever you like."""
        ask = self.ask(method, target, against, unit, by, absent, overlong, options)
        return (each[0] for each in self._explained(inputs, ask, [target], None, False))

    def predict(self, texts: Sequence[Any]) -> list[tuple[str, float]]:
        """The label and its probability (or score) for each input, as the model itself gives them."""
        encodings = [self.task.encode(self.model, text, Look(absent=self.model.absences[0])) for text in texts]
        outputs = Engine(self.model, self.batch_tokens).outputs(
            [(e, Seen(), _ends(len(e.features))[:1]) for e in encodings]
        )
        return [self.task.says(self.model, output[0]) for output in outputs]

    def ask(
        self,
        method: MethodLike | None,
        target: WantedTarget,
        against: WantedTarget,
        unit: str | None,
        by: Granularity,
        absent: str | None,
        overlong: str,
        options: Mapping[str, Any],
    ) -> Ask:
        """Everything asked for, checked; unknown names are refused with the nearest match, before any input is read."""
        if method is None:
            method = "integrated_gradients" if self.model.differentiable and absent != "drop" else "kernel_shap"
        row = method_named(method)
        checked_options(row, options)
        if absent is not None and absent not in self.model.absences:
            raise unknown(f"`absent` for {self.model.name}", absent, self.model.absences)
        absent = absent or next(
            (a for a in self.model.absences if a != "drop" or not row.gradients), self.model.absences[0]
        )
        if overlong not in OVERLONG:
            raise unknown("value of `overlong`", overlong, OVERLONG)
        if row.gradients and (not self.model.differentiable or absent == "drop"):
            reason = (
                "this model gives no gradients" if not self.model.differentiable else "absent='drop' takes tokens out"
            )
            coalition = ", ".join(name for name, m in METHODS.items() if m.family == "coalition")
            raise MethodError(f"{row.name} follows gradients, and {reason}. Use one of: {coalition}.")
        named, held = ([target], against) if target is not None else ([against], None)
        nothing = torch.zeros(len(self.model.labels))
        self.task.targets(self.model, nothing, named, held, unit)  # refuses unknown labels and units now
        return Ask(row, dict(options), Look(by, absent, overlong), target, against, unit)

    def _check(self, given: Any, ask: Ask, where: str = "") -> None:
        """Refuses what cannot be explained, before any model call."""
        try:
            encoding = self.task.encode(self.model, given, ask.look)
            if ask.method.family == "coalition":
                dry = ask.method.function(Problem(encoding.features, (Target("", (0,)),)), **ask.options)
                next(dry)
                dry.close()
        except (InputError, OptionError, MethodError) as error:
            raise type(error)(where + str(error)) from None

    def _explained(
        self, inputs: Iterable[Any], ask: Ask, wanted: Sequence[WantedTarget], total: int | None, shown: bool | None
    ) -> Iterator[list[Explanation]]:
        source = iter(inputs)
        with progress(total, shown) as tick:
            engine = Engine(self.model, self.batch_tokens, lambda rows: tick(0, rows))
            while window := list(islice(source, WINDOW)):
                yield from self._window(window, ask, wanted, engine)
                tick(len(window), 0)

    def _window(
        self, window: Sequence[Any], ask: Ask, wanted: Sequence[WantedTarget], engine: Engine
    ) -> Iterator[list[Explanation]]:
        """The line, for the inputs of one window together."""
        encodings = [self.task.encode(self.model, given, ask.look) for given in window]
        seen = [Seen() for _ in encodings]
        present = [_ends(len(e.features))[:1] for e in encodings]
        outputs = engine.outputs(list(zip(encodings, seen, present, strict=True)))
        posed = []
        for encoding, saw, output in zip(encodings, seen, outputs, strict=True):
            targets = self.task.targets(self.model, output[0], wanted, ask.against, ask.unit)
            posed.append(self._posed(encoding, targets + self._watched(ask, output[0]), ask, saw))
        scores = engine.run([(p, ask.method.function(p.problem, **ask.options)) for p in posed])
        ends = engine.values([(p, _ends(p.problem.n)) for p in posed])
        for p, output, scored, values in zip(posed, outputs, scores, ends, strict=True):
            says = self.task.says(self.model, output[0])
            yield [self._explanation(k, p, ask, scored, values, says, len(wanted)) for k in range(len(wanted))]

    def _watched(self, ask: Ask, output: torch.Tensor) -> tuple[Target, ...]:
        """All labels, for a method that can tell what the model says without each feature."""
        if not ask.method.leaves_one_out or len(self.model.labels) < 2:
            return ()
        return self.task.targets(self.model, output, range(len(self.model.labels)), None, None)

    def _posed(self, encoding: Encoding, targets: tuple[Target, ...], ask: Ask, seen: Seen) -> Posed:
        smooth = None
        if (
            self.model.differentiable
            and ask.look.absent != "drop"
            and encoding.owner is not None
            and ask.method.family != "coalition"
        ):
            rows = encoding.at(_ends(len(encoding.features)).numpy())
            with self.model.still(), torch.no_grad():
                point, origin = (self.model.embed(row) for row in rows)
            smooth = Smooth(point, origin, encoding.owner, len(encoding.features))
        problem = Problem(encoding.features, targets, smooth)
        return Posed(problem, encoding, lambda outputs: self.task.score(self.model, outputs, targets), seen)

    def _explanation(
        self, k: int, posed: Posed, ask: Ask, scores: Scores, ends: torch.Tensor, says: tuple[str, float], wanted: int
    ) -> Explanation:
        without = None
        if scores.without is not None and len(posed.problem.targets) > wanted:
            without = tuple(self.model.labels[int(i)] for i in scores.without[wanted:].argmax(0))
        look = {"model": self.model.name, "by": ask.look.by, "absent": ask.look.absent, "overlong": ask.look.overlong}
        return Explanation(
            features=posed.problem.features,
            scores=scores.values[k].numpy(),
            target=posed.problem.targets[k],
            method=ask.method.name,
            value=float(ends[0, k]),
            base=float(ends[1, k]),
            stderr=None if scores.stderr is None else scores.stderr[k].numpy(),
            texts=posed.encoding.texts,
            options={**look, **ask.method.options, **ask.options},
            prediction=says[0],
            probability=says[1],
            without=without,
            notes=posed.encoding.notes + scores.notes,
            complete=ask.method.complete,
            cost=posed.seen.cost,
        )


def _ends(n: int) -> torch.Tensor:
    """bool [2, n]: everything present, everything absent."""
    return torch.tensor([[True] * n, [False] * n])
