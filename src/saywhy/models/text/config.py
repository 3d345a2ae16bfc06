"""What a model's config and its tokenizer tell: the labels, what the outputs are, padding, the longest input."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...core.errors import ModelError, OptionError
from ..labels import label_names as known_names
from ..labels import same_order

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


LONGEST = 10**9  # tokens; a tokenizer that knows no longest input says more
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def label_names(model: PreTrainedModel, labels: Sequence[str] | None) -> tuple[str, ...]:
    own = own_names(getattr(model, "config", None))
    if labels is not None:
        names = known_names(labels)
        if own is not None and len(names) != len(own):
            raise OptionError(f"{len(names)} labels were given ({list(names)!r}) and the model has {len(own)} outputs.")
        same_order(names, own, "the model's config")
        return names
    many = getattr(getattr(model, "config", None), "num_labels", None)
    if own is None and isinstance(many, int) and many > 0:
        return tuple(f"LABEL_{i}" for i in range(many))  # as transformers itself names them
    if own is None:
        raise OptionError("The model's config names no labels (id2label): give them as Explainer(..., labels=[...]).")
    return own


def own_names(config: object) -> tuple[str, ...] | None:
    """The names in a config's id2label in the order of their numbers, which JSON writes as strings; None where it has none."""
    given = getattr(config, "id2label", None)
    if not given:
        return None
    named = given if isinstance(given, Mapping) else dict(enumerate(given))
    try:
        numbers = {int(key): str(name) for key, name in named.items()}
    except (TypeError, ValueError):
        raise OptionError(
            f"The config's id2label is {{0: 'neg', 1: 'pos'}} or a list of names, not {given!r:.100}: mend model.config.id2label."
        ) from None
    return tuple(numbers[i] for i in sorted(numbers))


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
    known = [tokenizer.model_max_length] if tokenizer.model_max_length < LONGEST else []
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

    Raises ModelError for a forward that asks for something else, or that does not name what it takes.
    """
    parameters = list(inspect.signature(model.forward).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    parameters = [p for p in parameters if p.kind is not p.VAR_POSITIONAL]
    names = [p.name for p in parameters]
    known = {name: name for name in _INPUTS if name in names}
    if "input_ids" not in known and names:
        known["input_ids"] = next((name for name in names if "mask" not in name), names[0])
    mask = next((name for name in names if "mask" in name and name != known["input_ids"]), None)
    if mask is not None:
        known["attention_mask"] = mask
    needed = [p.name for p in parameters if p.default is p.empty and p.name not in known.values()]
    if needed or not names:
        raise ModelError(
            f"{type(model).__name__}.forward asks for {', '.join(needed) or 'nothing by name'}; an explainer gives it "
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
