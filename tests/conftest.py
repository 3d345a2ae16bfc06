"""Tiny tokenizers and models, made here: nothing is downloaded."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

import shapes

shapes.install()  # before anything of saywhy is imported
torch.set_num_threads(1)  # models as tiny as these are slower with more, and the suite has a worker per core already
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same for the processes that tests start

CORPUS = [
    "I love you, I like you, I also kinda dislike you",
    "The movie was absolutely fantastic and inspiring, don't miss it!",
    "a dull, predictable mess of a film... not good at all",
    "Größe café naïve résumé über alles; the the the 3,520.31 U.S.",
    "short", "What a lovely day. What a terrible night! Why? Nobody knows.",
]  # fmt: skip
TEXTS = [
    "I love you, I like you, I also kinda dislike you",
    "the the the",
    "Größe café 😀👍🏽 naïve",
    "a dull,\n\n  predictable   mess\twasn't it",
    "我爱你 movie",
    "good",
]


@functools.cache
def word_piece() -> PreTrainedTokenizerFast:
    """BERT-like: lower case, accents stripped, [CLS] … [SEP], token types, a mask token."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, model_input_names=inputs, **names)


@functools.cache
def byte_level(pad: str | None = "<pad>", mask: str | None = None) -> PreTrainedTokenizerFast:
    """GPT-2-like: byte-level BPE, nothing added around the text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<pad>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    names = {"unk_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}
    if pad:
        names["pad_token"] = pad
    if mask:
        names["mask_token"] = mask
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, model_input_names=inputs, **names)


@functools.cache
def roberta_like() -> PreTrainedTokenizerFast:
    """Byte-level BPE with <s> … </s>, padding id 1 and a mask token, as RoBERTa has them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>"}
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        model_input_names=inputs,
        unk_token="<unk>",
        mask_token="<mask>",
        **names,
    )


@functools.cache
def sentence_piece() -> PreTrainedTokenizerFast:
    """T5-like: a unigram model over ▁words, </s> at the end."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, model_input_names=inputs, **names)


def _bert(**more: Any) -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**{**_small(word_piece()), "max_position_embeddings": 64, **more}))


def _small(tokenizer: Any, labels: int = 3) -> dict[str, Any]:
    """The words that most configurations understand, for a tiny model over this tokenizer."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": labels,
    }


def _configured(name: str, tokenizer: Any, **more: Any) -> Any:
    import transformers

    config = getattr(transformers, f"{name}Config")(**{**_small(tokenizer), **more})
    return getattr(transformers, f"{name}ForSequenceClassification")(config)


def _built(name: str) -> tuple[Any, Any]:
    heads = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    distil = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37, "max_position_embeddings": 64}
    bart = {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
    }
    bart |= {"encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "max_position_embeddings": 64, "eos_token_id": 1}
    t5 = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    llama = {"num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 0}
    roberta = {"max_position_embeddings": 66, "type_vocab_size": 1, "bos_token_id": 0, "eos_token_id": 2}
    modern = {"max_position_embeddings": 64, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    table: dict[str, Callable[[], tuple[Any, Any]]] = {
        "bert": lambda: (_bert(), word_piece()),
        "distilbert": lambda: (_configured("DistilBert", word_piece(), **distil), word_piece()),
        "roberta": lambda: (_configured("Roberta", roberta_like(), **roberta), roberta_like()),
        "xlm-roberta": lambda: (_configured("XLMRoberta", roberta_like(), **roberta), roberta_like()),
        "albert": lambda: (
            _configured("Albert", word_piece(), embedding_size=16, max_position_embeddings=64),
            word_piece(),
        ),
        "electra": lambda: (
            _configured("Electra", word_piece(), embedding_size=16, max_position_embeddings=64),
            word_piece(),
        ),
        "deberta-v2": lambda: (_configured("DebertaV2", word_piece(), max_position_embeddings=64), word_piece()),
        "modernbert": lambda: (_configured("ModernBert", word_piece(), **modern), word_piece()),
        "xlnet": lambda: (
            _configured("XLNet", word_piece(), d_model=32, n_layer=2, n_head=4, d_inner=37),
            word_piece(),
        ),
        "gpt2": lambda: (_configured("GPT2", byte_level(), **heads), byte_level()),
        "gpt2-pad-eos": lambda: (
            _configured("GPT2", byte_level("<|endoftext|>"), **heads),
            byte_level("<|endoftext|>"),
        ),
        "gpt2-no-pad": lambda: (_configured("GPT2", byte_level(None), **heads), byte_level(None)),
        "llama": lambda: (_configured("Llama", byte_level(), **llama), byte_level()),
        "qwen2": lambda: (_configured("Qwen2", byte_level(), **llama), byte_level()),
        "bart": lambda: (_configured("Bart", sentence_piece(), **bart), sentence_piece()),
        "t5": lambda: (_configured("T5", sentence_piece(), **t5), sentence_piece()),
    }
    torch.manual_seed(0)
    model, tokenizer = table[name]()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(2.0)  # random weights of the usual size answer the same number to everything
    return model, tokenizer


ARCHITECTURES = (
    "bert", "distilbert", "roberta", "xlm-roberta", "albert", "electra", "deberta-v2", "modernbert", "xlnet",
    "gpt2", "gpt2-pad-eos", "gpt2-no-pad", "llama", "qwen2", "bart", "t5",
)  # fmt: skip


@functools.cache
def tiny(name: str) -> tuple[Any, Any]:
    """A tiny model with random weights, and its tokenizer; the same object each time."""
    model, tokenizer = _built(name)
    return model.eval(), tokenizer


HEADED = {
    "tokens": "ForTokenClassification",
    "span": "ForQuestionAnswering",
    "blanks": "ForMaskedLM",
    "vector": "Model",
}
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
NLI = {0: "contradiction", 1: "neutral", 2: "Entailment"}


@functools.cache
def headed(name: str, head: str, labels: str = "") -> tuple[Any, Any]:
    """The tiny model of that name with another head (a key of HEADED, or "labels" for a classifier of NLI)."""
    import copy

    import transformers

    classifier, tokenizer = tiny(name)
    stem = type(classifier).__name__.removesuffix("ForSequenceClassification")
    config = copy.deepcopy(classifier.config)
    if head in ("tokens", "labels"):
        config.id2label = dict(TAGS if head == "tokens" else NLI)
        config.label2id = {label: i for i, label in config.id2label.items()}
    ending = {"labels": "ForSequenceClassification", **HEADED}[head]
    if head == "span":
        config.num_labels = 2
    if name == "xlnet" and head == "span":
        ending += "Simple"
    torch.manual_seed(1)
    model = getattr(transformers, stem + ending)(config)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(2.0)
    return model.eval(), tokenizer


@pytest.fixture
def bert() -> tuple[Any, Any]:
    return tiny("bert")


@pytest.fixture
def make() -> Callable[..., tuple[Any, Any]]:
    """Makes a fresh tiny BERT, for tests that change it."""

    def made(**more: Any) -> tuple[Any, Any]:
        torch.manual_seed(0)
        return _bert(**more).eval(), word_piece()

    return made
