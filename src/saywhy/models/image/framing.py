"""How an image processor frames an image: found out by processing pictures that are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import InputError, OptionError
from ...core.types import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL.Image import Image

_SMALL, _MIDDLING, _LARGE = (
    32,
    256,
    1024,
)  # pixels of a side: a smaller picture is measured enlarged, a larger one reduced


@dataclass(frozen=True, eq=False)
class Framing:
    """What becomes of all images of one size."""

    view: (
        Box | None
    )  # what of the image the model's input shows, in pixels of the image; None where that cannot be told
    black: Tensor  # [C, H, W], the model's input for an image that is black all over
    white: Tensor


def processed(processor: Callable[..., Mapping[str, object]], image: Image) -> Tensor:
    """[C, H, W] float32: the model's input. Raises InputError for an image that the processor refuses."""
    try:
        answer = processor(images=image, return_tensors="pt")
    except (ValueError, ZeroDivisionError, IndexError) as error:
        size = f"{image.size[0]} x {image.size[1]}"
        raise InputError(f"{type(processor).__name__} cannot take an image of {size} pixels: {error}") from error
    pixels = answer.get("pixel_values")
    if not isinstance(pixels, Tensor) or pixels.dim() != 4 or len(pixels) != 1:
        got = ", ".join(f"{name} {tuple(getattr(value, 'shape', ()))}" for name, value in answer.items())
        raise OptionError(
            f"{type(processor).__name__} must make pixel_values [1, C, H, W] of an image; it made {got or 'nothing'}."
        )
    return pixels[0].float()


def framed(processor: Callable[..., Mapping[str, object]], size: tuple[int, int], shape: tuple[int, ...]) -> Framing:
    """How images of `size` (width, height) become inputs of `shape` [C, H, W]. Processes four known pictures."""
    framing = _measured(processor, size, _handy(size))
    return framing if framing.black.shape == shape else _measured(processor, size, size)


def _handy(size: tuple[int, int]) -> tuple[int, int]:
    """A size of exactly the same shape that is quick to process and has pixels enough to measure; else the size itself."""
    for share in range(math.ceil(max(size) / _LARGE), max(size) // _MIDDLING + 1):
        if size[0] % share == size[1] % share == 0 and share > 1:
            return size[0] // share, size[1] // share
    times = math.ceil(_SMALL / min(size))
    return (size[0] * times, size[1] * times) if times * max(size) <= 2 * _LARGE else size


def _measured(processor: Callable[..., Mapping[str, object]], size: tuple[int, int], probe: tuple[int, int]) -> Framing:
    from PIL import Image

    width, height = probe
    black, white = (processed(processor, Image.new("RGB", probe, colour)) for colour in ("black", "white"))
    across = np.broadcast_to(_ramp(width)[None, :], (height, width))
    down = np.broadcast_to(_ramp(height)[:, None], (height, width))
    ends = []
    for axis, ramp in ((2, across), (1, down)):
        found = processed(processor, Image.fromarray(np.ascontiguousarray(ramp)).convert("RGB"))
        direction = size[2 - axis]
        ends.append(_reach(found - black, white - black, axis, direction, probe[2 - axis]))
    if ends[0] is None or ends[1] is None:
        return Framing(None, black, white)
    return Framing((ends[0][0], ends[1][0], ends[0][1], ends[1][1]), black, white)


def _ramp(length: int) -> np.ndarray[Any, Any]:
    return np.rint(np.linspace(0, 255, length)).astype(np.uint8)


def _reach(ramp: Tensor, whole: Tensor, axis: int, length: int, probe: int) -> tuple[float, float] | None:
    """Where the input's first and last edge lie along one axis of the image; None if they do not lie on a straight line.

    The ramp's brightness at each column (or row) of the input tells which column of the image it shows.
    """
    others = tuple(a for a in range(3) if a != axis)
    share, most = ramp.sum(others).double().numpy(), whole.sum(others).double().numpy()
    lit = most > 0.5 * most.max()  # the rest is padding
    brightness = np.divide(share, most, out=np.zeros_like(share), where=lit)
    reliable = lit & (brightness > 0.1) & (brightness < 0.9)  # the ends are flattened by resizing
    if reliable.sum() < 3:
        return None
    centres = np.arange(len(share)) + 0.5
    slope, start = np.polyfit(centres[reliable], brightness[reliable], 1)
    if np.abs(brightness[reliable] - (start + slope * centres[reliable])).max() > 0.02 or slope == 0:
        return None
    edges = ((start + slope * np.array([0, len(share)])) * (probe - 1) + 0.5) * length / probe
    ends = np.array([0.0, length])
    nearest = np.abs(edges[:, None] - ends).argmin(1)
    exact = np.abs(edges - ends[nearest]) < 0.005 * length  # as near as eight bits of brightness tell
    edges = np.where(exact, ends[nearest], edges)
    return float(edges[0]), float(edges[1])


def blurred(pixels: Tensor) -> Tensor:
    """[C, H, W] with all detail gone: a Gaussian whose width is a tenth of the shorter side."""
    sigma = max(min(pixels.shape[1:]) / 10, 0.5)
    out = pixels[None]
    for axis in (2, 3):
        reach = min(math.ceil(3 * sigma), out.shape[axis] - 1)
        steps = torch.arange(-reach, reach + 1, dtype=out.dtype)
        weights = (-0.5 * (steps / sigma) ** 2).exp()
        shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
        kernel = (weights / weights.sum()).reshape(shape).expand(out.shape[1], *(-1,) * 3)
        pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        out = torch.nn.functional.conv2d(
            torch.nn.functional.pad(out, pad, mode="replicate"), kernel, groups=out.shape[1]
        )
    return out[0]
