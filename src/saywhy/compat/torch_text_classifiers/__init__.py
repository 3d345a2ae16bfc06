"""torchTextClassifiers' names over `saywhy.classifier`: change the imports, keep the code.

What differs: of a run only its `save_path` is written, no worker processes are started, models stay on their device,
confidences are unrounded, several labels a text are answered by independent probabilities, folders hold JSON and safetensors.
"""

from __future__ import annotations

from .config import ModelConfig, TrainingConfig
from .wrapper import torchTextClassifiers

__all__ = ["ModelConfig", "TrainingConfig", "torchTextClassifiers"]
