"""Zero-shot classification: a model of natural language inference asked about labels it was never trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, ModelError, OptionError
from ..core.features import checked
from ..core.types import Bools, Encoding, Held, Target
from .protocol import Case, Task, checked_unit, in_unit, label_index

if TYPE_CHECKING:
    from ..models.protocol import EncodingOptions, Model
    from .protocol import WantedTarget

_UNITS = ("logit", "log-prob", "prob", "log-odds")


@dataclass(frozen=True)
class ZeroShotClassification(Task):
    """Which words of a text make the model hold that a label's hypothesis follows from it.

    Given: a text, with the labels in the task; or {"text": …, "labels": [...]}. `template` makes a label's hypothesis.
    One label of all is the model's answer unless `multi_label`; then each stands for itself, against contradiction.
    With `include_hypothesis` the hypothesis's words are features as well, for one label at a time.
    """

    labels: tuple[str, ...] = ()
    template: str = "This example is {}."
    multi_label: bool = False
    include_hypothesis: bool = False
    name = "zero-shot-classification"
    head = "labels"

    def __post_init__(self) -> None:
        fields = self.template.replace("{{", "").replace("}}", "").count("{}")
        try:
            self.template.format("")
        except (LookupError, ValueError, AttributeError):  # a field with a name, or a brace alone
            fields = 0
        if fields != 1:
            raise OptionError(
                f"The hypothesis template needs one {{}} where the label goes, and no other field: {self.template!r}"
            )

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        entailment(model.labels)
        text, labels = self._taken(given)
        held = Held() if self.include_hypothesis else Held(parts=("hypothesis",))
        each = [
            model.encode({"text": text, "hypothesis": self.template.format(label)}, options, held) for label in labels
        ]
        return _side_by_side(each, labels, range(len(labels)))

    def _taken(self, given: object) -> tuple[str, tuple[str, ...]]:
        labels: Any = self.labels
        if isinstance(given, Mapping):
            if set(given) - {"text", "labels"} or "text" not in given:
                raise InputError(f'A zero-shot input is a text or {{"text": …, "labels": […]}}, not {sorted(given)}.')
            text, labels = checked(given["text"]), given.get("labels", labels)
        else:
            text = checked(given)
        if isinstance(labels, str):  # as the transformers pipeline takes them apart; those of a list stand as they are
            labels = [label.strip() for label in labels.split(",") if label.strip()]
        named = tuple(checked(label, "label") for label in labels)
        if not named:
            raise InputError("Zero-shot classification needs labels: Explainer(..., labels=['sports', 'politics']).")
        if len(set(named)) < len(named):
            raise InputError(f"The labels must differ from each other: {list(named)!r}.")
        return text, named

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        unit = checked_unit(unit, _UNITS, "zero-shot outputs")
        if not case.read:
            return ()
        labels = case.encoding.labels
        other = None if against is None else label_index(labels, against)
        best = 0 if not case.answered else labels.index(self.predict_label(case)[0])
        chosen = [best if want is None else label_index(labels, want) for want in wanted]
        if other is not None and case.answered and other in chosen:
            raise OptionError(f"The target and `against` are both {labels[other]!r}: name two different labels.")
        names = [labels[i] if other is None else f"{labels[i]} rather than {labels[other]}" for i in chosen]
        held = None if other is None else (other,)
        return tuple(Target(name, (i,), unit, held) for name, i in zip(names, chosen, strict=True))

    def restrict_encoding(self, case: Case, targets: Sequence[Target]) -> Encoding:
        """A logit, and any number of a label that stands for itself, needs its own hypothesis alone."""
        labels = case.encoding.labels
        needed = sorted({i for t in targets for i in (*t.index, *(t.against or ()))})
        if len(needed) == len(labels) or not (self._alone(case) or all(t.unit == "logit" for t in targets)):
            return case.encoding
        return _side_by_side([case.encoding.each[i] for i in needed], labels, needed)

    def _alone(self, case: Case) -> bool:
        return self.multi_label or (case.read and len(case.encoding.labels) == 1)

    def _numbers(self, case: Case, outputs: Tensor, about: Sequence[int], unit: str) -> dict[int, Tensor]:
        """label -> [B]; outputs [B, parts, C], each part about one label, a long text's windows by their mean."""
        entails = entailment(case.model.labels)
        against = -1 if entails == 0 else 0  # as the transformers pipeline takes it
        of = torch.as_tensor(about, device=outputs.device)
        logits = {i: outputs[:, of == i].mean(1) for i in sorted(set(about))}
        if self._alone(case):
            return {i: in_unit(x[:, [against, entails]], unit, "softmax")[:, 1] for i, x in logits.items()}
        together = in_unit(torch.stack([x[:, entails] for x in logits.values()], 1), unit, "softmax")
        return {i: together[:, column] for column, i in enumerate(logits)}

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        units = {u: self._numbers(case, outputs, case.encoding.about, u) for u in {t.unit for t in targets}}
        columns = [units[t.unit][t.index[0]] - (units[t.unit][t.against[0]] if t.against else 0.0) for t in targets]
        return torch.stack(columns, dim=1)

    def predict_label(self, case: Case) -> tuple[str, float | None]:
        found = self._numbers(case, case.output[None], case.encoding.about, "prob")
        i = max(found, key=lambda i: float(found[i]))
        return case.encoding.labels[i], float(found[i])


def entailment(labels: Sequence[str]) -> int:
    """Which of the model's labels says that the hypothesis follows. Raises ModelError where none does."""
    found = [i for i, label in enumerate(labels) if label.casefold().startswith("entail")]
    if not found:
        raise ModelError(
            f"Zero-shot classification needs a model of natural language inference with a label 'entailment'; this one "
            f"has {list(labels)!r}. If one of them means it, name it so in model.config.id2label."
        )
    return found[0]


def _side_by_side(each: Sequence[Encoding], labels: tuple[str, ...], about: Sequence[int]) -> Encoding:
    """One encoding of a text with several hypotheses: a row has a part for each, and the text's features are shared.

    A long text is cut the shorter the longer its hypothesis is: then the features of a part are some of the shared ones.
    """
    seen = [[f for f in encoding.features if f.part == "text"] for encoding in each]
    text = max(seen, key=len)
    features = list(text)
    columns = []
    texts = dict(each[0].texts) if len(each) == 1 else {"text": each[0].texts["text"]}
    for encoding, its, i in zip(each, seen, about, strict=True):
        start = 0 if its[:1] == text[:1] else len(text) - len(its)  # cut at its end or at its beginning
        part = "hypothesis" if len(each) == 1 else f"hypothesis: {labels[i]}"
        own = [replace(f, part=part) for f in encoding.features if f.part == "hypothesis"]
        columns.append(np.r_[start : start + len(its), len(features) : len(features) + len(own)])
        features += own
        if own:
            texts[part] = encoding.texts["hypothesis"]
    parts = [_parts(encoding) for encoding in each]

    def at(coalitions: Bools) -> list[tuple[Any, ...]]:
        made = [encoding.at(coalitions[:, mine]) for encoding, mine in zip(each, columns, strict=True)]
        return [
            tuple(piece for row in rows for piece in (row if isinstance(row, tuple) else (row,)))
            for rows in zip(*made, strict=True)
        ]

    owners = [
        np.where(e.owner >= 0, mine[e.owner], -1) for e, mine in zip(each, columns, strict=True) if e.owner is not None
    ]
    return replace(
        each[0],
        texts=texts,
        features=tuple(features),
        at=at,
        owner=np.concatenate(owners) if owners else None,
        notes=tuple(dict.fromkeys(note for e in each for note in e.notes)),
        labels=labels,
        about=tuple(i for i, count in zip(about, parts, strict=True) for _ in range(count)),
        each=tuple(each),
    )


def _parts(encoding: Encoding) -> int:
    """How many parts its rows have."""
    row = encoding.whole
    return len(row) if isinstance(row, tuple) else 1
