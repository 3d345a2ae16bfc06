"""Their dataset by its name: texts, codes and labels as batches for a DataLoader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ....core.errors import InputError, ModelError
from ..tokenizers import BaseTokenizer


class TextClassificationDataset(Dataset[dict[str, Any]]):
    """Batches are {"input_ids", "attention_mask", "categorical_vars" (float32 or None), "labels"}."""

    def __init__(
        self,
        texts: Sequence[str],
        categorical_variables: ArrayLike | Tensor | None,
        tokenizer: BaseTokenizer,
        labels: Sequence[Any] | Tensor | NDArray[Any] | None = None,
        ragged_multilabel: bool = False,
    ):
        if not tokenizer.trained:
            raise ModelError(f"The {type(tokenizer).__name__} must be trained before it is used.")
        if labels is not None and len(labels) != len(texts):
            raise InputError(f"{len(texts)} texts and {len(labels)} labels were given.")
        self.texts, self.tokenizer, self.ragged_multilabel = list(texts), tokenizer, ragged_multilabel
        codes = categorical_variables
        self.categorical_variables = None if codes is None else torch.as_tensor(codes, dtype=torch.float32)
        self.labels = labels
        if ragged_multilabel and labels is not None:
            self.num_classes = 1 + max((int(label) for row in labels for label in row), default=0)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, i: int) -> dict[str, Any]:
        codes = None if self.categorical_variables is None else self.categorical_variables[i]
        label = None if self.labels is None else self.labels[i]
        return {"text": self.texts[i], "categorical_variables": codes, "labels": label}

    def collate_fn(self, batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One batch of items."""
        tokens = self.tokenizer.tokenize([item["text"] for item in batch])
        codes = None
        if self.categorical_variables is not None:
            codes = torch.stack([item["categorical_variables"] for item in batch])
        return {
            "input_ids": tokens.input_ids,
            "attention_mask": tokens.attention_mask,
            "categorical_vars": codes,
            "labels": None if self.labels is None else self._labels([item["labels"] for item in batch]),
        }

    def _labels(self, labels: Sequence[Any]) -> Tensor:
        if not self.ragged_multilabel:
            return torch.stack([torch.as_tensor(label) for label in labels])
        out = torch.zeros(len(labels), self.num_classes)
        for b, row in enumerate(labels):
            out[b, [int(label) for label in row]] = 1.0
        return out

    def create_dataloader(
        self,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        num_workers: int = 0,
        pin_memory: bool = False,
        persistent_workers: bool = True,
        **kwargs: Any,
    ) -> DataLoader[dict[str, Any]]:
        """A DataLoader over the rows; `kwargs` go to it."""
        return DataLoader(
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=persistent_workers and num_workers > 0,
            collate_fn=self.collate_fn,
            **kwargs,
        )
