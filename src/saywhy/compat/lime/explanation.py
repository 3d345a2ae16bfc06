"""What an explainer returns: weights for each label as a list, a map, a figure and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import InputError, missing
from ...core.explanation import Explanation as OwnExplanation
from ...render import theme
from ...storage.atomic import write
from .exceptions import LimeError
from .indexed import Indexed
from .page import Shown, fragment, page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Weights = list[tuple[int, float]]


class DomainMapper:
    """Turns feature indexes into what a reader knows them by."""

    def map_exp_ids(self, exp: Weights, **kwargs: Any) -> list[tuple[Any, float]]:
        """[(index, weight), …] as [(name, weight), …]; here unchanged."""
        return list(exp)


class TextDomainMapper(DomainMapper):
    """Feature indexes as words of a text."""

    def __init__(self, indexed_string: Indexed):
        self.indexed_string = indexed_string

    def map_exp_ids(self, exp: Weights, positions: bool = False, **kwargs: Any) -> list[tuple[str, float]]:
        """[(word, weight), …]; with `positions` "word_3-17", where in the text it begins."""
        text = self.indexed_string
        if not positions:
            return [(text.word(i), weight) for i, weight in exp]
        return [(f"{text.word(i)}_{'-'.join(map(str, text.string_position(i)))}", weight) for i, weight in exp]


class Explanation:
    """The weights of a text's words for some labels.

    By label: `local_exp`, `intercept`, `scores` (the weighted R² of the fit) and `local_preds` (what it says of the text, [1]).
    `score` and `local_pred` are those of the label that was fitted last, as in lime 0.2: the likeliest, with `top_labels`.
    `predict_proba` [classes] is what the classifier says of the text. `explanation` is saywhy's own.
    """

    def __init__(
        self,
        domain_mapper: DomainMapper,
        mode: str = "classification",
        class_names: Sequence[str] | None = None,
        random_state: object = None,
    ):
        if mode not in ("classification", "regression"):
            raise LimeError(f'Invalid explanation mode "{mode}". Should be either "classification" or "regression".')
        self.domain_mapper, self.mode, self.random_state = domain_mapper, mode, random_state
        self.local_exp: dict[int, Weights] = {}
        self.intercept: dict[int, float] = {}
        self.scores: dict[int, float] = {}
        self.local_preds: dict[int, NDArray[np.float64]] = {}
        self.score: float | None = None
        self.local_pred: NDArray[np.float64] | None = None
        self.class_names = class_names if mode == "classification" else ["negative", "positive"]
        self.top_labels: list[int] | None = None
        self.predict_proba: NDArray[np.float64] | None = None
        self.predicted_value: float | None = None
        self.min_value, self.max_value, self.dummy_label = 0.0, 1.0, 1
        self.classifier_fn: Callable[[list[str]], Any] | None = None
        self._own: OwnExplanation | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the classifier, which may be of any size: an explanation goes to other processes alone."""
        return {**self.__dict__, "classifier_fn": None}

    def available_labels(self) -> list[int]:
        """The labels that have weights, the likeliest first where `top_labels` were asked for."""
        if self.mode != "classification":
            raise NotImplementedError("Not supported for regression explanations.")
        return list(self.top_labels or self.local_exp)

    def as_map(self) -> dict[int, Weights]:
        """{label: [(index, weight), …]}, the heaviest first."""
        return self.local_exp

    def as_list(self, label: int = 1, **kwargs: object) -> list[tuple[Any, float]]:
        """[(word, weight), …] of a label, the heaviest first; `positions=True` adds where the words begin."""
        named = self.domain_mapper.map_exp_ids(self._weights(label), **kwargs)
        return [(name, float(weight)) for name, weight in named]

    def _weights(self, label: int) -> Weights:
        label = label if self.mode == "classification" else self.dummy_label
        if label not in self.local_exp:
            raise KeyError(f"No weights of label {label!r}: explained were {list(self.local_exp)}; ask with labels=….")
        return self.local_exp[label]

    def _name(self, label: int) -> str:
        return str(self.class_names[label]) if self.class_names is not None else str(label)

    @property
    def explanation(self) -> OwnExplanation:
        """saywhy's own explanation of the first label, over the same words: Shapley values, exact where few words are.

        Asks the classifier again, once. InputError where the classifier is not at hand (an explanation that was pickled).
        """
        if self._own is None:
            text = getattr(self.domain_mapper, "indexed_string", None)
            if self.classifier_fn is None or self.predict_proba is None or not isinstance(text, Indexed):
                raise InputError("The classifier is not at hand here: set `classifier_fn` on this explanation first.")
            from ...explain.explainer import Explainer
            from ...tasks.protocol import OutputIndex

            labels = [f"{self._name(i)}" for i in range(len(self.predict_proba))]
            names = labels if len(set(labels)) == len(labels) else [str(i) for i in range(len(labels))]
            explainer = Explainer(self.classifier_fn, labels=names)
            spans = [text.spans(i) for i in range(text.num_words())]
            self._own = explainer(text.raw_string(), target=OutputIndex(self.available_labels()[0]), by=spans)
        return self._own

    # ---- drawn -----------------------------------------------------------------------------------------------------

    def as_pyplot_figure(self, label: int = 1, figsize: tuple[float, float] = (4, 4), **kwargs: object) -> Figure:
        """Bars, one a word, the heaviest on top: blue speaks for the label, orange against it."""
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise missing("matplotlib", "Plotting", "plot") from error
        named = self.as_list(label, **kwargs)[::-1]
        light = theme.LIGHT
        figure = plt.figure(figsize=figsize)
        axes = figure.add_subplot()
        shades = [light.strong_up if weight > 0 else light.strong_down for _, weight in named]
        axes.barh(np.arange(len(named)) + 0.5, [weight for _, weight in named], color=shades)
        axes.set_yticks(np.arange(len(named)) + 0.5, [str(name).replace("$", r"\$") for name, _ in named])
        axes.axvline(0, color=light.ink, linewidth=0.8)
        whose = f" for class {self._name(label)}" if self.mode == "classification" else ""
        axes.set_title(f"Local explanation{whose}".replace("$", r"\$"))
        return figure

    def as_html(
        self,
        labels: Sequence[int] | None = None,
        predict_proba: bool = True,
        show_predicted_value: bool = True,
        text: bool = True,
        opacity: bool = True,
        **kwargs: object,
    ) -> str:
        """A page of its own: probabilities, the words of each label, and the text with its words marked.

        It holds no script and loads nothing. `text=False` leaves the text out; without `opacity` all marks are equally strong.
        """
        return page(self._shown(labels, predict_proba, show_predicted_value, text, opacity, **kwargs))

    def _shown(
        self,
        labels: Sequence[int] | None = None,
        probabilities: bool = True,
        predicted_value: bool = True,
        text: bool = True,
        opacity: bool = True,
        **kwargs: object,
    ) -> Shown:
        """What the page shows."""
        classes = self.mode == "classification"
        chosen = (list(labels) if labels is not None else self.available_labels()) if classes else [self.dummy_label]
        tables = [(self._name(label) if classes else "", self.as_list(label, **kwargs)) for label in chosen]
        said: list[tuple[str, float]] = []
        if classes and probabilities and self.predict_proba is not None:
            said = [(self._name(i), float(p)) for i, p in enumerate(self.predict_proba)]
        value = self.predicted_value if not classes and predicted_value else None
        indexed = getattr(self.domain_mapper, "indexed_string", None)
        marks: list[tuple[int, int, float]] = []
        if text and isinstance(indexed, Indexed) and chosen:
            marks = sorted((a, b, weight) for i, weight in self._weights(chosen[0]) for a, b in indexed.spans(i))
        raw = indexed.raw_string() if text and isinstance(indexed, Indexed) else None
        return Shown(said, value, tables, raw, marks, opacity)

    def _repr_html_(self) -> str:
        return fragment(self._shown())

    def show_in_notebook(
        self,
        labels: Sequence[int] | None = None,
        predict_proba: bool = True,
        show_predicted_value: bool = True,
        **kwargs: Any,
    ) -> None:
        """The page's content in a notebook's cell."""
        try:
            from IPython.display import HTML, display
        except ImportError as error:
            raise ImportError("show_in_notebook needs IPython: pip install ipython, or save_to_file(path).") from error
        display(HTML(fragment(self._shown(labels, predict_proba, show_predicted_value, **kwargs))))

    def save_to_file(
        self,
        file_path: str | Path,
        labels: Sequence[int] | None = None,
        predict_proba: bool = True,
        show_predicted_value: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write the page of `as_html`, whole or not at all."""
        html = self.as_html(labels, predict_proba, show_predicted_value, **kwargs)
        write(Path(file_path), html.encode("utf-8"))
