"""Models of sentence-transformers, as objects or as folders: what they do with a text before and after their transformer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ModelError
from .heads import POOLINGS
from .pipelines import PipelineSettings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer

# sentence-transformers' names of poolings -> ours; several at once are put side by side there, which is not known here
_POOLING = {"cls": "first", "lasttoken": "last", "mean_sqrt_len_tokens": "mean_sqrt_len"}
_FLAGS = {
    "cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean_tokens": "weightedmean", "lasttoken": "lasttoken",
}  # fmt: skip
_MODULES = ["Transformer", "Pooling"]  # and Normalize


def encoder_of(model: SentenceTransformer) -> tuple[Any, str, PipelineSettings]:
    """The transformer within a SentenceTransformer, how it pools, and what else becomes of a text."""
    modules: list[Any] = list(model)
    kinds = _known([type(module).__name__ for module in modules], "A SentenceTransformer")
    first, pooled = modules[0], modules[1]
    inner = getattr(first, "auto_model", None) or first.model
    mode = pooled.get_pooling_mode_str() if hasattr(pooled, "get_pooling_mode_str") else pooled.pooling_mode
    if told := getattr(first, "processing_kwargs", None):
        raise ModelError(f"The SentenceTransformer has processing_kwargs={told!r:.80}, which cannot be followed here.")
    settings = _settings(
        {name: getattr(model, name, None) for name in _FOLLOWED},
        limit=getattr(model, "max_seq_length", None),
        normalised="Normalize" in kinds,
        with_prompt=getattr(pooled, "include_prompt", True),
    )
    return inner, pooling_of(mode, "The SentenceTransformer"), settings


def encoder_folder(name: str) -> tuple[str, PipelineSettings] | None:
    """How the sentence-transformer of that name pools and what else becomes of a text, from its files; None for another."""
    pooling = _read(name, "1_Pooling/config.json")
    if not isinstance(pooling, Mapping):
        return None
    modules: Any = _read(name, "modules.json") or [{"type": kind} for kind in _MODULES]
    kinds = _known([str(each["type"]).rpartition(".")[2] for each in modules], repr(name))
    first: Any = _read(name, "sentence_bert_config.json") or {}
    settings = _settings(
        _read(name, "config_sentence_transformers.json") or {},
        limit=first.get("max_seq_length"),
        normalised="Normalize" in kinds,
        with_prompt=pooling.get("include_prompt", True),
    )
    return pooling_of(pooling, repr(name)), replace(settings, lowercase=bool(first.get("do_lower_case")))


def add_lowercasing(tokenizer: Any) -> None:
    """Makes a tokenizer put texts in lower case first, as sentence-transformers does with `do_lower_case`."""
    if not tokenizer.is_fast:
        raise ModelError(
            f"`do_lower_case` cannot be followed with a {type(tokenizer).__name__}, which is no fast tokenizer."
        )
    from tokenizers.normalizers import Lowercase, Normalizer
    from tokenizers.normalizers import Sequence as Normalizers

    backend = tokenizer.backend_tokenizer
    own: list[Normalizer] = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = Normalizers([Lowercase(), *own])


def _read(name: str, file: str) -> Any:
    """What a JSON file of a folder or of a model on the hub says; None where there is no such file."""
    from transformers.utils.hub import cached_file

    path: str | None = str(Path(name) / file)
    if not Path(name).is_dir():
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
    return None if path is None or not Path(path).is_file() else json.loads(Path(path).read_text(encoding="utf-8"))


def _known(kinds: Sequence[str], what: str) -> Sequence[str]:
    if list(kinds[:2]) != _MODULES or set(kinds[2:]) - {"Normalize"}:
        raise ModelError(
            f"{what} is made of {list(kinds)}, which is not known here: it must be Transformer, Pooling, Normalize."
        )
    return kinds


_FOLLOWED = ("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim")


def _settings(told: Mapping[str, Any], *, limit: int | None, normalised: bool, with_prompt: bool) -> PipelineSettings:
    """What becomes of a text, the prompt before it and where it is cut, and of its vector, how long it is and how compared."""
    prompt = _prompt(told)
    if prompt and not with_prompt:
        raise ModelError(
            f"The SentenceTransformer leaves its prompt {prompt!r:.60} out of the pooling (include_prompt=False), which cannot "
            "be followed here."
        )
    measure = told.get("similarity_fn_name") or "cosine"
    task = {"measure": str(getattr(measure, "value", measure))}
    return PipelineSettings(
        task, None, limit, "truncate", prompt=prompt, width=told.get("truncate_dim"), normalised=normalised
    )


def _prompt(told: Mapping[str, Any]) -> str:
    """What is put before each text where a call names no prompt."""
    return str((told.get("prompts") or {}).get(told.get("default_prompt_name")) or "")


def cross_encoder_settings(model: CrossEncoder) -> PipelineSettings:
    """What a CrossEncoder does with texts and outputs: its prompt, its activation, and its longest input, which it cuts to."""
    activation = type(getattr(model, "activation_fn", None)).__name__
    kinds = {"Sigmoid": "sigmoid", "Identity": "regression", "Softmax": "softmax"}
    if activation not in kinds:
        raise ModelError(
            f"A CrossEncoder with the activation {activation} is not known here; known are {', '.join(kinds)}."
        )
    named = "max_seq_length" if hasattr(model, "max_seq_length") else "max_length"  # the older name
    prompt = _prompt({name: getattr(model, name, None) for name in _FOLLOWED})
    return PipelineSettings({}, kinds[activation], getattr(model, named, None), "truncate", prompt=prompt)


def pooling_of(found: object, where: str) -> str:
    """How a sentence-transformer pools, from its name or from its flags. Raises ModelError for a way not known here."""
    if isinstance(found, Mapping):
        named = [key.removeprefix("pooling_mode_") for key, on in found.items() if on is True]
        flags = [_FLAGS[key] for key in named if key in _FLAGS]
        name = found.get("pooling_mode") or (flags[0] if len(flags) == 1 else "+".join(flags))
    else:
        name = str(found)
    ours = _POOLING.get(str(name), str(name))
    if ours not in POOLINGS:
        raise ModelError(f"{where} pools by {name!r}, which is not known here; known are {', '.join(POOLINGS)}.")
    return ours
