"""Their network by its name: the parts put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from ....core.errors import ModelError, OptionError
from .components import (
    AttentionConfig,
    CategoricalVariableNet,
    ClassificationHead,
    LabelAttentionConfig,
    SentenceEmbedder,
    SentenceEmbedderConfig,
    TokenEmbedder,
    TokenEmbedderConfig,
)


class TextClassificationModel(nn.Module):
    """ids and mask [B, T] and codes [B, V] to logits [B, C].

    With `return_label_attention_matrix`: {"logits", "label_attention_matrix" [B, H, C, T]}.
    """

    def __init__(
        self,
        classification_head: ClassificationHead,
        token_embedder: TokenEmbedder | None = None,
        sentence_embedder: SentenceEmbedder | None = None,
        categorical_variable_net: CategoricalVariableNet | None = None,
    ):
        super().__init__()
        if token_embedder is None or sentence_embedder is None:
            raise OptionError("A model needs a TokenEmbedder and a SentenceEmbedder.")
        self.token_embedder, self.sentence_embedder = token_embedder, sentence_embedder
        self.categorical_variable_net, self.classification_head = categorical_variable_net, classification_head
        label = sentence_embedder.label_attention_config
        self.num_classes = classification_head.num_classes if label is None else label.num_classes
        net = categorical_variable_net
        width = token_embedder.embedding_dim
        if net is not None:
            width = net.output_dim + (0 if net.joining == "sum" else width)
            if net.joining == "sum" and net.output_dim != token_embedder.embedding_dim:
                raise OptionError("Variables that are added to the text must be as wide as it.")
        if classification_head.input_dim != width:
            raise OptionError(f"The head reads {classification_head.input_dim} numbers and the text has {width}.")
        if label is not None and classification_head.num_classes != 1:
            raise OptionError("With label attention the head answers one number for each class: num_classes=1.")

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        categorical_vars: Tensor | None = None,
        return_label_attention_matrix: bool = False,
        **_: object,
    ) -> Any:
        x = self.token_embedder(input_ids, attention_mask)["token_embeddings"]
        found = self.sentence_embedder(x, attention_mask, return_label_attention_matrix)
        text = found["sentence_embedding"]
        if self.categorical_variable_net is not None:
            if categorical_vars is None:
                raise ModelError("This model reads categorical variables beside the text.")
            text = self.categorical_variable_net.join(text, categorical_vars)
        logits = self.classification_head(text)
        if logits.dim() == 3:
            logits = logits.squeeze(-1)
        if return_label_attention_matrix:
            return {"logits": logits, "label_attention_matrix": found["label_attention_matrix"]}
        return logits

    @property
    def has_label_attention(self) -> bool:
        return self.sentence_embedder.label_attention is not None

    def attended(self, ids: Tensor, mask: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(logits [B, C], label attention [B, H, C, T]); ModelError where there is none."""
        if self.sentence_embedder.label_attention is None:
            raise ModelError("The model was not configured with label attention: set n_heads_label_attention.")
        found = self(ids, mask, codes, return_label_attention_matrix=True)
        return found["logits"], found["label_attention_matrix"]

    def settings(self) -> dict[str, Any]:
        """Plain data from which `from_settings` makes a model of this shape. A head of the caller's own has none."""
        if not isinstance(self.classification_head.net, nn.Linear):
            raise ModelError("A head with a net of the caller's own cannot be saved as plain data.")
        net = self.categorical_variable_net
        sizes = None if net is None else [net.categorical_vocabulary_sizes, net.categorical_embedding_dims]
        return {
            "token": asdict(self.token_embedder.config),
            "sentence": asdict(self.sentence_embedder.config),
            "categories": sizes,
            "head": [self.classification_head.input_dim, self.classification_head.num_classes],
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TextClassificationModel:
        """A model of the shape that `settings` described, with fresh weights."""
        token, sentence = dict(settings["token"]), dict(settings["sentence"])
        if token["attention_config"] is not None:
            token["attention_config"] = AttentionConfig(**token["attention_config"])
        if sentence["label_attention_config"] is not None:
            sentence["label_attention_config"] = LabelAttentionConfig(**sentence["label_attention_config"])
        sizes, dims = settings["categories"] or (None, None)
        net = CategoricalVariableNet(sizes, dims, token["embedding_dim"]) if sizes else None
        return cls(
            ClassificationHead(*settings["head"]),
            TokenEmbedder(TokenEmbedderConfig(**token)),
            SentenceEmbedder(SentenceEmbedderConfig(**sentence)),
            net,
        )
