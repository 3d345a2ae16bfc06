"""A classifier of texts of Flair: the probability of each of its labels. Flair is imported when it is asked, not before."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from ..core.errors import OptionError
from .callable import CallableModel
from .labels import label_names, same_order

_ALL_ABSENT = "…"  # Flair gives an empty sentence no label, so all words absent is this sign, of which no word is part


def is_flair(model: object) -> bool:
    """Is it a model of Flair? Its class, or one that it is made of, says so by where it was defined."""
    return any(each.__module__.split(".")[0] == "flair" for each in type(model).__mro__)


def flair_texts(model: Any, labels: Sequence[str] | None, mask_token: str | None) -> CallableModel:
    """The adapter of a `TextClassifier`. Raises OptionError for another model of Flair, such as one that tags words."""
    name, kinds = type(model).__name__, {each.__name__ for each in type(model).__mro__}
    if "TextClassifier" not in kinds or not hasattr(model, "label_dictionary"):
        raise OptionError(
            f"A {name} of Flair cannot be explained here; a TextClassifier can. For another write a function from a list of "
            "strings to an array [B, K], with labels=[…]."
        )
    own = label_names([each for each in model.label_dictionary.get_items() if each != "O"])  # which it never gives
    if labels is not None:
        same_order(label_names(labels), own, f"the label_dictionary of {name}")

    def answer(batch: list[str]) -> list[list[float]]:
        from .lock import frozen

        sentence = import_module("flair.data").Sentence
        asked = [sentence(text if text.strip() else _ALL_ABSENT) for text in batch]
        with frozen(model):  # in eval mode, whatever it was in
            model.predict(
                list(asked),
                return_probabilities_for_all_classes=True,
                label_name=_RESULT,
                embedding_storage_mode="none",
            )
        found = [{label.value: float(label.score) for label in each.get_labels(_RESULT)} for each in asked]
        return [[scores[label] for label in own] for scores in found]

    several = bool(getattr(model, "multi_label", False))
    kind = "independent-probability" if several else "probability"
    made = CallableModel(answer, own if labels is None else labels, mask_token, kind)
    made.name, made.deterministic = f"Flair {name}", True
    return made


_RESULT = "saywhy"  # the type of the labels that are asked for, so that a sentence's own are left alone
