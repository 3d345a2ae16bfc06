"""What a model's config and its tokenizer tell: the labels, what the outputs are, padding, the longest input."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.errors import ModelError, OptionError
from ..labels import label_names as known_names
from ..labels import same_order

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def label_names(model: PreTrainedModel, labels: Sequence[str] | None) -> tuple[str, ...]:
    id2label = getattr(getattr(model, "config", None), "id2label", None)
    count = len(id2label) if id2label else None
    if labels is not None:
        names = known_names(labels)
        if count is not None and len(names) != count:
            raise OptionError(f"{len(names)} labels were given ({list(names)!r}) and the model has {count} outputs.")
        same_order(names, [id2label[i] for i in sorted(id2label)] if id2label else None, "the model's config")
        return names
    many = getattr(getattr(model, "config", None), "num_labels", None)
    if not id2label and isinstance(many, int) and many > 0:
        return tuple(f"LABEL_{i}" for i in range(many))  # as transformers itself names them
    if not id2label:
        raise OptionError("The model's config names no labels (id2label): give them as Explainer(..., labels=[...]).")
    return tuple(str(id2label[i]) for i in sorted(id2label))


def output_kind(model: PreTrainedModel, labels: Sequence[str]) -> str:
    problem = getattr(getattr(model, "config", None), "problem_type", None)
    if problem == "regression":
        return "regression"
    return "sigmoid" if problem == "multi_label_classification" or len(labels) == 1 else "softmax"


def padding_id(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The padding id, where both the tokenizer and the model know one; without it rows go one at a time."""
    config = getattr(model, "config", None)
    if tokenizer.pad_token_id is None or (config is not None and getattr(config, "pad_token_id", None) is None):
        return None
    return int(tokenizer.pad_token_id)


def length_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The longest input in tokens that both the tokenizer and the model's positions allow."""
    known = [tokenizer.model_max_length] if tokenizer.model_max_length < 10**9 else []
    positions = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        offset = 0
        for name, module in model.named_modules():
            if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
                offset = int(module.padding_idx) + 1
        known.append(positions - offset)
    return min(known) if known else None


def accepted_inputs(model: PreTrainedModel) -> dict[str, str] | None:
    """What a model's forward calls the ids and what goes with them; None where it takes whatever transformers' models take.

    Raises ModelError for a forward that asks for something else.
    """
    parameters = list(inspect.signature(model.forward).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters) or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    names = [p.name for p in parameters]
    known = {name: name for name in _INPUTS if name in names}
    if "input_ids" not in known and names:
        known["input_ids"] = names[0]
    mask = next((name for name in names[1:] if "mask" in name), None)
    if mask is not None:
        known["attention_mask"] = mask
    needed = [p.name for p in parameters if p.default is p.empty and p.name not in known.values()]
    if needed or not names:
        raise ModelError(
            f"{type(model).__name__}.forward asks for {', '.join(needed) or 'nothing'}; an explainer gives it "
            f"{', '.join(_INPUTS)}. Wrap it in a module whose forward takes (input_ids, attention_mask)."
        )
    return known


def forwards_only(model: PreTrainedModel) -> bool:
    """Does the model hold layers that no gradient comes back through (torch's own quantised ones), or weights that no
    backward pass may keep (made in inference mode)?
    """
    if any(p.is_inference() for p in model.parameters()):
        return True
    return any(".quantized" in type(module).__module__ for module in model.modules())
