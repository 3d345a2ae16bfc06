"""The parts of their network by their names, each over one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from ....classifier.network import POOLINGS, Block, LabelAttention, Variables, checked_heads, pooled
from ....core.errors import InputError, OptionError, unknown


@dataclass
class AttentionConfig:
    """Self-attention blocks with rotary positions; `sequence_len` is kept for its name's sake: no length is a limit."""

    n_layers: int
    n_head: int
    n_kv_head: int
    sequence_len: int | None = None
    positional_encoding: bool = True


@dataclass
class LabelAttentionConfig:
    """A query a class, `n_head` heads."""

    n_head: int
    num_classes: int
    embedding_dim: int


@dataclass
class TokenEmbedderConfig:
    """The token table and the blocks over it."""

    vocab_size: int
    embedding_dim: int
    padding_idx: int
    attention_config: AttentionConfig | None = None


@dataclass
class SentenceEmbedderConfig:
    """Pooling by "mean", "first" or "last", or label attention."""

    aggregation_method: str | None = "mean"
    label_attention_config: LabelAttentionConfig | None = None


class TokenEmbedder(nn.Module):
    """ids and mask [B, T] to {"token_embeddings" [B, T, E], "attention_mask"}."""

    def __init__(self, token_embedder_config: TokenEmbedderConfig):
        super().__init__()
        c = self.config = token_embedder_config
        self.attention_config, self.embedding_dim = c.attention_config, c.embedding_dim
        self.vocab_size, self.padding_idx = c.vocab_size, c.padding_idx
        a = c.attention_config
        if a is not None:
            checked_heads(c.embedding_dim, a.n_head, a.n_kv_head, a.positional_encoding)
        self.embedding_layer = nn.Embedding(c.vocab_size, c.embedding_dim, padding_idx=c.padding_idx)
        self.blocks = nn.ModuleList(
            [Block(c.embedding_dim, a.n_head, a.n_kv_head, a.positional_encoding) for _ in range(a.n_layers)]
            if a
            else []
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Small random vectors, zero for padding."""
        with torch.no_grad():
            self.embedding_layer.weight.normal_(std=0.1)
            self.embedding_layer.weight[self.padding_idx] = 0

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        if input_ids.shape != attention_mask.shape:
            raise InputError(
                f"input_ids {tuple(input_ids.shape)} and attention_mask {tuple(attention_mask.shape)} must have one shape."
            )
        x = self.embedding_layer(input_ids)
        for block in self.blocks:
            x = block(x, attention_mask)
        return {"token_embeddings": x, "attention_mask": attention_mask}


class SentenceEmbedder(nn.Module):
    """[B, T, E] to {"sentence_embedding" [B, E] or [B, C, E], "label_attention_matrix" None or [B, H, C, T]}."""

    def __init__(self, sentence_embedder_config: SentenceEmbedderConfig):
        super().__init__()
        c = self.config = sentence_embedder_config
        self.label_attention_config, self.aggregation_method = c.label_attention_config, c.aggregation_method
        label = c.label_attention_config
        if label is None and c.aggregation_method not in POOLINGS:
            raise unknown("aggregation_method", c.aggregation_method, POOLINGS)
        self.label_attention = LabelAttention(label.embedding_dim, label.num_classes, label.n_head) if label else None

    def forward(
        self, token_embeddings: Tensor, attention_mask: Tensor, return_label_attention_matrix: bool = False
    ) -> dict[str, Tensor | None]:
        if token_embeddings.shape[:2] != attention_mask.shape:
            raise InputError(
                f"The embeddings are {tuple(token_embeddings.shape)} and the attention_mask {tuple(attention_mask.shape)}: "
                "the mask must have their rows and positions."
            )
        if self.label_attention is None:
            how = str(self.aggregation_method)
            return {
                "sentence_embedding": pooled(token_embeddings, attention_mask, how),
                "label_attention_matrix": None,
            }
        weights = None
        if return_label_attention_matrix:
            weights = self.label_attention.weights(token_embeddings, attention_mask)
        found = self.label_attention(token_embeddings, attention_mask)
        return {"sentence_embedding": found, "label_attention_matrix": weights}


class CategoricalForwardType(Enum):
    """How the categorical variables stand beside the text."""

    SUM_TO_TEXT = "EMBEDDING_SUM"
    AVERAGE_AND_CONCAT = "EMBEDDING_AVERAGE"
    CONCATENATE_ALL = "EMBEDDING_CONCAT"


class CategoricalVariableNet(Variables):
    """Codes [B, V] to one vector [B, output_dim] beside the text; dims: a list concatenates, one averages, None adds."""

    def __init__(
        self,
        categorical_vocabulary_sizes: Sequence[int],
        categorical_embedding_dims: Sequence[int] | int | None = None,
        text_embedding_dim: int | None = None,
    ):
        sizes, dims = list(categorical_vocabulary_sizes), categorical_embedding_dims
        if dims is None and text_embedding_dim is None:
            raise OptionError("Variables that are added to the text need `text_embedding_dim`.")
        joining = "sum" if dims is None else "average" if isinstance(dims, int) else "concatenate"
        super().__init__(sizes, text_embedding_dim or 0, joining, dims)
        self.categorical_vocabulary_sizes, self.categorical_embedding_dims = sizes, dims
        self.text_embedding_dim, self.num_categorical_features = text_embedding_dim, len(sizes)
        self.forward_type = {
            "sum": CategoricalForwardType.SUM_TO_TEXT,
            "average": CategoricalForwardType.AVERAGE_AND_CONCAT,
            "concatenate": CategoricalForwardType.CONCATENATE_ALL,
        }[joining]
        self.output_dim = self.width if joining == "sum" else self.width - (text_embedding_dim or 0)

    def vectors(self, codes: Tensor) -> list[Tensor]:
        """A vector [B, width of the variable] for each variable. Raises InputError for a code that its column has not."""
        if codes.dim() != 2 or codes.shape[1] != len(self.sizes):
            raise InputError(f"The codes are an array [N, {len(self.sizes)}], not {tuple(codes.shape)}.")
        outside = (codes < -1) | (codes >= torch.tensor(self.sizes, device=codes.device))
        if outside.any():
            row, column = outside.nonzero()[0].tolist()
            raise InputError(
                f"Column {column}, row {row}: the code {int(codes[row, column])} is outside the range "
                f"[0, {self.sizes[column] - 1}] of this variable."
            )
        return super().vectors(codes)


class ClassificationHead(nn.Module):
    """A linear layer, or the caller's own `net` that begins and ends with one."""

    def __init__(self, input_dim: int | None = None, num_classes: int | None = None, net: nn.Module | None = None):
        super().__init__()
        if net is None:
            if input_dim is None or num_classes is None:
                raise OptionError("A head needs input_dim and num_classes, or a net.")
            net = nn.Linear(input_dim, num_classes)
        ends: tuple[Any, Any] = (net[0], net[-1]) if isinstance(net, nn.Sequential) else (net, net)
        if not all(isinstance(end, nn.Linear) for end in ends):
            raise TypeError(f"A head's net is a Linear, or a Sequential that begins and ends with one; not {net!r:.80}")
        self.net = net
        self.input_dim, self.num_classes = ends[0].in_features, ends[1].out_features

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out
