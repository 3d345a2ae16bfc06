"""One training run under PyTorch Lightning: quiet, nothing written, the best weights kept in memory."""

from __future__ import annotations

import logging
import math
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..core.errors import ModelError
from .batches import Order, Rows

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler

    from .classifier import TextClassifier
    from .training import Training

Loss = Callable[[Any, Tensor], Tensor]
Batch = dict[str, Tensor]


class TrainingModule(pl.LightningModule):
    """What happens to one batch."""

    def __init__(self, classifier: TextClassifier, training: Training, loss: Loss, steps: int):
        super().__init__()
        self.network, self.training_choices, self.steps = classifier.network, training, steps
        self.loss = loss
        self.problem, self.mask_id = classifier.problem, classifier.tokenizer.mask
        self.draw = torch.Generator().manual_seed(training.seed)
        self.sums: dict[str, list[Any]] = {}  # name -> the sum over rows (on the device) and the rows

    def training_step(self, batch: Batch, _: int) -> Tensor:
        loss = self.loss(answered(self.network, self._hidden(batch)), self._wanted(batch))
        self._note("train_loss", loss.detach(), len(batch["ids"]))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        logits = answered(self.network, batch)
        self._note("val_loss", self.loss(logits, self._wanted(batch)), len(batch["ids"]))
        if isinstance(logits, Tensor):
            right = correct(logits, batch["targets"], self.problem)
            self._note("val_accuracy", right, len(batch["ids"]))

    def _wanted(self, batch: Batch) -> Tensor:
        wanted = batch["targets"]
        single = self.training_choices.loss is not None and self.problem == "multi-class" and wanted.shape[1] == 1
        return wanted[:, 0] if single else wanted  # a caller's loss gets [B], as torch's own do

    def _hidden(self, batch: Batch) -> Batch:
        """The batch with a share of its tokens and categorical values hidden."""
        share = self.training_choices.hidden
        if not share:
            return batch
        out = dict(batch)
        if self.mask_id is not None:
            gone = torch.rand(batch["ids"].shape, generator=self.draw).to(batch["ids"].device) < share
            out["ids"] = batch["ids"].masked_fill(gone & batch["mask"], self.mask_id)
        if "codes" in batch:
            gone = torch.rand(batch["codes"].shape, generator=self.draw).to(batch["codes"].device) < share
            out["codes"] = batch["codes"].masked_fill(gone, -1)
        return out

    def _note(self, name: str, value: Tensor | float, rows: int) -> None:
        held = self.sums.setdefault(name, [0.0, 0.0])
        held[0] = held[0] + value * rows
        held[1] += rows
        self.log(name, held[0] / held[1], prog_bar=True, on_step=True, on_epoch=False, batch_size=rows)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        chosen = self.training_choices
        asked = [p for p in self.network.parameters() if p.requires_grad]
        if chosen.optimizer is not None:
            optimizer = chosen.optimizer(asked, lr=chosen.lr)
        else:
            optimizer = torch.optim.AdamW(asked, lr=chosen.lr, weight_decay=chosen.weight_decay)
        if chosen.schedule == "plateau" or not isinstance(chosen.schedule, str):
            made = chosen.schedule if not isinstance(chosen.schedule, str) else _plateau
            schedule = made(optimizer)
            monitor = "val_loss" if self.trainer.val_dataloaders is not None else "train_loss"
            watching: LRSchedulerConfigType = {"scheduler": schedule, "monitor": monitor}
            return {"optimizer": optimizer, "lr_scheduler": watching}
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor)
        stepping: LRSchedulerConfigType = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": stepping}

    def _factor(self, step: int) -> float:
        """The learning rate at a step, as a share of the highest."""
        warm = int(self.training_choices.warmup * self.steps)
        if step < warm:
            return (step + 1) / (warm + 1)
        done = (step - warm) / max(1, self.steps - warm)
        return {"linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * min(1.0, done)))}.get(
            str(self.training_choices.schedule), 1.0
        )


def _plateau(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)


def answered(network: nn.Module, batch: Batch) -> object:
    """The network's logits: [B, C], or a caller's own list of them."""
    return network(batch["ids"], batch["mask"], batch.get("codes"))


def correct(logits: Tensor, wanted: Tensor, problem: str) -> float:
    """The share of right answers: of the rows, or for several labels of all their yes and no."""
    if problem == "multi-label":
        return float(((logits > 0) == (wanted > 0.5)).float().mean())
    if problem == "soft":
        return float((logits.argmax(1) == wanted.argmax(1)).float().mean())
    return float((logits.argmax(1) == wanted[:, 0]).float().mean()) if wanted.shape[1] == 1 else math.nan


class Best(pl.Callback):
    """Keeps the weights of the epoch with the least loss, and ends a run that no longer gets better."""

    def __init__(self, patience: int | None):
        self.patience = patience
        self.epochs: list[dict[str, float]] = []
        self.best = -1
        self.weights: dict[str, Tensor] = {}

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        numbers = {name: float(total) / rows for name, (total, rows) in module.sums.items() if rows}
        module.sums.clear()
        self.epochs.append(numbers)
        watched = "val_loss" if "val_loss" in numbers else "train_loss"
        if math.isnan(numbers[watched]):
            raise ModelError(f"The {watched} of epoch {len(self.epochs) - 1} is not a number: lower the learning rate.")
        if self.best < 0 or numbers[watched] < self.epochs[self.best][watched]:
            self.best = len(self.epochs) - 1
            self.weights = {name: w.detach().cpu().clone() for name, w in module.network.state_dict().items()}
        elif self.patience is not None and len(self.epochs) - 1 - self.best >= self.patience:
            trainer.should_stop = True


def run(
    classifier: TextClassifier, rows: Rows, held: Rows | None, training: Training, loss: Loss
) -> tuple[list[dict[str, float]], int]:
    """The numbers of each epoch, and which epoch was kept. The network ends with its best weights, in the mode it had."""
    network = classifier.network
    was_training, device = network.training, next(network.parameters()).device
    best = Best(training.patience)
    loaders = [
        _loader(each, training, shuffled) for each, shuffled in ((rows, True), (held, False)) if each is not None
    ]
    module = TrainingModule(classifier, training, loss, steps=len(loaders[0]) * training.epochs)
    shown = sys.stderr.isatty() if training.progress is None else training.progress
    settings: dict[str, Any] = {
        "max_epochs": training.epochs,
        "accelerator": "gpu" if training.device == "cuda" else training.device,
        "devices": 1,
        "enable_progress_bar": shown,
        "callbacks": [best],
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    more = dict(training.trainer)
    settings["callbacks"] += list(more.pop("callbacks", None) or [])
    interrupt = signal.getsignal(signal.SIGINT)
    with quiet(), torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch.enable_grad():
        torch.manual_seed(training.seed)
        try:
            network.train()
            pl.Trainer(**(settings | more)).fit(module, loaders[0], loaders[1] if len(loaders) > 1 else None)
        except SystemExit:  # so Lightning ends an interrupted training, and lets the process be deaf to further ones
            signal.signal(signal.SIGINT, interrupt)
            raise KeyboardInterrupt from None
        finally:
            if best.weights:
                network.load_state_dict(best.weights)
            network.to(device)
            network.train(was_training)
    return best.epochs, best.best


def _loader(rows: Rows, training: Training, shuffled: bool) -> DataLoader[Any]:
    order = Order([len(row) for row in rows.ids], training.batch_size, training.seed if shuffled else None)
    settings: dict[str, Any] = {"num_workers": training.workers, "collate_fn": _itself, **training.loader}
    return DataLoader(rows, batch_sampler=order, **settings)  # type: ignore[arg-type]


def _itself(batch: object) -> object:
    return batch


@contextmanager
def quiet() -> Iterator[None]:
    """While inside, lightning tells nothing but errors, and no advice on workers; after, all is as it was."""
    named = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in named]
    try:
        for logger in named:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
            yield
    finally:
        for logger, level in zip(named, levels, strict=True):
            logger.setLevel(level)
