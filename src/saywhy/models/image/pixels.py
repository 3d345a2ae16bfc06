"""From what a caller has - an image, a file, an array, bytes - to an image in red, green and blue."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import FileError, InputError, missing

if TYPE_CHECKING:
    from PIL.Image import Image

_ALLOWED = (
    "an image is a PIL image, a path, bytes of an image file or such a file opened, or an array [H, W], [H, W, 3 or 4] or "
    "[3, H, W]"
)
_OTHERWISE = (
    "the image is of the mode {}: what is transparent stands on white, and its levels are brought to 0 to 255; "
    "image.convert('RGB'), as the transformers pipeline has it, gives other pixels"
)


def read_image(given: object) -> Image:
    """The image as RGB, upright, on white where it is transparent; 16 bits scaled down to 8.

    Raises InputError for what is not an image, FileError for a file that is not there.
    """
    return _in_colour(upright(given))


def in_colour(image: Image, converted: bool) -> tuple[Image, tuple[str, ...]]:
    """The image as RGB, and notes on it; `converted` as Pillow converts it, which is the way of the transformers pipeline."""
    plain = (image.convert("RGBA") if image.mode == "P" else image).convert(
        "RGB"
    )  # of a palette PIL warns, not through RGBA
    if converted:
        return plain, ()
    found = _in_colour(image)
    same = found.tobytes() == plain.tobytes()
    return found, () if same else (_OTHERWISE.format(image.mode),)


def upright(given: object) -> Image:
    """The image as it is, turned as its EXIF orientation says. Raises InputError, FileError."""
    image = _opened(given)
    if 0 in image.size:
        raise InputError(f"The image has no pixels: it is {image.size[0]} wide and {image.size[1]} high.")
    return _upright(image)


def _opened(given: object) -> Image:
    try:
        from PIL import Image
    except ImportError:
        raise missing("pillow", "Explaining an image", "image") from None
    if isinstance(given, Image.Image):
        return _loaded(given, "The image")
    if isinstance(given, str | Path):
        if str(given).startswith(("http://", "https://")):
            raise InputError(f"{str(given)!r:.80} is an address; nothing is fetched here. Load it and give the image.")
        if not Path(given).is_file():
            raise FileError(f"There is no image file {str(given)!r:.200}.")
        return _loaded(BytesIO(Path(given).read_bytes()), f"The file {str(given)!r}")
    if isinstance(given, bytes | bytearray):
        return _loaded(BytesIO(given), f"What was given ({len(given)} bytes)")
    if hasattr(given, "read"):
        data = given.read()
        if not isinstance(data, bytes):
            raise InputError(
                f"This file is open as text, {given!r:.80}: open it with open(path, 'rb'), or give its path."
            )
        return _loaded(BytesIO(data), "The open file")
    if hasattr(given, "detach"):
        tensor: Any = given.detach().cpu()
        given = (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # numpy has no bfloat16
    if isinstance(given, np.ndarray):
        return _of_array(given)
    raise InputError(f"This is not an image but {type(given).__name__}: {given!r:.80}; {_ALLOWED}.")


def _loaded(source: Image | BytesIO, what: str) -> Image:
    """The image opened and read to its end. Raises InputError for a damaged one."""
    from PIL import Image

    try:
        image: Image.Image = source if isinstance(source, Image.Image) else Image.open(source)
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{what} cannot be read as an image: {error}") from None
    return image


def _upright(image: Image) -> Image:
    """Turned as its EXIF orientation says."""
    from PIL import ImageOps

    turned: Image = ImageOps.exif_transpose(image)
    return turned


def _in_colour(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return _of_array(_eight_bits(np.asarray(image), image.mode))
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        paper = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(paper, clear).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray[Any, Any], mode: str) -> np.ndarray[Any, Any]:
    """Grey levels of one of PIL's wide modes as 0..255: 65535 is white where there are more than 8 bits."""
    if mode == "F" and float(values.max()) <= 1:
        return values.astype(np.float64)
    wide = mode.startswith("I;16") or float(values.max()) > 255
    return np.clip(np.rint(values.astype(np.float64) / (257 if wide else 1)), 0, 255).astype(np.uint8)


def _of_array(values: np.ndarray[Any, Any]) -> Image:
    """An image from an array: uint8, uint16, whole numbers 0..255, booleans, or floats 0..1."""
    from PIL import Image

    shape = values.shape
    if values.ndim == 3 and (shape[2] not in (1, 3, 4) and shape[0] in (1, 3, 4)):
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise InputError(f"An array of shape {shape} is not one image; {_ALLOWED}.")
    if values.size == 0:
        raise InputError(f"The image has no pixels: the array's shape is {shape}.")
    levels = np.ascontiguousarray(_levels(values))
    image = Image.fromarray(levels)
    return _in_colour(image) if image.mode == "RGBA" else image.convert("RGB")


def _levels(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """uint8 levels. Raises InputError for numbers that are no brightness."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return np.rint(values / 257).astype(np.uint8)
    if values.dtype.kind not in "fiub":
        raise InputError(f"An array of {values.dtype} is not an image; give uint8, or floats from 0 to 1.")
    low, high = float(values.min()), float(values.max())
    end = 255 if values.dtype.kind in "iu" else 1
    if not (low >= -1e-6 and high <= end + 1e-6):
        raise InputError(
            f"The array's numbers go from {low:g} to {high:g}; an image of {values.dtype} has them from 0 to {end}. "
            "Give uint8, or floats from 0 to 1, and leave normalising to the image processor."
        )
    levels: np.ndarray[Any, Any] = np.rint(np.clip(values.astype(np.float64), 0, end) * (255 // end))
    return levels.astype(np.uint8)
