"""Tiny image classifiers with random weights, their processors, and an image to look at."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

LABELS = {0: "cat", 1: "dog", 2: "banana"}
_NAMED = {"id2label": LABELS, "label2id": {label: i for i, label in LABELS.items()}}
_SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_STAGES = {"hidden_sizes": [8, 8, 12, 12], "depths": [1, 1, 1, 1]}
_MADE = {
    "vit": ("ViT", {**_SMALL, "image_size": 32, "patch_size": 8}, lambda: ViTImageProcessorPil(size=_square(32))),
    "deit": (
        "DeiT",
        {**_SMALL, "image_size": 32, "patch_size": 8},
        lambda: DeiTImageProcessorPil(size=_square(40), crop_size=_square(32)),
    ),
    "swin": (
        "Swin",
        {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
        lambda: ViTImageProcessorPil(size=_square(32)),
    ),
    "convnext": (
        "ConvNext",
        {**_STAGES, "image_size": 32},
        lambda: ConvNextImageProcessorPil(size={"shortest_edge": 32}),
    ),
    "resnet": (
        "ResNet",
        {**_STAGES, "embedding_size": 8, "layer_type": "basic"},
        lambda: DeiTImageProcessorPil(size={"shortest_edge": 32}, do_center_crop=False),
    ),
}
NAMES = tuple(_MADE)


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


@functools.cache
def tiny(name: str) -> tuple[Any, Any]:
    """A model and its image processor; the same objects each time."""
    stem, settings, processor = _MADE[name]
    torch.manual_seed(0)
    config = getattr(transformers, stem + "Config")(**settings, **_NAMED)
    model = getattr(transformers, stem + "ForImageClassification")(config)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(3.0)  # random weights of the usual size answer nearly the same to everything
    return model.eval(), processor()


@functools.cache
def photo(width: int = 90, height: int = 60) -> Image.Image:
    """Soft colours with a bright disc on the left and a dark square on the right."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    image = np.stack([0.3 + 0.5 * x, 0.6 - 0.4 * y, 0.4 + 0.3 * np.sin(9 * x) * np.cos(7 * y)], -1)
    image[(x - 0.3) ** 2 + (y - 0.35) ** 2 < 0.04] = (0.95, 0.8, 0.2)
    image[(x > 0.7) & (x < 0.9) & (y > 0.1) & (y < 0.3)] = (0.1, 0.1, 0.3)
    return Image.fromarray((image * 255).round().astype(np.uint8))


def logits(name: str, image: Image.Image) -> torch.Tensor:
    """What the model itself says of an image."""
    model, processor = tiny(name)
    with torch.no_grad():
        return model(**processor(image, return_tensors="pt")).logits[0]
