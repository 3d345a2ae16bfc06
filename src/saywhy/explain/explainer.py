"""Explainer: what a caller holds. It checks what is asked for, and sends inputs down the line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, overload

from ..core.errors import InputError, OptionError, unknown
from ..core.explanation import Explanation, Explanations
from ..core.features import Granularity
from ..core.progress import progress as shown_progress
from ..engine.cache import Seen
from ..engine.engine import Engine
from ..models import demo
from ..models.load import adapt, head_of, taken_apart
from ..models.protocol import OVERLONG, Look, Model
from ..tasks import task_for
from ..tasks.protocol import Case, Task, WantedTarget
from ..tasks.zero_shot_classification import ZeroShotClassification
from .pipeline import WINDOW, Ask, Line, MethodLike, ends
from .request import asked, check, kind
from .trust import checked


class Explainer:
    """Says why a model predicted what it predicted.

    `model` is a hub id, a folder, `(model, tokenizer)`, `(model, image_processor)`, a transformers pipeline, a saywhy
    classifier, or any function from a list of strings to an array [B, K] (then with `labels`); None is the small sentiment
    model in the package. Your model, tokenizer and text stay as they were. `task` is a name in TASKS or a task with its own
    settings; by default the pipeline or the model's class tells it. `labels` name a model's outputs, or for zero-shot
    classification what to choose from. `batch_tokens` bounds a batch (rows x longest); where memory runs out it is halved.
    `trust_remote_code` is passed to transformers, False by default.
    """

    def __init__(
        self,
        model: Any = None,
        tokenizer: Any = None,
        *,
        task: str | Task | None = None,
        labels: Sequence[str] | None = None,
        device: str | None = None,
        mask_token: str | None = None,
        batch_tokens: int | None = None,
        trust_remote_code: bool = False,
    ):
        given = taken_apart(demo.folder() if model is None else model, tokenizer, trust_remote_code)
        self.task: Task = task_for(task, given.task, head_of(given.architecture), given.architecture)
        if labels is not None and isinstance(self.task, ZeroShotClassification):
            self.task, labels = replace(self.task, labels=tuple(labels)), None
        self.model: Model = adapt(
            given,
            self.task.head,
            labels=labels,
            device=device,
            mask_token=mask_token,
            trust_remote_code=trust_remote_code,
        )
        if model is None:
            self.model.name = demo.NAME
        self.batch_tokens = batch_tokens

    def __repr__(self) -> str:
        return f"<Explainer of {self.model.name} for {self.task.name}>"

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
        by: Granularity | None = None,
        absent: str | None = None,
        overlong: str = "refuse",
        embedding: str = "word",
        trust: str = "quick",
        progress: bool | None = None,
        **options: Any,
    ) -> Explanation | Explanations:
        """The explanation of one input, or Explanations for a list of inputs, batched across them.

        `method`: a name in METHODS or a generator function; by default integrated_gradients, and kernel_shap where there are
        no gradients. `target`: a label by name or index, or what else the task can explain; by default what the model
        predicts; with `against`, why the target rather than that. `unit`: "logit" (default), "log-prob", "prob" or
        "log-odds". `by`: "word", "token", "sentence", "line", "paragraph", "focus" (sentences, then the words of those that
        matter) or spans [(start, end), …]; for a chat "message"; for an image "patch", "pixel", "channel" or (rows, columns).
        `absent`: what takes a missing feature's place: "mask", "pad", "unk", "zero", "hide" (from attention) or "drop"; in an
        image "mean", "black", "white" or "blur".
        `overlong`: "refuse" (default), "truncate" or "window". `embedding`: "word", or for gradients "position" or
        "token_type" where the model has them. `trust`: "quick" (8 evaluations more), "full" (some 300) or "none", how each
        explanation is checked against removal. `options` go to the method. All inputs are checked before the first model
        call. Raises InputError, OptionError, MethodError, ModelError.
        """
        many = isinstance(given, list)
        inputs = [self.task.joined(each, [target], against) for each in (given if many else [given])]
        look = Look(self.task.grain if by is None else by, absent or "", overlong, embedding)
        ask = replace(self.ask(method, look, target, against, unit, options, **kind(inputs)), trust=checked(trust))
        self.check(inputs, ask, many)
        found = tuple(each[0] for each in self._explained(inputs, ask, [target], len(inputs), progress))
        return Explanations(found) if many else found[0]

    @overload
    def each_target(self, given: list[Any], *args: Any, **asked: Any) -> list[Explanations]: ...
    @overload
    def each_target(self, given: Any, *args: Any, **asked: Any) -> Explanations: ...
    def each_target(
        self,
        given: Any,
        targets: Sequence[WantedTarget] | None = None,
        *,
        method: MethodLike | None = None,
        unit: str | None = None,
        by: Granularity | None = None,
        absent: str | None = None,
        overlong: str = "refuse",
        embedding: str = "word",
        trust: str = "quick",
        progress: bool | None = None,
        **options: Any,
    ) -> Explanations | list[Explanations]:
        """One explanation for each target of an input, all from the same forwards; for a list of inputs, a list of those.

        By default every label; both ends of an answer; every token with a label that is not ignored; the likeliest words of
        every gap. The other arguments are those of calling the explainer.
        """
        if targets is not None and not targets:
            raise OptionError("`targets` is empty: name at least one, or leave it out for all of them.")
        many = isinstance(given, list)
        inputs = [self.task.joined(each, targets, None) for each in (given if many else [given])]
        look = Look(self.task.grain if by is None else by, absent or "", overlong, embedding)
        first = None if targets is None else targets[0]
        ask = replace(self.ask(method, look, first, None, unit, options, **kind(inputs)), trust=checked(trust))
        self.check(inputs, ask, many)
        wanted = None if targets is None else list(targets)
        found = [Explanations(tuple(e)) for e in self._explained(inputs, ask, wanted, len(inputs), progress)]
        return found if many else found[0]

    def stream(
        self,
        inputs: Iterable[Any],
        *,
        method: MethodLike | None = None,
        target: WantedTarget = None,
        against: WantedTarget = None,
        unit: str | None = None,
        by: Granularity | None = None,
        absent: str | None = None,
        overlong: str = "refuse",
        embedding: str = "word",
        trust: str = "none",
        **options: Any,
    ) -> Iterator[Explanation]:
        """Explanations of any number of inputs, one after the other, in constant memory; stop whenever you like.

        They are not checked against removal unless `trust` says so.
        """
        look = Look(self.task.grain if by is None else by, absent or "", overlong, embedding)
        ask = replace(self.ask(method, look, target, against, unit, options), trust=checked(trust))
        given = (self.task.joined(each, [target], against) for each in inputs)
        return (each[0] for each in self._explained(given, ask, [target], None, False))

    def predict(self, inputs: Sequence[Any], *, overlong: str = "refuse") -> list[tuple[str | None, float | None]]:
        """What the model says of each input, and its probability (or score), as the model itself gives them."""
        if isinstance(inputs, str):
            raise InputError(f"`predict` takes a list of inputs; for one text write predict([{inputs!r:.40}]).")
        if overlong not in OVERLONG:
            raise unknown("value of `overlong`", overlong, OVERLONG)
        look = Look(self.task.grain, self.model.absences[0], overlong)
        engine, out = Engine(self.model, self.batch_tokens), []
        for start in range(0, len(inputs), WINDOW):
            window = [self.task.finished(self.model, given) for given in inputs[start : start + WINDOW]]
            encodings = [self.task.encode(self.model, given, look) for given in window]
            outputs = engine.outputs([(e, Seen(), ends(len(e.features))[:1]) for e in encodings])
            cases = [Case(self.model, e, output[0]) for e, output in zip(encodings, outputs, strict=True)]
            out += [self.task.says(case) for case in cases]
        return out

    def ask(
        self,
        method: MethodLike | None,
        look: Look,
        target: WantedTarget,
        against: WantedTarget,
        unit: str | None,
        options: Mapping[str, Any],
        slotted: bool = False,
        smooth: bool = True,
    ) -> Ask:
        """Everything asked for, checked; unknown names are refused with the nearest match, before any input is read.

        `slotted`: the inputs are templates, whose slots have baselines of their own; `smooth`: gradients can follow them.
        """
        return asked(self.model, self.task, method, look, (target, against, unit), options, slotted, smooth)

    def line(self, ask: Ask, tick: Callable[[int], None] | None = None) -> Line:
        """What inputs go down, window after window, to be asked this; `tick` hears how many rows are done."""
        return Line(self.model, self.task, ask, Engine(self.model, self.batch_tokens, tick))

    def check(self, inputs: Sequence[Any], ask: Ask, many: bool) -> None:
        """Refuses what cannot be explained, before any model call."""
        check(self.model, self.task, inputs, ask, many)

    def _explained(
        self,
        inputs: Iterable[Any],
        ask: Ask,
        wanted: Sequence[WantedTarget] | None,
        total: int | None,
        shown: bool | None,
    ) -> Iterator[list[Explanation]]:
        source = iter(inputs)
        with shown_progress(total, shown) as tick:
            line = self.line(ask, lambda rows: tick(0, rows))
            size = WINDOW if total is None else line.window  # of a stream the first answers do not wait for many
            while window := list(islice(source, size)):
                yield from line.explain(window, wanted)
                tick(len(window), 0)
                size = min(2 * size, line.window)
