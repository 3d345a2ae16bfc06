"""Any class that transformers registers, made tiny from its configuration, and the tokenizer or image processor it is given."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .sizes import OWN, PARTS, SIZES, STAGES

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

TEXT = "the film was not good at all"
CONTEXT = "Ada wrote the letter in Oslo"
MOST = 40e6  # parameters: more is not tiny, and is not made
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_VOCABULARY = 96  # the words take the first places, tokens of images and sounds the last


class UnbuiltError(ValueError):
    """A class that cannot be made tiny, and why."""


def words(heading: str) -> PreTrainedTokenizerFast:
    """A word-level tokenizer over the text that every model is asked about, with the special tokens of its kind of model."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = dict.fromkeys([*_SPECIAL, *f"{TEXT} {CONTEXT} Who it".split()])
    made: Any = Tokenizer(models.WordLevel({word: i for i, word in enumerate(known)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.Fuse()
    around = ("$A", "$A $B") if heading == "causal LM" else ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]")
    around = ("$A [SEP]", "$A [SEP] $B [SEP]") if heading == "seq2seq LM" else around
    around = (around[0], "[CLS] $A [SEP] [SEP] $B [SEP]") if heading == "question answering" else around  # as RoBERTa's
    made.post_processor = processors.TemplateProcessing(
        single=around[0], pair=around[1], special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _SPECIAL, strict=True))
    inputs = ["input_ids", "attention_mask"]
    wrapped: Any = PreTrainedTokenizerFast
    reader: PreTrainedTokenizerFast = wrapped(
        tokenizer_object=made, model_max_length=48, model_input_names=inputs, eos_token="[SEP]", **names
    )
    return reader


def pixels(model: nn.Module) -> object:
    """An image processor for images of the size that the model reads."""
    from transformers import ViTImageProcessor

    config = model.config
    side = getattr(config, "image_size", None) or getattr(getattr(config, "vision_config", None), "image_size", 64)
    high, wide = side if isinstance(side, list | tuple) else (side, side)
    return ViTImageProcessor(size={"height": int(high), "width": int(wide)}, do_normalize=True)


def tiny(kind: str, name: str, heading: str) -> PreTrainedModel:
    """The model of this class, small and with random weights, in eval mode. Raises UnbuiltError, or what its own code raises.

    The default configuration with every known size made small (`sizes.py`), also of the configurations within it.
    """
    import transformers

    made = getattr(transformers, name)
    with torch.device("meta"):
        size = sum(p.numel() for p in made(_part(small(kind, heading), made)).parameters())
    if size > MOST:
        raise UnbuiltError(f"its configuration does not get small by the usual names: {size:,} parameters")
    torch.manual_seed(0)
    model: PreTrainedModel = made(_part(small(kind, heading), made)).eval().requires_grad_(False)
    with torch.no_grad():
        for p in model.parameters():
            if not bool(torch.isfinite(p).all()) or float(p.abs().max()) > 1e4:  # left as memory happened to be
                p.normal_(0, 0.02)
            elif p.dim() == 2 and heading != "image classification":
                p.mul_(2.0)  # random weights of the usual size answer nearly the same to everything
    return model


def _part(config: PretrainedConfig, made: type[PreTrainedModel]) -> PretrainedConfig:
    """The configuration itself, or that within it which this class is made from, as transformers' own loaders take it."""
    from transformers import PretrainedConfig

    wanted = made.config_class
    if not isinstance(wanted, type) or isinstance(config, wanted):
        return config
    parts = [value for value in vars(config).values() if isinstance(value, PretrainedConfig)]
    return next((part for part in parts if isinstance(part, wanted)), config)


def small(kind: str, heading: str) -> PretrainedConfig:
    """The configuration of this kind of model, made small."""
    import transformers

    own = OWN.get(kind, {})
    if "unbuilt" in own:
        raise UnbuiltError(own["unbuilt"])
    config_class = transformers.CONFIG_MAPPING[kind]
    config = config_class(**_chosen(config_class(**PARTS.get(kind, {})), heading))
    if heading == "causal LM" and hasattr(config, "is_decoder") and not getattr(config, "is_encoder_decoder", False):
        config.is_decoder = True
    if heading == "causal LM" and hasattr(config, "causal"):
        config.causal = True
    part: Any = getattr(config, "decoder", None)
    if heading == "seq2seq LM" and hasattr(part, "is_decoder"):
        part.is_decoder = part.add_cross_attention = True
    return config


def _chosen(default: PretrainedConfig, heading: str) -> dict[str, Any]:
    """What to make this configuration from: every known size made small, its parts likewise, then what the table says."""
    from transformers import PretrainedConfig

    known = {f.name for f in fields(default)} if is_dataclass(default) else set(vars(default))
    told = {name: value for name, value in vars(default).items() if name in known and not name.startswith("_")}
    chosen: dict[str, Any] = {}
    layers = _layers(told)
    for name, value in told.items():
        if isinstance(value, PretrainedConfig):
            chosen[name] = type(value)(**_chosen(value, heading))
        elif layers and isinstance(value, list | tuple) and len(value) == told.get("num_hidden_layers"):
            chosen[name] = [_size(name, value[i]) or value[i] for i in layers]
        elif (size := _size(name, value)) is not None:
            chosen[name] = size
    if layers and "num_hidden_layers" in chosen:
        chosen["num_hidden_layers"] = len(layers)
    if told.get("num_key_value_heads") in (told.get("num_attention_heads"), None) and "num_key_value_heads" in told:
        chosen["num_key_value_heads"] = chosen.get("num_attention_heads")
    if "head_dim" in told and told["head_dim"] is None:
        chosen["head_dim"] = 8
    if heading != "image classification":
        special = {"vocab_size": _VOCABULARY, "decoder_start_token_id": 2, "cls_token_id": 2, "sep_token_id": 3}
        special |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "mask_token_id": 4}
        always = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
        chosen |= {name: value for name, value in special.items() if name in told or name in always}
    labels = {"question answering": 2} if not heading.endswith("classification") else {heading: 3}
    chosen |= {"num_labels": labels[heading]} if heading in labels else {}
    chosen |= OWN.get(default.model_type, {})
    return {name: value for name, value in chosen.items() if value is not Ellipsis}


def _layers(told: dict[str, Any]) -> list[int]:
    """Which of the default's layers are kept: the first of each kind, two at least."""
    count = told.get("num_hidden_layers")
    if not isinstance(count, int) or count < 2:
        return []
    kinds = [value for value in told.values() if isinstance(value, list | tuple) and len(value) == count]
    kinds = [value for value in kinds if all(isinstance(each, str) for each in value)]
    first = {tuple(value[i] for value in kinds): i for i in reversed(range(count))}
    kept = sorted(first.values())
    return kept if len(kept) > 1 else [0, 1]


def _size(name: str, value: object) -> object:
    """What a size of this name becomes; None where it stays as it is."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        if name in SIZES:
            return min(value, SIZES[name]) if value > 0 else None
        if name.endswith(("_token_id", "_token_index", "_index")) and value >= _VOCABULARY:
            return _VOCABULARY - 1 - sum(map(ord, name)) % 40  # a place of its own, among those of no word
        return _VOCABULARY if "vocab_size" in name and value > _VOCABULARY else None
    if isinstance(value, list | tuple) and name in STAGES and all(isinstance(v, int) for v in value):
        return type(value)(STAGES[name](i, v) for i, v in enumerate(value))
    return None
