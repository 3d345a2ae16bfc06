"""Which methods give a result on every class that transformers registers for sequence classification, built tiny from its config.

    python benchmarks/architectures.py [name ...] > table.md

Each class gets its default configuration made small, random weights and a word-level tokenizer made here; nothing is downloaded.
A row says whether the prediction equals a plain call of the model, and for one method of each kind "yes" or why not.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as NAMES

import saywhy

TEXT = "the film was not good at all"
METHODS = ("occlusion", "integrated_gradients", "libra", "attention_rollout")
SIZES = {
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "embedding_size": 32, "emb_dim": 32,
    "num_hidden_layers": 2, "num_layers": 2, "n_layers": 2, "n_layer": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_attention_heads": 4, "n_heads": 4, "n_head": 4, "num_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "intermediate_size": 48, "hidden_dim": 48, "d_ff": 48,
    "d_inner": 48, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "ffn_dim": 48, "d_kv": 8, "num_decoder_layers": 2,
}  # fmt: skip


def tokenizer() -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word: i for i, word in enumerate([*special, *TEXT.split()])}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=64, model_input_names=inputs, **named)


def tiny(kind: str, name: str, words: int) -> Any:
    config_class = transformers.CONFIG_MAPPING[kind]
    default = config_class()
    chosen = {key: size for key, size in SIZES.items() if isinstance(getattr(default, key, None), int)}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2}
    config = config_class(**chosen, vocab_size=words, num_labels=3, **special)
    with torch.device("meta"):
        size = sum(p.numel() for p in getattr(transformers, name)(config).parameters())
    if size > 5e6:
        raise ValueError(f"its configuration does not get small by the usual names: {size:,} parameters")
    torch.manual_seed(0)
    return getattr(transformers, name)(config).eval()


def row(kind: str, name: str) -> list[str]:
    """Class, parity, and for each method "yes" or the first words of why not."""
    words = tokenizer()
    try:
        model = tiny(kind, name, len(words))
        with torch.no_grad():
            plain = model(**words(TEXT, return_tensors="pt")).logits[0]
    except Exception as error:
        return [name, f"not built: {_short(error)}"]
    try:
        explainer = saywhy.Explainer(model, words)
        value = explainer(TEXT, method="random", target=0).value
    except Exception as error:
        return [name, f"not adapted: {_short(error)}"]
    out = [name, "yes" if abs(value - float(plain[0])) <= 1e-5 else f"off by {abs(value - float(plain[0])):.1e}"]
    for method in METHODS:
        try:
            explainer(TEXT, method=method, target=0)
            out.append("yes")
        except Exception as error:
            out.append(_short(error))
    return out


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0].replace("|", "/")[:90]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    print("| class | prediction | " + " | ".join(METHODS) + " |")
    print("| --- " * (len(METHODS) + 2) + "|")
    for kind, name in NAMES.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            print("| " + " | ".join(row(kind, name)) + " |", flush=True)
