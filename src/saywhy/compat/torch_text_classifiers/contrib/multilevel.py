"""Several levels at once: a head each over one text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....core.errors import OptionError
from ..model.components import CategoricalVariableNet, ClassificationHead, SentenceEmbedder, TokenEmbedder


class MultiLevelTextClassificationModel(nn.Module):
    """ids and mask [B, T] and codes [B, V] to a list of logits, one [B, classes of the level] a level."""

    def __init__(
        self,
        token_embedder: TokenEmbedder,
        sentence_embedders: Sequence[SentenceEmbedder],
        classification_heads: Sequence[ClassificationHead],
        categorical_variable_net: CategoricalVariableNet | None,
    ):
        super().__init__()
        if len(sentence_embedders) != len(classification_heads):
            given = f"{len(sentence_embedders)} and {len(classification_heads)}"
            raise OptionError(f"Each level has a sentence embedder and a head; here are {given}.")
        self.token_embedder = token_embedder
        self.sentence_embedders = nn.ModuleList(sentence_embedders)
        self.classification_heads = nn.ModuleList(classification_heads)
        self.categorical_variable_net = categorical_variable_net
        self.num_classes = [
            head.num_classes if level.label_attention_config is None else level.label_attention_config.num_classes
            for level, head in zip(sentence_embedders, classification_heads, strict=True)
        ]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, categorical_vars: Tensor | None = None, **_: object
    ) -> list[Tensor]:
        x = self.token_embedder(input_ids, attention_mask)["token_embeddings"]
        out = []
        for level, head in zip(self.sentence_embedders, self.classification_heads, strict=True):
            text = level(x, attention_mask)["sentence_embedding"]
            if self.categorical_variable_net is not None and categorical_vars is not None:
                text = self.categorical_variable_net.join(text, categorical_vars)
            logits = head(text)
            out.append(logits.squeeze(-1) if logits.dim() == 3 else logits)
        return out


class MultiLevelCrossEntropyLoss(nn.Module):
    """The mean cross-entropy over levels, each weighted by its number of classes where `num_classes` gives them. [B]."""

    def __init__(self, num_classes: Sequence[int] | None = None):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
        weights = [1] * len(outputs) if self.num_classes is None else list(self.num_classes)
        each = [
            w * F.cross_entropy(z, y, reduction="none")
            for w, z, y in zip(weights, outputs, labels.unbind(1), strict=True)
        ]
        return torch.stack(each).sum(0) / sum(weights)
