"""Their Lightning module by its name, for those who run a Trainer themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ....core.errors import OptionError, missing

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
    from torch.optim import Optimizer

try:
    import lightning.pytorch as pl
except ImportError:
    raise missing("lightning", "Training a classifier", "train") from None


class TextClassificationModule(pl.LightningModule):
    """Steps over the batches of `TextClassificationDataset.create_dataloader`."""

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        optimizer: Callable[..., Any],
        optimizer_params: Mapping[str, Any],
        scheduler: Callable[..., Any] | None,
        scheduler_params: Mapping[str, Any] | None,
        scheduler_interval: str = "epoch",
    ):
        super().__init__()
        if getattr(model, "num_classes", None) is None:
            raise OptionError("The model must tell its classes: an attribute num_classes.")
        self.model, self.loss = model, loss
        self.choices = (optimizer, dict(optimizer_params), scheduler, dict(scheduler_params or {}), scheduler_interval)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor | list[Tensor]:
        answer: Tensor | list[Tensor] = self.model(
            batch["input_ids"], batch["attention_mask"], batch.get("categorical_vars")
        )
        return answer

    def _step(self, batch: Mapping[str, Tensor], name: str) -> Tensor:
        answer, wanted = self(batch), batch["labels"]
        loss = self.loss(answer, wanted).mean()
        self.log(f"{name}_loss", loss, prog_bar=True, on_epoch=True, batch_size=len(wanted))
        if isinstance(answer, Tensor) and wanted.dim() == 1:
            right = (answer.argmax(-1) == wanted).float().mean()
            self.log(f"{name}_accuracy", right, on_epoch=True, batch_size=len(wanted))
        return loss

    def training_step(self, batch: Mapping[str, Tensor], _: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: Mapping[str, Tensor], _: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def predict_step(self, batch: Mapping[str, Tensor], batch_idx: int = 0, dataloader_idx: int = 0) -> Tensor:
        answer = self(batch)
        return answer.argmax(-1) if isinstance(answer, Tensor) else torch.stack([a.argmax(-1) for a in answer], -1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer, settings, scheduler, more, interval = self.choices
        made: Optimizer = optimizer(self.parameters(), **settings)
        if scheduler is None:
            return made
        plan: LRSchedulerConfigType = {
            "scheduler": scheduler(made, **more),
            "interval": interval,
            "monitor": "val_loss",
        }
        return {"optimizer": made, "lr_scheduler": plan}
