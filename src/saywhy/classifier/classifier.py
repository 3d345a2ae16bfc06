"""The classifier: a tokenizer, a network, and the names of what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..core.checks import instance, mapping, one_of, real_number
from ..core.errors import OptionError
from ..storage.paths import as_path
from . import files
from .encoders import PROBLEMS, Values, named_levels
from .network import Architecture, Network
from .prediction import Columns, Predictions, answers, best, part_of, probabilities
from .tokenizers import Tokenizer, checked_texts, word_piece
from .training import History, Labelled, Training, train

if TYPE_CHECKING:
    from .adapter import ClassifierModel


@dataclass(frozen=True, eq=False)
class TextClassifier:
    """Texts, and categorical values beside them, to labels.

    >>> classifier = TextClassifier.fit(texts, labels)
    >>> classifier.predict(["a new text"], top_k=3)
    >>> saywhy.Explainer(classifier)("a new text", method="label_attention")

    `network` is any module with forward(ids [B, T], mask [B, T], codes [B, V] or None) -> logits [B, C]; several levels stand
    side by side in C. It is trained in place, and predicts on the device it is on.
    """

    tokenizer: Tokenizer
    network: nn.Module
    levels: tuple[Values, ...]  # the labels of each level; one level unless labels were given by level
    variables: tuple[Values, ...] = ()  # the categorical columns
    problem: str = "multi-class"

    def __post_init__(self) -> None:
        one_of("`problem`", self.problem, PROBLEMS)
        if any(variable.column == "text" for variable in self.variables):
            raise OptionError("A categorical column cannot be called 'text': that is the text's own name.")

    @classmethod
    def new(
        cls,
        tokenizer: Tokenizer,
        levels: Sequence[Values],
        variables: Sequence[Values] = (),
        *,
        problem: str = "multi-class",
        architecture: Architecture | None = None,
        seed: int = 0,
    ) -> TextClassifier:
        """An untrained classifier; its weights are drawn from the seed, whatever the caller's random state."""
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            network = Network(
                architecture or Architecture(),
                vocabulary=tokenizer.size,
                padding=tokenizer.padding,
                classes=[len(level) for level in levels],
                variables=[len(variable) for variable in variables],
            )
        return cls(tokenizer, network, tuple(levels), tuple(variables), problem)

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        labels: object,
        categories: Mapping[str, Sequence[Any]] | None = None,
        *,
        problem: str = "multi-class",
        names: object = None,
        tokenizer: Tokenizer | None = None,
        architecture: Architecture | None = None,
        training: Training | None = None,
        validation: Labelled | None = None,
    ) -> TextClassifier:
        """A classifier trained on the texts and their labels.

        Parameters
        ----------
        texts
            Any iterable of strings.
        labels
            One a text ("multi-class"), any number ("multi-label": lists, or an array of 0 and 1), probabilities ("soft"), or
            {level: labels} for several levels at once.
        categories
            {column: values} beside the texts.
        problem
            "multi-class", "multi-label" or "soft".
        names
            The labels' names where the data does not show all of them.
        tokenizer
            By default a WordPiece trained on the texts.
        architecture, training
            The network's and the run's choices.
        validation
            (texts, labels) or (texts, labels, categories) for early stopping; by default a tenth is held out.

        Returns
        -------
        TextClassifier

        Raises
        ------
        InputError, OptionError
            Before training.
        MissingError
            Without lightning.
        """
        training = Training() if training is None else instance("training", training, Training)
        architecture = None if architecture is None else instance("architecture", architecture, Architecture)
        texts = checked_texts(texts)
        levels = named_levels(labels, problem, names)
        beside = {} if categories is None else mapping("categories", categories, "a column to its values")
        variables = [Values.of(column, values) for column, values in beside.items()]
        tokenizer = word_piece(texts) if tokenizer is None else tokenizer
        if not all(hasattr(tokenizer, name) for name in ("size", "padding", "ids")) or isinstance(tokenizer, type):
            raise OptionError(
                f"`tokenizer` is one of saywhy.classifier (word_piece, ngrams, …), not {tokenizer!r:.60}."
            )
        made = cls.new(tokenizer, levels, variables, problem=problem, architecture=architecture, seed=training.seed)
        made.train(texts, labels, categories, validation=validation, training=training)
        return made

    def train(
        self,
        texts: Iterable[str],
        labels: object,
        categories: Mapping[str, Sequence[Any]] | None = None,
        *,
        validation: Labelled | None = None,
        training: Training | None = None,
    ) -> History:
        """How a run on these texts went; the network is trained in place, on from what it is. As `fit` otherwise."""
        return train(self, texts, labels, categories, validation=validation, training=training)

    def predict(self, texts: Iterable[str], categories: Columns | None = None, *, top_k: int = 1) -> Predictions:
        """The `top_k` most probable labels of each text and their probabilities, [N, top_k] both. Constant memory beyond them.

        `texts` may be any iterable of strings. For several labels a text see `predict_sets`; for several levels
        `predict_levels`. Raises InputError by row for what is no text or no known value.
        """
        self._one_level("predict")
        return self.predict_levels(texts, categories, top_k=top_k)[self.levels[0].column]

    def predict_levels(
        self, texts: Iterable[str], categories: Columns | None = None, *, top_k: int = 1
    ) -> dict[str, Predictions]:
        """As `predict`, for each level by its name, from one pass over the texts."""
        found = best(self, answers(self, texts, categories), top_k)
        return {level.column: each for level, each in zip(self.levels, found, strict=True)}

    def predict_sets(
        self, texts: Iterable[str], categories: Columns | None = None, *, threshold: float = 0.5
    ) -> list[list[Any]]:
        """For each text all labels of at least this probability, in the labels' order: the answer to several labels a text."""
        threshold = real_number("threshold", threshold, 0, 1)
        known = np.array([*self.levels[0].known, None], dtype=object)[:-1]
        self._one_level("predict_sets")
        return [
            known[row.numpy() >= threshold].tolist()
            for logits in answers(self, texts, categories)
            for row in probabilities(logits, self.problem)
        ]

    def predict_proba(self, texts: Iterable[str], categories: Columns | None = None) -> np.ndarray[Any, Any]:
        """float32 [N, C]: every label's probability, unrounded; each on its own for several labels a text."""
        self._one_level("predict_proba")
        found = [probabilities(logits, self.problem).numpy() for logits in answers(self, texts, categories)]
        return np.concatenate([*found, np.zeros((0, len(self.levels[0])), np.float32)])

    def level(self, name: str) -> TextClassifier:
        """One level alone, sharing the network: it predicts and is explained like any classifier."""
        columns = [level.column for level in self.levels]
        name = one_of("level", name, columns)
        place = columns.index(name)
        return replace(self, network=part_of(self, place), levels=(self.levels[place],))

    def adapter(self) -> ClassifierModel:
        """The classifier as the line of explanation sees it; `saywhy.Explainer(classifier)` asks for it."""
        from .adapter import ClassifierModel

        return ClassifierModel(self)

    def _one_level(self, asked: str) -> None:
        if len(self.levels) > 1:
            names = ", ".join(repr(level.column) for level in self.levels)
            raise OptionError(f"This classifier has the levels {names}: use predict_levels, or level(name).{asked}.")

    def save(self, folder: str | Path) -> Path:
        """Write the folder (JSON and safetensors, nothing pickled) and return its path; untrained weights are kept too."""
        return files.save(self, as_path(folder, "folder"))

    @classmethod
    def load(
        cls, folder: str | Path, *, allow_code: bool = False, network: nn.Module | None = None, device: str = "cpu"
    ) -> TextClassifier:
        """The classifier that was saved. Runs no code from the folder.

        A network of the caller's own class is imported by its path only with `allow_code`; or give a fresh one as `network`,
        and the weights are put into it. Raises FileError for a missing, damaged or newer folder.
        """
        return cls(**files.read(as_path(folder, "folder"), allow_code=allow_code, network=network, device=device))

    def __repr__(self) -> str:
        labels = ", ".join(f"{len(level)} of {level.column!r}" for level in self.levels)
        beside = f", beside {[v.column for v in self.variables]}" if self.variables else ""
        return f"<TextClassifier: {self.problem}, labels {labels}{beside}, {type(self.network).__name__}>"


def load(folder: Path, device: str) -> TextClassifier:
    """The classifier in a folder, on a device: what `saywhy.Explainer(folder)` calls."""
    return TextClassifier.load(folder, device=device)
