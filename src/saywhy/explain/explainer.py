"""Explainer: what a caller holds. It takes a request and sends inputs through a pipeline."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass, replace
from itertools import islice
from typing import Any, overload

import torch

from ..core.checks import one_of, several, text_or_none, whole_number, yes_or_no
from ..core.display import one_line
from ..core.errors import InputError, OptionError
from ..core.explanation import Explanation, Explanations
from ..core.frames import several_inputs
from ..core.progress import Tick
from ..core.progress import progress as shown_progress
from ..core.types import Encoding
from ..engine.engine import Engine
from ..models import demo
from ..models.labels import label_names
from ..models.load import adapt, head_of, inspect_source, is_transformers_class
from ..models.pipelines import SAMPLE, refuse_other_answers
from ..models.protocol import OVERLONG, EncodingOptions, Model
from ..models.table import TableModel
from ..tasks import names_task, task_for
from ..tasks.protocol import Task, WantedTarget
from ..tasks.zero_shot_classification import ZeroShotClassification
from .estimate import estimate
from .pipeline import WINDOW, Pipeline, predictions
from .request import Request, check, request_for, takes_settings, wanted


class Explainer:
    """Says why a model predicted what it predicted. Your model, tokenizer and text stay as they were.

    Parameters
    ----------
    model
        A Hugging Face id, a folder, ``(model, tokenizer)``, ``(model, image_processor)``, a transformers pipeline, a served
        language model (its address, "http://…/v1", or a `saywhy.Server`), a GGUF file, a saywhy classifier, an estimator that was
        fitted on texts or on the columns of a data frame (`predict_proba`, `decision_function` or `predict`, as of
        scikit-learn, XGBoost, LightGBM, SetFit) or a .skops or .onnx file of one, a pipeline of spaCy with a `textcat`, a
        `TextClassifier` of Flair, or any function from a list of strings to an array [B, K] (then with `labels`). None, the
        default, is the small sentiment model in the package.
    tokenizer
        The tokenizer or image processor, where it is not part of `model`.
    task
        A name of `saywhy tasks`, or a task with its own settings; by default the pipeline or the model's class tells it.
    labels
        The names of the model's outputs, in their order; for zero-shot classification, what to choose from.
    device
        Where a model loaded by name goes: "cpu", "cuda", "mps", …; by default the fastest there is.
    mask_token
        For a function: the text that stands in for an absent word; by default the word is left out.
    output
        What a function, an estimator or a module gives: "probability" (then there are log-prob and log-odds), "logit",
        "decision" or "score". By default scores, the first that it has of these, and logits, or probabilities if they add up.
    background
        For rows of a table, what stands in for an absent column: a data frame or a list of rows, over which the answers are
        averaged; ("mean", rows), the mean of numbers and the most frequent of other values; or a mapping of column to value.
        By default the mean of the rows of the call. A function with a background is a function of data frames.
    batch_tokens
        The most a batch may hold, rows x longest row in positions; where memory runs out it is halved.
    trust_remote_code
        Passed to transformers: whether a model's folder may run its own code.

    Raises
    ------
    OptionError
        For a model, a task or a setting of a kind that cannot be explained.
    ModelError
        For a model that cannot be loaded.
    """

    def __init__(
        self,
        model: object = None,
        tokenizer: object = None,
        *,
        task: str | Task | None = None,
        labels: Sequence[str] | None = None,
        device: str | None = None,
        mask_token: str | None = None,
        output: str | None = None,
        background: object = None,
        batch_tokens: int | None = None,
        trust_remote_code: bool = False,
    ):
        trust_remote_code = yes_or_no("trust_remote_code", trust_remote_code)
        self.batch_tokens = None if batch_tokens is None else whole_number("batch_tokens", batch_tokens, least=1)
        given = inspect_source(demo.folder() if model is None else model, tokenizer, trust_remote_code)
        named = given.architecture if task is None or is_transformers_class(given.model) else None
        self.task: Task = task_for(task, given.task, head_of(named), named)
        own = given.settings if task is None or names_task(task, given.task) else None
        if own is not None and is_dataclass(self.task):
            self.task = replace(self.task, **own.task)
        if labels is not None and isinstance(self.task, ZeroShotClassification):
            self.task, labels = replace(self.task, labels=label_names(labels)), None
        self.model: Model[Any] = adapt(
            given,
            self.task.head,
            labels=labels,
            device=device,
            mask_token=text_or_none("mask_token", mask_token, "[MASK]"),
            trust_remote_code=trust_remote_code,
            output=output,
            background=background,
        )
        if model is None:
            self.model.name = demo.NAME
        if own is not None and own.sample is not None and labels is None:
            exact = all(p.dtype == torch.float32 for p in getattr(self.model.module, "parameters", tuple)())
            with suppress(InputError):  # where the sample is too long for the model, there is nothing to compare
                refuse_other_answers(own, self.predict([SAMPLE])[0], exact)

    def __repr__(self) -> str:
        return f"<Explainer of {one_line(self.model.name)} for {self.task.name}>"

    @overload
    def __call__(self, given: list[Any], *, progress: bool | None = None, **settings: object) -> Explanations: ...
    @overload
    def __call__(self, given: Any, *, progress: bool | None = None, **settings: object) -> Explanation: ...
    @takes_settings
    def __call__(
        self, given: object, *, progress: bool | None = None, **settings: object
    ) -> Explanation | Explanations:
        """The explanation of one input, or Explanations for a list of inputs, batched across them.

        All inputs are checked before the first model call.

        Parameters
        ----------
        given
            A text; a pair or a mapping of texts, a prompt, a template, a chat, an image, a row of a table, as the task has it;
            or several: a list, a Series of pandas or polars, an array of strings, an Arrow array, the rows of a data frame or
            of an Arrow table, a generator.
        progress
            Whether a progress line is shown; by default for long work on a terminal.
        method
            A name of `saywhy methods`, or a generator function; by default integrated_gradients, and kernel_shap where there are
            no gradients.
        target
            What is explained: a label by its name or index, or what else the task can explain (a token, an answer, a
            continuation); by default what the model predicts.
        against
            A contrastive explanation: why the target rather than this.
        unit
            "logit" (default), "log-prob", "prob" or "log-odds".
        by
            The features: "word", "token", "sentence", "line", "paragraph", "focus" (sentences, then the words of those that
            matter), or spans [(start, end), …]; for a chat "message"; for an image "patch", "pixel", "channel" or a grid
            (rows, columns); for a row how each column is cut, {"review": "word", "age": "column"}.
        absent
            The baseline value, what takes an absent feature's place: "mask", "pad", "unk", "zero", "hide" (from attention) or
            "drop" (left out); in an image "mean", "black", "white" or "blur".
        overlong
            What becomes of a text longer than the model reads: "refuse" (default; of a pipeline, what it does itself),
            "truncate", or "window" (a sliding window).
        embedding
            The embeddings that gradients follow: "word" (default), or "position" or "token_type" where the model has them.
        trust
            How the explanation is checked against removal: "quick" (8 evaluations more), "full" (some 300) or "none".
        background
            For rows of a table, what stands in for an absent column, as for the Explainer, whose own it takes the place of.
        **options
            Options of the method, for example ``steps=50``.

        Returns
        -------
        Explanation or Explanations
            Raw, signed scores [n] in the target's unit, with value, base (the prediction at the baseline) and the completeness
            gap.

        Raises
        ------
        InputError, OptionError, MethodError
            Before the first model call, for what cannot be explained, with what is allowed.
        ModelError
            Where the model fails, or answers something that is not a number.
        """
        several = self.inputs_of(given)
        many, settings = several is not None, self.with_background(settings, several, given)
        target, against = wanted("target", settings.get("target")), wanted("against", settings.get("against"))
        inputs = [self.task.with_targets(each, [target], against) for each in ([given] if several is None else several)]
        request = self.request(inputs, **settings)
        encodings = self.check(inputs, request, many)
        expected = self._afford(request, encodings, progress)
        targets = [request.target]
        explained = self._explained(inputs, request, targets, len(inputs), progress, encodings, expected)
        found = tuple(each[0] for each in explained)
        return Explanations(found) if many else found[0]

    @overload
    def each_target(
        self,
        given: list[Any],
        targets: Sequence[WantedTarget] | None = None,
        *,
        progress: bool | None = None,
        **settings: object,
    ) -> list[Explanations]: ...
    @overload
    def each_target(
        self,
        given: Any,
        targets: Sequence[WantedTarget] | None = None,
        *,
        progress: bool | None = None,
        **settings: object,
    ) -> Explanations: ...
    @takes_settings
    def each_target(
        self,
        given: object,
        targets: Sequence[WantedTarget] | None = None,
        *,
        progress: bool | None = None,
        **settings: object,
    ) -> Explanations | list[Explanations]:
        """One explanation for each target of an input (all labels, say), from the same forwards; for a list, a list of those.

        Parameters
        ----------
        given
            An input, or a list of inputs.
        targets
            What is explained. By default every label; both ends of an answer; every token with a label that is not ignored; the
            likeliest words of every gap.
        progress, **settings
            As in calling the explainer, but `target` and `against`.

        Returns
        -------
        Explanations or list of Explanations

        Raises
        ------
        InputError, OptionError, MethodError, ModelError
            As in calling the explainer.
        """
        of = "targets (for one target call the explainer)"
        chosen = None if targets is None else [wanted("targets", each) for each in several("targets", targets, of)]
        if chosen is not None and not chosen:
            raise OptionError("`targets` is empty: name at least one, or leave it out for all of them.")
        if taken := [name for name in ("target", "against") if name in settings]:
            raise OptionError(f"`each_target` has no {taken[0]!r}: name the targets as a list, in `targets`.")
        rows = self.inputs_of(given)
        many, settings = rows is not None, self.with_background(settings, rows, given)
        inputs = [self.task.with_targets(each, chosen, None) for each in ([given] if rows is None else rows)]
        request = self.request(inputs, **settings, target=None if chosen is None else chosen[0])
        encodings = self.check(inputs, request, many)
        expected = self._afford(request, encodings, progress)
        explained = self._explained(inputs, request, chosen, len(inputs), progress, encodings, expected)
        found = [Explanations(tuple(each)) for each in explained]
        return found if many else found[0]

    @takes_settings
    def stream(self, inputs: Iterable[Any], *, trust: str = "none", **settings: object) -> Iterator[Explanation]:
        """Explanations of any number of inputs, one after the other, in constant memory; stop whenever you like.

        Parameters
        ----------
        inputs
            Any iterable of inputs, also an endless one.
        trust
            As in calling the explainer, but "none" by default: the explanations are not checked against removal.
        **settings
            As in calling the explainer.

        Returns
        -------
        Iterator of Explanation

        Raises
        ------
        InputError, OptionError, MethodError, ModelError
            As in calling the explainer; an input's own when its turn comes.
        """
        _several("stream", inputs)
        rows_or_values = None if isinstance(inputs, Iterator) else self.inputs_of(inputs)
        if rows_or_values is not None:
            settings, inputs = self.with_background(settings, rows_or_values, inputs), rows_or_values
        request = self.request(**settings, trust=trust)
        given = (self.task.with_targets(each, [request.target], request.against) for each in inputs)
        return (each[0] for each in self._explained(given, request, [request.target], None, False))

    def predict(self, inputs: Sequence[Any], *, overlong: str | None = None) -> list[tuple[str | None, float | None]]:
        """What the model says of each input, and its probability (or score), as the model itself gives them.

        Parameters
        ----------
        inputs
            A list of inputs.
        overlong
            As in calling the explainer.

        Returns
        -------
        list of (label or answer, probability)

        Raises
        ------
        InputError, OptionError, ModelError
        """
        _several("predict", inputs)
        known = self.inputs_of(inputs)
        what = self.model.overlong if overlong is None else one_of("value of `overlong`", overlong, OVERLONG)
        typed = self.model.typed(None, inputs) if isinstance(self.model, TableModel) else None
        encoding_options = EncodingOptions(self.task.default_granularity, self.model.absences[0], what, "word", typed)
        engine, out = Engine(self.model, self.batch_tokens), []
        source = iter(inputs if known is None else known)
        while window := list(islice(source, WINDOW)):
            out += predictions(engine, self.model, self.task, window, encoding_options)
        return out

    def widget(self, text: str | None = None) -> object:
        """The page of `saywhy serve` over this explainer, as a widget in a notebook: change the text, switch words off, and see.

        Parameters
        ----------
        text
            What is explained first.

        Returns
        -------
        anywidget.AnyWidget
            It shows itself in Jupyter, VS Code and Colab; what it asks is answered by this process.

        Raises
        ------
        MissingError
            Without anywidget.
        """
        from ..serve.widget import widget

        return widget(self, text_or_none("text", text, "a good film"))

    # ---- what the applications build on ------------------------------------------------------------------------------

    def inputs_of(self, given: object) -> list[Any] | None:
        """The inputs that were given together; None where it is one input."""
        return several_inputs(given, self.model.row_columns)

    def with_background(
        self, settings: Mapping[str, object], inputs: Sequence[Any] | None, given: object
    ) -> dict[str, Any]:
        """These settings of a call; of rows for which nothing stands in, with the mean of these rows as `background`.

        Raises OptionError where that is one row only. `given` is what the caller gave, whose column types are kept.
        """
        model = self.model
        if not isinstance(model, TableModel):
            return dict(settings)
        if model.background is not None or settings.get("background") is not None:
            return {**settings, "background": model.typed(settings.get("background"), given)}
        return {**settings, "background": model.typical([given] if inputs is None else inputs, given)}

    def request(self, inputs: Sequence[Any] = (), /, **settings: Any) -> Request:
        """The request that these settings make, checked; see `request_for`."""
        return request_for(self.model, self.task, inputs, **settings)

    def check(self, inputs: Sequence[Any], request: Request, many: bool = True) -> list[Encoding]:
        """The encodings of the inputs. Refuses what cannot be explained, before any model call."""
        return check(self.model, self.task, inputs, request, many)

    def _afford(self, request: Request, encodings: Sequence[Encoding], progress: bool | None) -> int | None:
        """Tells a model whose answers cost something what a call will take, before its first row; how many requests."""
        if not self.model.costly:
            return None
        shown = sys.stderr.isatty() if progress is None else yes_or_no("progress", progress)
        told = estimate(self.model, request, encodings)
        self.model.afford(told, shown)
        return told.requests

    def pipeline(self, request: Request, tick: Tick = None) -> Pipeline:
        """What inputs go through under this request, window after window; `tick`: how many more (inputs, rows) are done."""
        return Pipeline(self.model, self.task, request, Engine(self.model, self.batch_tokens, tick))

    def _explained(
        self,
        inputs: Iterable[Any],
        request: Request,
        targets: Sequence[WantedTarget] | None,
        total: int | None,
        shown: bool | None,
        encodings: Sequence[Encoding] = (),
        expected: int | None = None,
    ) -> Iterator[list[Explanation]]:
        source, encoded = iter(inputs), iter(encodings)
        with shown_progress(total, shown, expected) as tick:
            pipeline = self.pipeline(request, tick)
            size = WINDOW if total is None else pipeline.window  # of a stream the first answers do not wait for many
            while window := list(islice(source, size)):
                yield from pipeline.explain(window, targets, list(islice(encoded, size)))
                if tick is not None:
                    tick(len(window), 0)
                size = min(2 * size, pipeline.window)


def _several(name: str, inputs: object) -> None:
    """Refuses one text, or one mapping, where several inputs are taken."""
    if isinstance(inputs, str):
        raise InputError(f"`{name}` takes a list of inputs; for one text write {name}([{inputs[:40]!r}]).")
    if any(
        hasattr(inputs, name) for name in ("collect_schema", "columns", "to_pylist", "to_list")
    ):  # a frame, a column
        return
    if isinstance(inputs, dict | bytes) or not isinstance(inputs, Iterable) or getattr(inputs, "shape", None) == ():
        raise InputError(
            f"`{name}` takes a list of inputs, not {type(inputs).__name__}; for one input write {name}([…])."
        )
