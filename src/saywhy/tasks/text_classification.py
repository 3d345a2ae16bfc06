"""Text classification: one label of several, several labels at once, or a single number; of one text or of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from ..core.errors import InputError, OptionError
from ..core.features import checked, unicode_text
from ..core.types import Encoding, Target
from .protocol import UNITS, Case, Task, checked_unit, in_unit, label_index

if TYPE_CHECKING:
    from ..models.protocol import EncodingOptions, Model
    from .protocol import WantedTarget


@dataclass(frozen=True)
class TextClassification(Task):
    """Which words push a label's logit, probability or log-odds up or down.

    Given: a text; a pair of texts as a tuple, whose parts are then called "first" and "second"; or a mapping that names the
    parts itself, for example {"premise": "…", "hypothesis": "…"}. A long text's windows answer by their mean.
    """

    name = "text-classification"
    head = "labels"

    def encode(self, model: Model[Any], given: object, options: EncodingOptions) -> Encoding:
        if model.row_columns:
            return model.encode(cast(Mapping[str, object], given), options)  # a row, which the model checks itself
        if isinstance(given, Mapping) and model.text_tokenizer is None and not model.columns:
            _refuse_row(given, model.name)
        return model.encode(parts(given, model.columns), options)

    def targets(
        self, case: Case, wanted: Sequence[WantedTarget], against: WantedTarget, unit: str | None
    ) -> tuple[Target, ...]:
        labels, kind = case.model.labels, case.model.kind
        unit = checked_unit(unit, UNITS[kind], f"{kind} outputs")
        other = None if against is None else label_index(labels, against)
        out = []
        for want in wanted:
            if want is None and not case.answered:
                i = -1  # only the output can tell
            else:
                i = int(_whole(case.output).argmax()) if want is None else label_index(labels, want)
            if i == other:
                raise OptionError(f"The target and `against` are both {labels[i]!r}: name two different labels.")
            label = labels[i] if other is None else f"{labels[i]} rather than {labels[other]}"
            out.append(Target(label, (i,), unit, None if other is None else (other,)))
        return tuple(out)

    def score(self, case: Case, outputs: Tensor, targets: Sequence[Target]) -> Tensor:
        units = {unit: in_unit(outputs, unit, case.model.kind) for unit in {t.unit for t in targets}}
        columns = []
        for target in targets:
            column = units[target.unit][..., target.index[0]]
            columns.append(column if target.against is None else column - units[target.unit][..., target.against[0]])
        numbers = torch.stack(columns, dim=-1)  # [B, K], of windows [B, W, K]
        return numbers if numbers.dim() == 2 else numbers.mean(1)

    def predict_label(self, case: Case) -> tuple[str, float | None]:
        units = UNITS[case.model.kind]
        unit = "prob" if "prob" in units else units[0]
        i = int(_whole(case.output).argmax())
        return case.model.labels[i], float(_whole(in_unit(case.output, unit, case.model.kind))[i])


def _whole(output: Tensor) -> Tensor:
    """[C], or the mean over windows [W, C]."""
    return output if output.dim() == 1 else output.mean(0)


def _refuse_row(given: Mapping[str, object], name: str) -> None:
    """Refuses a row of a table, for a model that is taken to read one text."""
    if len(given) > 2 or not all(isinstance(value, str) for value in given.values()):
        raise InputError(
            f"{name} is taken to read one text, and a row of the columns {', '.join(map(str, given))} was given. A function of "
            "data frames needs `background`, Explainer(function, background=frame), which says what stands in for an absent "
            "column; of an estimator give the estimator itself, Explainer(estimator); of one column of texts give that column, "
            "explainer(frame['text'])."
        )


def parts(given: object, columns: Sequence[str] = ()) -> Mapping[str, str]:
    """part -> text: of a text, of a pair, or of a mapping that names its one or two parts.

    `columns` are parts that hold a value in place of a text.
    """
    if isinstance(given, tuple):
        if len(given) != 2:
            raise InputError(f"A pair is two texts; {len(given)} were given: {given!r:.80}")
        given = {"first": given[0], "second": given[1]}
    if isinstance(given, Mapping):
        if set(given) == {"text", "text_pair"}:  # the pipeline's names, which mean what they mean there, in any order
            given = {"text": given["text"], "text_pair": given["text_pair"]}
        values = {name: str(given[name]) for name in columns if name in given}
        given = {part: text for part, text in given.items() if part not in values}
        if not 1 <= len(given) <= 2:
            raise InputError(
                f"An input has one part or two; {len(given)} were given: {', '.join(map(str, given))}. For a model that reads "
                "one column of a frame, give that column: explainer(frame['text'])."
            )
        names = [unicode_text(str(part), f"The name {str(part)!r:.60} of a part") for part in given]
        return {name: checked(text, f"{name} text") for name, text in zip(names, given.values(), strict=True)} | values
    return {"text": checked(given)}
