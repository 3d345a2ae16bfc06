"""A transformers pipeline with its own settings: what of them the task and the model follow, and what cannot be followed.

A pipeline keeps what it was made with in three mappings (of preprocessing, forward and postprocessing). Each setting is followed,
has no effect on what is explained, or is refused by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..core.errors import ModelError, OptionError
from .text.config import LONGEST

if TYPE_CHECKING:
    from transformers import GenerationConfig, Pipeline

# settings that change how results are listed or batched, and not what the model answers
_WITHOUT_EFFECT = {
    *("top_k", "_legacy", "padding", "return_tensors", "return_type", "clean_up_tokenization_spaces", "timeout"),
    *("skip_special_tokens", "batch_size", "num_workers", "generation_config"),
}
# settings of generation that change how it is computed, and not what is written
_SAME_TEXT = ("pad_token_id", "bos_token_id", "use_cache", "return_dict_in_generate", "cache_implementation")
# pipelines that cut too long a text whatever they are told, and which of a pair
_CUT = {"token-classification": "longest_first", "ner": "longest_first", "zero-shot-classification": "only_first"}
SAMPLE = "A good example"  # what a pipeline and its model are both asked, to compare
_GREEDY = {"do_sample": False, "num_beams": 1, "num_beam_groups": 1}  # generation that gives the same text each time


@dataclass(frozen=True, eq=False)
class PipelineSettings:
    """What the settings of a pipeline, or of a model of sentence-transformers, come to here."""

    task: Mapping[str, Any] = field(default_factory=dict)  # fields of the task
    kind: str | None = None  # of the outputs, where the pipeline says what is applied to them
    limit: int | None = None  # the most tokens that the pipeline reads
    overlong: str | None = None  # what the pipeline does with a longer text, where it does not fail
    cut: str = "longest_first"  # which text of a pair is cut then, as tokenizers call it
    writing: Mapping[str, Any] = field(default_factory=dict)  # what the model's generate is told
    sample: Callable[[], tuple[str, float] | None] | None = None  # the label and score it gives to SAMPLE, where it can
    prompt: str = ""  # what it puts before each text, or before the first of a pair
    width: int | None = None  # how many numbers of a text's vector it keeps
    normalised: bool = False  # does it bring a text's vector to the length 1 first?
    lowercase: bool = False  # are texts put in lower case before the tokenizer that is loaded with it?


def settings_of(pipe: Pipeline) -> PipelineSettings:
    """The settings of a pipeline. Raises OptionError for one that cannot be followed, by its name."""
    given: dict[str, Any] = {}
    for name in ("_preprocess_params", "_generate_kwargs", "_forward_params", "_postprocess_params"):
        given |= {key: value for key, value in (getattr(pipe, name, None) or {}).items() if value is not None}
    name = str(pipe.task)
    config = given.get("generation_config")
    left = {key: value for key, value in given.items() if key not in _WITHOUT_EFFECT}
    limit, overlong, cut = _truncation(pipe, left)
    kind = _kind(left.pop("function_to_apply", None))
    task = _of_task(name, left)
    writing: dict[str, Any] = {}
    if name == "text-generation":
        task, writing = _generation(pipe, left, config)
    if left:
        setting, value = _as_written(pipe, *next(iter(left.items())))
        raise OptionError(
            f"The pipeline was made with {setting}={value!r:.80}, which cannot be followed here. Make it without, or give "
            "(model, tokenizer) and the settings of a task: Explainer((pipe.model, pipe.tokenizer), task=…)."
        )
    sampled = name == "text-classification" or (name == "zero-shot-classification" and "labels" in task)
    return PipelineSettings(task, kind, limit, overlong, cut, writing, partial(_answer, pipe) if sampled else None)


def _of_task(name: str, left: dict[str, Any]) -> dict[str, Any]:
    """The fields of a task that the settings give, which are taken out of what is left."""
    task: dict[str, Any] = {}
    if name == "zero-shot-classification":
        for theirs, ours in (("candidate_labels", "labels"), ("hypothesis_template", "template"), ("multi_label",) * 2):
            if theirs in left:
                value = left.pop(theirs)
                task[ours] = tuple(value) if ours == "labels" else value
    elif name in ("token-classification", "ner"):
        if "aggregation_strategy" in left:
            strategy = left.pop("aggregation_strategy")
            task["group"] = str(getattr(strategy, "value", strategy))
        if "ignore_labels" in left:
            task["ignored_labels"] = tuple(left.pop("ignore_labels"))
        if left.get("is_split_into_words") is False:
            del left["is_split_into_words"]
    return task


def _as_written(pipe: Any, setting: str, value: Any) -> tuple[str, Any]:
    """A setting as the caller wrote it, where the pipeline keeps it as something else."""
    if setting == "target_ids":
        return "targets", pipe.tokenizer.convert_ids_to_tokens([int(i) for i in value])
    if setting == "tokenizer_params" and "stride" in value:
        return "stride", value["stride"]
    return setting, value


def _answer(pipe: Pipeline) -> tuple[str, float] | None:
    """The likeliest label of SAMPLE and its score, as the pipeline itself gives them; what it counts stays as it was."""
    calls = getattr(pipe, "call_count", None)
    try:
        found = pipe(SAMPLE)
    except Exception:  # whatever it is: a pipeline that cannot answer this says nothing to compare with
        return None
    finally:
        if calls is not None:
            pipe.call_count = calls
    while isinstance(found, list) and found:
        found = found[0] if isinstance(found[0], list) else max(found, key=lambda each: each["score"])
    if not isinstance(found, Mapping):
        return None
    if "labels" in found:
        return str(found["labels"][0]), float(found["scores"][0])
    return str(found["label"]), float(found["score"])


def refuse_other_answers(settings: PipelineSettings, own: tuple[str | None, float | None], exact: bool) -> None:
    """Raises ModelError where the pipeline itself answers SAMPLE otherwise than the model by the settings that were read."""
    theirs = None if settings.sample is None else settings.sample()
    if theirs is None or own[1] is None:
        return
    label, score = theirs
    if label != own[0] or abs(score - own[1]) > (1e-4 if exact else 0.05) * max(1.0, abs(score)):
        raise ModelError(
            f"The pipeline answers {label!r} ({score:.4g}) to {SAMPLE!r}, and its model, read with its settings, {own[0]!r} "
            f"({own[1]:.4g}): it does something of its own that cannot be followed here. Explain what it calls: "
            "Explainer((pipe.model, pipe.tokenizer)), or a function around it with labels=…."
        )


def _truncation(pipe: Pipeline, left: dict[str, Any]) -> tuple[int | None, str | None, str]:
    """The most tokens read, what becomes of the rest, and of which text: from `truncation` and `max_length` or a mapping of
    them; two pipelines cut of themselves where the tokenizer says at what length.
    """
    own = left.pop("tokenizer_kwargs", None) or left.pop("tokenize_kwargs", None)
    if own:
        left |= {key: value for key, value in own.items() if value is not None}
    truncation = left.pop("truncation", False)
    length = None if str(pipe.task) == "text-generation" else left.pop("max_length", None)
    if str(pipe.task) in _CUT and getattr(pipe.tokenizer, "model_max_length", LONGEST) < LONGEST:
        return None, "truncate", _CUT[str(pipe.task)]
    if truncation in (False, "do_not_truncate"):
        return None, None, "longest_first"  # a `max_length` alone is only for padding
    if truncation not in (True, "longest_first", "only_first", "only_second"):
        left["truncation"] = truncation
        return None, None, "longest_first"
    return length, "truncate", "longest_first" if truncation is True else truncation


def _kind(function: object) -> str | None:
    """What is read off the logits: the kind of outputs whose probability is that function of them."""
    if function is None:
        return None
    return {"sigmoid": "sigmoid", "softmax": "softmax", "none": "regression"}[str(getattr(function, "value", function))]


def _generation(
    pipe: Pipeline, left: dict[str, Any], config: GenerationConfig | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """How the continuation is written that is explained where none is given: without drawing, and of at most so many tokens.

    What the model's own generation_config says is followed where it writes; what stands here takes its place.
    """
    if config is not None:  # what the caller set in it counts as if it had been given by name
        made = {key: value for key, value in config.to_diff_dict().items() if key != "transformers_version"}
        left |= {key: value for key, value in made.items() if value is not None and key not in left}
    ends = getattr(pipe.model.generation_config, "eos_token_id", None)
    writing = {}
    for setting, value in ({"eos_token_id": ends} | _GREEDY).items():
        if setting in left and left[setting] == value:
            writing[setting] = left.pop(setting)
    for setting in _SAME_TEXT + tuple(key for key in left if key.startswith("output_")):
        left.pop(setting, None)
    for setting in ("temperature", "top_p", "top_k"):  # nothing where nothing is drawn
        if "do_sample" not in left:
            left.pop(setting, None)
    most = left.pop("max_new_tokens", None)
    return ({} if most is None else {"max_new_tokens": int(most)}), writing
