"""Tiny language models with random weights, one for each architecture that is promised, and templates for tests."""

from __future__ import annotations

import functools
from typing import Any

import torch

from conftest import byte_level, sentence_piece

DECODERS = ("Llama", "Qwen2", "Qwen3", "Gemma", "Mistral", "GPT2", "GPTNeoX", "OPT", "Phi")
ENCODED = ("T5", "Bart")


@functools.cache
def language_model(name: str, seed: int = 0) -> tuple[Any, Any]:
    """The model and its tokenizer; the same object each time."""
    import transformers

    tokenizer = sentence_piece() if name in ENCODED else byte_level()
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 1,
    }
    heads = {"num_key_value_heads": 2, "head_dim": 8}
    own: dict[str, dict[str, Any]] = {
        "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
        "OPT": {"ffn_dim": 37, "word_embed_proj_dim": 32},
        "T5": {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0,
               "eos_token_id": 1, "pad_token_id": 0},
        "Bart": {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
                 "decoder_attention_heads": 4, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "eos_token_id": 1,
                 "pad_token_id": 0, "decoder_start_token_id": 2},
    }  # fmt: skip
    settings |= own.get(name, heads if name not in ("GPTNeoX", "Phi") else {})
    torch.manual_seed(seed)
    ending = {"GPT2": "LMHeadModel", "T5": "ForConditionalGeneration", "Bart": "ForConditionalGeneration"}
    config = getattr(transformers, f"{name}Config")(**settings)
    model = getattr(transformers, name + ending.get(name, "ForCausalLM"))(config)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(3.0)
    return model.eval(), tokenizer


def straight(model: Any, tokenizer: Any, prompt: str, target: str) -> torch.Tensor:
    """[T]: the log-probabilities of the target's tokens, from one plain call on the joined ids."""
    before = tokenizer(prompt)["input_ids"]
    after = tokenizer(target, add_special_tokens=False)["input_ids"]
    goal = torch.tensor(after)[:, None]
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            start = [model.config.decoder_start_token_id]
            given = {"input_ids": torch.tensor([before]), "decoder_input_ids": torch.tensor([start + after[:-1]])}
            logits = model(**given).logits[0]
        else:
            logits = model(input_ids=torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
    return logits.double().log_softmax(-1).gather(-1, goal)[:, 0]
