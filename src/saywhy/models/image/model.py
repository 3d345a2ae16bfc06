"""A Hugging Face image classifier and its image processor: pixels to logits."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import ModelError, OptionError
from ...core.types import Bools, Box, Encoding, Held, Picture
from ..heads import HEADS, Wanted
from ..lock import frozen
from ..protocol import EncodingOptions, Model
from ..text.config import forwards_only, label_names, output_kind
from .framing import Framing, blurred, framed, processed
from .grid import cut, features, owners
from .pixels import in_colour, upright

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import nn
    from transformers import PreTrainedModel

    from ..pipelines import PipelineSettings

ABSENCES = ("mean", "black", "white", "blur")
_LONG_SIDE = 512  # pixels of the picture that an explanation keeps


@dataclass(frozen=True, eq=False)
class View:
    """One image as the model is to see it: its pixels, the features that are gone, and what is in their place."""

    pixels: Tensor  # [C, H, W], as processed
    replacement_id: Tensor  # [C, H, W]
    owner: Tensor  # [S] the feature of each pixel, or of each pixel of each channel
    name: Hashable
    gone: Bools  # [n]

    @property
    def by_channel(self) -> bool:
        return len(self.owner) == self.pixels.numel()

    def shown(self) -> Tensor:
        """[C, H, W] with what is gone filled in."""
        if not self.gone.any():
            return self.pixels
        gone = torch.as_tensor(self.gone, device=self.owner.device)[self.owner]
        wide = gone.reshape(-1, *self.pixels.shape[1:])
        return torch.where(wide, self.replacement_id, self.pixels)


class ImageModel(Model[View]):
    """Rows are images with some of their features gone. A position is a pixel, its width the channels.

    The model and the image processor are the caller's, and stay as they were.
    """

    head = "image"
    embeddings: tuple[str, ...] = ()
    uniform = True
    most_rows: int | None = None
    absences: tuple[str, ...] = ABSENCES
    piped = False  # are images converted as the transformers pipeline does it?

    def __init__(self, model: PreTrainedModel, processor: object, labels: Sequence[str] | None = None):
        if not callable(processor) or not hasattr(processor, "to_dict") or hasattr(processor, "tokenize"):
            raise OptionError(
                f"An image model needs its image processor, not {type(processor).__name__}: "
                "Explainer((model, image_processor)), for example AutoImageProcessor.from_pretrained(…)."
            )
        self.model, self.processor = model, processor
        self.name = getattr(model, "name_or_path", "") or type(model).__name__
        self.labels = label_names(model, labels)
        self.kind = output_kind(model, self.labels)
        named = inspect.signature(model.forward).parameters
        self.takes = next(iter(named)) if "pixel_values" not in named and len(named) == 1 else "pixel_values"
        self.differentiable = not forwards_only(model)
        self.batch_tokens = (8 if self.device.type == "cpu" else 64) * 224 * 224
        self._framing = lru_cache(maxsize=8)(lambda size, shape: framed(processor, size, shape))

    def follow(self, settings: PipelineSettings) -> None:
        super().follow(settings)
        self.piped = True

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    # ---- the input -------------------------------------------------------------------------------------------------

    def encode(self, parts: Mapping[str, Any], options: EncodingOptions, held: Held | None = None) -> Encoding:
        """The one image in `parts` as rows and features; a feature is a cell of the grid that `options.by` asks for."""
        [given] = parts.values()
        image, said = in_colour(upright(given), self.piped)
        pixels = processed(self.processor, image)
        framing = self._framing(image.size, tuple(pixels.shape))
        channels = len(pixels) if options.by == "channel" else 1
        edges = cut(options.by, tuple(pixels.shape), self._patch())
        whole: Box = (0.0, 0.0, float(pixels.shape[2]), float(pixels.shape[1]))
        size = image.size if framing.view is not None else (pixels.shape[2], pixels.shape[1])
        found = features(edges, framing.view or whole, size, channels)
        owner = owners(edges, channels)
        digest = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
        row = View(
            pixels.to(self.device),
            self._filler(options.absent, pixels, framing).to(self.device),
            torch.as_tensor(owner, device=self.device),
            (digest, options.absent, options.by == "channel"),
            np.zeros(len(found), dtype=bool),
        )

        def at(coalitions: Bools) -> list[View]:
            return [replace(row, gone=~present) for present in coalitions]

        picture = cache(lambda: pictured(image, pixels, framing))
        notes = said + (() if framing.view is not None else (_UNFRAMED,))
        return Encoding({}, found, at, owner, notes, self.labels, picture=picture)

    def _patch(self) -> tuple[int, int] | None:
        patch = getattr(getattr(self.model, "config", None), "patch_size", None)
        if isinstance(patch, int):
            return (patch, patch)
        return tuple(patch) if isinstance(patch, list | tuple) and len(patch) == 2 else None

    def _filler(self, absent: str, pixels: Tensor, framing: Framing) -> Tensor:
        """[C, H, W]: what stands where a feature is gone."""
        if absent == "blur":
            return blurred(pixels)
        if absent in ("black", "white"):
            return framing.black if absent == "black" else framing.white
        if getattr(self.processor, "do_normalize", False):
            return torch.zeros_like(pixels)
        return (framing.black + framing.white) / 2

    # ---- the model -------------------------------------------------------------------------------------------------

    @property
    def module(self) -> nn.Module:
        return self.model

    def sizes(self, rows: Sequence[View]) -> list[int]:
        return [len(row.owner) for row in rows]

    def keys(self, rows: Sequence[View]) -> list[Hashable]:
        return [(row.name, len(row.gone), np.packbits(row.gone).tobytes()) for row in rows]

    def forward(self, rows: Sequence[View], points: Sequence[Tensor] | None = None) -> Tensor:
        if points is None:
            images = [row.shown() for row in rows]
        else:
            images = [_image(row, point) for row, point in zip(rows, points, strict=True)]
        alike: dict[torch.Size, list[int]] = {}
        for i, image in enumerate(images):
            alike.setdefault(image.shape, []).append(i)
        answers: dict[int, Tensor] = {}
        for places in alike.values():
            answers.update(zip(places, self._logits(torch.stack([images[i] for i in places])), strict=True))
        return torch.stack([answers[i] for i in range(len(rows))])

    def _logits(self, images: Tensor) -> Tensor:
        try:
            out = self.model(**{self.takes: images.to(next(self.model.parameters()).dtype)})
        except ValueError as error:
            raise ModelError(
                f"{type(self.model).__name__} refuses what its image processor made, {tuple(images.shape[1:])}: {error}"
            ) from error
        return torch.stack(list(HEADS["image"].read(out, list(images), (), Wanted(len(self.labels)))))

    def embed(self, row: View) -> Tensor:
        shown = row.shown()
        return shown.reshape(-1, 1) if row.by_channel else shown.flatten(1).T.contiguous()

    def frozen(self) -> AbstractContextManager[None]:
        return frozen(self.model)


_UNFRAMED = "how the image processor frames this image could not be found out, so boxes are in the model's input"


def _image(row: View, point: Tensor) -> Tensor:
    """[S, D] back to [C, H, W]."""
    return (point if row.by_channel else point.T).reshape(row.pixels.shape)


def pictured(image: Image, pixels: Tensor, framing: Framing) -> Picture:
    """The image to keep; the model's input instead where it is not known what that shows of the image."""
    from PIL import Image

    span = framing.white - framing.black
    share = torch.where(span.abs() > 1e-6, (pixels - framing.black) / span, torch.zeros_like(pixels)).clamp(0, 1)
    levels = (share * 255).round().byte().permute(1, 2, 0).numpy()
    seen = Image.fromarray(levels if levels.shape[2] == 3 else levels[..., 0]).convert("RGB")
    if framing.view is None:
        return Picture(_png(seen), seen.size, _png(seen), (0.0, 0.0, float(seen.size[0]), float(seen.size[1])))
    small = image.copy()
    small.thumbnail((_LONG_SIDE, _LONG_SIDE))
    return Picture(_png(small), image.size, _png(seen), framing.view)


def _png(image: Image) -> bytes:
    out = BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()
