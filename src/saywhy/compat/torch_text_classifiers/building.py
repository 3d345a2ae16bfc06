"""The network that a ModelConfig describes."""

from __future__ import annotations

from .config import ModelConfig
from .model import TextClassificationModel
from .model.components import (
    CategoricalVariableNet,
    ClassificationHead,
    LabelAttentionConfig,
    SentenceEmbedder,
    SentenceEmbedderConfig,
    TokenEmbedder,
    TokenEmbedderConfig,
)
from .tokenizers import BaseTokenizer, inner_of


def built(
    tokenizer: BaseTokenizer, config: ModelConfig, classes: int, sizes: list[int] | None
) -> TextClassificationModel:
    """A fresh network; the caller's random state decides its weights, as torch's own modules do."""
    inner, width, heads = inner_of(tokenizer), config.embedding_dim, config.n_heads_label_attention
    token = TokenEmbedderConfig(inner.size, width, inner.padding, config.attention_config)
    label = None if heads is None else LabelAttentionConfig(heads, classes, width)
    net = CategoricalVariableNet(sizes, config.categorical_embedding_dims, width) if sizes else None
    beside = 0 if net is None or net.joining == "sum" else net.output_dim
    return TextClassificationModel(
        ClassificationHead(width + beside, 1 if label else classes),
        TokenEmbedder(token),
        SentenceEmbedder(SentenceEmbedderConfig(config.aggregation_method, label)),
        net,
    )
