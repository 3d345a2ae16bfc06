"""Training: what is asked for, checked, and the run itself, which PyTorch Lightning carries out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..core.checks import mapping, one_of, real_number, whole_number, yes_or_no
from ..core.errors import InputError, OptionError, missing
from ..core.types import Array
from .batches import Rows
from .encoders import Targets, coded, targets
from .network import side_by_side
from .tokenizers import checked_texts

if TYPE_CHECKING:
    from .classifier import TextClassifier

SCHEDULES = ("constant", "linear", "cosine", "plateau")
DEVICES = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")


@dataclass(frozen=True)
class Training:
    """The choices of a training run.

    Parameters
    ----------
    epochs, batch_size, lr, weight_decay, seed
        As usual; the seed is of the split, the weights and the order of rows.
    schedule
        "constant", "linear", "cosine" or "plateau", or a function of the optimizer; `warmup` is a share of the steps.
    patience
        So many epochs without a better validation loss end the run (None never does); the best weights are put back.
    hidden
        The share of tokens (and of categorical values) hidden at random in each batch, so that an absent feature is nothing
        unusual when the classifier is explained.
    class_weights
        "balanced", or {label: weight}.
    validation
        The share held out where no validation data is given; 0 is none.
    device, workers, progress
        Where it runs, how many loader processes, whether a progress bar is shown.
    optimizer, loss
        Functions: (parameters, lr) -> optimizer; (logits [B, C], targets) -> a number.
    trainer, loader
        More settings of lightning's Trainer and of torch's DataLoader.

    Raises
    ------
    OptionError
        For numbers out of range and unknown names.
    """

    epochs: int = 10
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: str | Callable[[Any], Any] = "constant"
    warmup: float = 0.0  # share of the steps
    patience: int | None = 3
    hidden: float = 0.1
    class_weights: str | Mapping[Any, float] | None = None  # "balanced", or {label: weight}
    validation: float = 0.1  # share held out where no validation data is given; 0 is none
    seed: int = 0
    device: str = "auto"
    workers: int = 0  # the data is in memory: more processes only cost
    progress: bool | None = None  # None: on a terminal
    optimizer: Callable[..., Any] | None = None
    loss: Callable[[Any, Tensor], Tensor] | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)  # more settings of lightning's Trainer
    loader: Mapping[str, Any] = field(default_factory=dict)  # more settings of torch's DataLoader

    def __post_init__(self) -> None:
        known: dict[str, Any] = {
            name: whole_number(name, getattr(self, name), least)
            for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("workers", 0))
        }
        known |= {name: real_number(name, getattr(self, name), 0) for name in ("lr", "weight_decay")}
        for name in ("hidden", "validation", "warmup"):
            known[name] = real_number(name, getattr(self, name), 0, 1)
            if known[name] == 1:
                raise OptionError(f"`{name}` is a share from 0 to below 1, not 1.")
        if known["lr"] == 0 or known["lr"] == float("inf"):
            raise OptionError(f"`lr` is a number above 0, for example 0.001, not {self.lr!r:.60}.")
        known["patience"] = None if self.patience is None else whole_number("patience", self.patience, 0)
        known["progress"] = None if self.progress is None else yes_or_no("progress", self.progress)
        if not callable(self.schedule):
            one_of("schedule", self.schedule, SCHEDULES)
        one_of("device", self.device, DEVICES)
        if self.class_weights is not None and not isinstance(self.class_weights, Mapping):
            one_of("value of `class_weights`", self.class_weights, ("balanced",))
        for name in ("trainer", "loader"):
            mapping(name, getattr(self, name), "a setting's name to its value")
        for name in ("optimizer", "loss"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise OptionError(f"`{name}` is a function, or None, not {getattr(self, name)!r:.60}.")
        for name, value in known.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class History:
    """How a run went: a dict a trained epoch, and the epoch (from 0) whose weights were kept."""

    epochs: tuple[Mapping[str, float], ...]
    best: int


Labelled = tuple[Any, ...]  # (texts, labels) or (texts, labels, categories)


def train(
    classifier: TextClassifier,
    texts: Iterable[str],
    labels: object,
    categories: Mapping[str, Sequence[Any]] | None = None,
    *,
    validation: Labelled | None = None,
    training: Training | None = None,
) -> History:
    """How the run went; the classifier's own network is trained, and ends with its best weights.

    Everything is checked before the first step. Nothing is written. The caller's random state stays as it was.
    """
    training = training or Training()
    try:
        import lightning  # noqa: F401
    except ImportError:
        raise missing("lightning", "Training a classifier", "train") from None
    from .lightning_module import run

    rows = prepared(classifier, texts, labels, categories)
    held: Rows | None
    if validation is not None:
        if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
            raise OptionError(
                f"`validation` is (texts, labels) or (texts, labels, categories), not {validation!r:.60}."
            )
        held = prepared(classifier, *validation)
    else:
        rows, held = split(rows, training)
    balance = weights(classifier, rows.targets, training.class_weights)
    epochs, best = run(
        classifier,
        rows,
        held if held is not None and len(held) else None,
        training,
        criterion(classifier, training, balance),
    )
    return History(tuple(epochs), best)


def prepared(
    classifier: TextClassifier,
    texts: Iterable[str],
    labels: object,
    categories: Mapping[str, Sequence[Any]] | None = None,
) -> Rows:
    """Labelled texts as rows; what does not fit is refused with its row."""
    given = checked_texts(texts)
    if not given:
        raise InputError("There are no texts to learn from.")
    wanted = targets(labels, classifier.problem, classifier.levels, len(given))
    codes = coded(classifier.variables, categories, len(given))
    return Rows(classifier.tokenizer.ids(given), codes, wanted, classifier.tokenizer.padding)


def split(rows: Rows, training: Training) -> tuple[Rows, Rows | None]:
    """The rows to learn from and those held out, at random by the seed; few rows are not split."""
    count = int(len(rows) * training.validation)
    if count < 10:
        return rows, None
    order = np.random.default_rng(training.seed).permutation(len(rows))
    return chosen(rows, order[count:]), chosen(rows, order[:count])


def chosen(rows: Rows, which: Array) -> Rows:
    """Some of the rows."""
    held = rows.targets.rows
    kept = [held[i] for i in which] if isinstance(held, list) else held[which]
    return Rows(
        [rows.ids[i] for i in which],
        None if rows.codes is None else rows.codes[which],
        Targets(rows.targets.problem, rows.targets.classes, kept),
        rows.padding,
    )


def weights(classifier: TextClassifier, wanted: Targets, asked: str | Mapping[Any, float] | None) -> Tensor | None:
    """float [C]: a weight for each class; "balanced" is inversely proportional to how often it occurs."""
    if asked is None:
        return None
    total = sum(wanted.classes)
    if not isinstance(asked, str):
        out = torch.ones(total)
        for label, weight in asked.items():
            out[classifier.levels[0].code(label)] = weight
        return out
    counts = torch.zeros(total)
    starts = np.cumsum((0, *wanted.classes[:-1]))
    for a in range(0, len(wanted), 4096):
        batch = wanted.batch(range(a, min(len(wanted), a + 4096)))
        if wanted.problem == "multi-class":
            counts += torch.bincount((batch + torch.as_tensor(starts)).flatten(), minlength=total)
        else:
            counts += batch.sum(0)
    sizes = torch.tensor([size for size in wanted.classes for _ in range(size)])
    return torch.where(counts > 0, len(wanted) / (sizes * counts.clamp(min=1)), torch.ones(total))


def criterion(
    classifier: TextClassifier, training: Training, balance: Tensor | None
) -> Callable[[Any, Tensor], Tensor]:
    """The loss of a batch: the caller's, or cross-entropy (the mean over levels), or a sigmoid's for several labels."""
    if training.loss is not None:
        return training.loss
    if classifier.problem != "multi-class":
        whole = F.binary_cross_entropy_with_logits if classifier.problem == "multi-label" else F.cross_entropy
        return lambda logits, wanted: whole(
            side_by_side(logits), wanted, weight=None if balance is None else balance.to(wanted)
        )
    classes = [len(level) for level in classifier.levels]
    parts = [None] * len(classes) if balance is None else torch.split(balance, classes)

    def over_levels(logits: object, wanted: Tensor) -> Tensor:
        each = zip(torch.split(side_by_side(logits), classes, dim=1), wanted.unbind(1), parts, strict=True)
        losses = [F.cross_entropy(z, t, weight=None if w is None else w.to(z)) for z, t, w in each]
        return torch.stack(losses).mean()

    return over_levels
