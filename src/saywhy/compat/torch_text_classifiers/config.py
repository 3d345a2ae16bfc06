"""The two configurations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from .model.components import AttentionConfig


@dataclass
class ModelConfig:
    """The network: width, classes (a list for several levels), categorical columns, attention, pooling."""

    embedding_dim: int
    num_classes: int | list[int] | None = None
    categorical_vocabulary_sizes: list[int] | None = None
    categorical_embedding_dims: list[int] | int | None = None
    attention_config: AttentionConfig | None = None
    n_heads_label_attention: int | None = None
    aggregation_method: str | None = "mean"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelConfig:
        """The configuration that `to_dict` described."""
        attention = data.get("attention_config")
        made = AttentionConfig(**attention) if isinstance(attention, dict) else attention
        return cls(**{**data, "attention_config": made})


@dataclass
class TrainingConfig:
    """The run. `num_workers` is kept for its name's sake: the data is in memory, and more processes only cost.

    `save_path` is a folder for the trained classifier, "my_ttc" as there; None writes nothing.
    """

    num_epochs: int
    batch_size: int
    lr: float
    raw_categorical_inputs: bool | None = True
    raw_labels: bool | None = True
    loss: torch.nn.Module = field(default_factory=torch.nn.CrossEntropyLoss)
    optimizer: Callable[..., Any] = torch.optim.Adam
    scheduler: Callable[..., Any] | None = None
    accelerator: str = "auto"
    num_workers: int = 0
    patience_early_stopping: int = 3
    dataloader_params: dict[str, Any] | None = None
    trainer_params: dict[str, Any] | None = None
    optimizer_params: dict[str, Any] | None = None
    scheduler_params: dict[str, Any] | None = None
    save_path: str | None = "my_ttc"

    def to_dict(self) -> dict[str, Any]:
        """Plain data; loss and scheduler by their names."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["loss"] = type(self.loss).__name__
        if self.scheduler is not None:
            data["scheduler"] = getattr(self.scheduler, "__name__", str(self.scheduler))
        return data
