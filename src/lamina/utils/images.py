"""Conversions between image files, Pillow images and arrays."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lamina._arrays.arrays import HostArray
from lamina._files.files import name_of, replacing
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.arguments import Format
from lamina._settings.converters import checked, one_of, optional, positive, short
from lamina.config import data_format as format_of
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, CallError, DataError, FileError, MissingFileError, MissingPackageError

if TYPE_CHECKING:
    from PIL.Image import Image

Interpolation = Literal["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"]
METHODS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
MODES = {"grayscale": ("L", "I;16", "I"), "rgb": ("RGB",), "rgba": ("RGBA",)}
"""By `color_mode`: the modes of Pillow that an image may have; other images are converted to the first mode."""


def pillow() -> ModuleType:
    """The package Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingPackageError("images need Pillow: pip install pillow") from error
    return Image


@user_facing
def load_img(
    path: str | bytes | os.PathLike[str] | io.BytesIO,
    color_mode: Literal["rgb", "rgba", "grayscale"] = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: Interpolation = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """Reads an image file as a Pillow image, which `img_to_array` converts to an array.

        image = keras.utils.load_img("cat.jpg", target_size=(224, 224))
        model.predict(keras.utils.img_to_array(image)[None])

    Args:
        path: the file's name, or a `BytesIO` that holds the file.
        color_mode: "rgb", "rgba" or "grayscale".
        target_size: the (height, width) to which the image is scaled; None keeps its size.
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos".
        keep_aspect_ratio: whether to take the largest window in the middle that has the aspect ratio of `target_size`.

    Raises:
        FileError: the file does not exist, or is not an image.
        MissingPackageError: Pillow is not installed.
    """
    modes = MODES[checked("load_img", "color_mode", one_of(*MODES), color_mode)]
    size = checked("load_img", "target_size", optional(_pair), target_size)
    resample = checked("load_img", "interpolation", one_of(*METHODS), interpolation)
    library = pillow()
    image: Image = library.open(io.BytesIO(_content(path)))
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise FileError(f"{_shown(path)} is damaged: {error}.") from error
    if image.mode not in modes:
        image = image.convert(modes[0])
    if size is None or image.size == (size[1], size[0]):
        return image
    window = _window(*image.size, size) if keep_aspect_ratio else None
    return image.resize((size[1], size[0]), library.Resampling[resample.upper()], box=window)


@user_facing
def img_to_array(img: Any, data_format: Format = None, dtype: DTypeLike | None = None) -> HostArray:
    """Converts a Pillow image to an array (height, width, channels), or (channels, height, width), from 0 to 255.

    Args:
        img: the image, or an array (height, width) or (height, width, channels).
        data_format: "channels_last" or "channels_first"; None means `config.image_data_format()`.
        dtype: the dtype of the array; None means `config.floatx()`.
    """
    first = checked("img_to_array", "data_format", format_of, data_format) == "channels_first"
    x = np.asarray(img, dtype=np.dtype(dtype or floatx()))
    if x.ndim not in (2, 3):
        raise DataError(f"img_to_array takes one image, of 2 or 3 axes, got an array of shape {x.shape}.")
    x = x[..., None] if x.ndim == 2 else x
    return x.transpose(2, 0, 1) if first else x


@user_facing
def array_to_img(x: ArrayLike, data_format: Format = None, scale: bool = True, dtype: DTypeLike | None = None) -> Image:
    """Converts an array (height, width, channels) to a Pillow image: 1 channel is gray, 3 are RGB, 4 are RGBA.

    Args:
        x: the array.
        data_format: "channels_last" or "channels_first"; None means `config.image_data_format()`.
        scale: whether the numbers are scaled, so that the lowest becomes 0 and the highest 255. If not, they are pixel
            values, clipped to 0 ... 255; but gray values above 255 give an image of 32 bits.
        dtype: the dtype of the computation; None means `config.floatx()`.

    Raises:
        DataError: the array has other axes, or another number of channels.
        MissingPackageError: Pillow is not installed.
    """
    last = checked("array_to_img", "data_format", format_of, data_format) == "channels_last"
    pixels: HostArray = np.asarray(x, dtype=np.dtype(dtype or floatx()))
    if pixels.ndim != 3:
        raise DataError(f"array_to_img takes one image, (height, width, channels), got shape {pixels.shape}.")
    pixels = pixels if last else pixels.transpose(1, 2, 0)
    if pixels.shape[2] not in (1, 3, 4):
        raise DataError(f"array_to_img takes 1, 3 or 4 channels, got shape {np.shape(x)}. See data_format, too.")
    if scale:
        pixels = pixels - np.min(pixels)
        highest = np.max(pixels)
        pixels = pixels / (highest if highest != 0 else 1) * 255
    if pixels.shape[2] == 1:
        grey = pixels[..., 0]
        return _image(grey.astype(np.int32) if np.max(grey) > 255 else _bytes(grey))
    return _image(_bytes(pixels))


@user_facing
def save_img(
    path: str | os.PathLike[str] | IO[bytes],
    x: ArrayLike,
    data_format: Format = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Writes an array (height, width, channels) to an image file.

    Args:
        path: the file's name, whose ending gives the format, or an open file.
        x: the array.
        data_format: "channels_last" or "channels_first"; None means `config.image_data_format()`.
        file_format: the format, such as "png" or "jpeg", if the name does not give it.
        scale: as in `array_to_img`.
        kwargs: arguments of Pillow's `save`, such as `quality=90`.

    Raises:
        FileError: the file cannot be written there.
        MissingPackageError: Pillow is not installed.
    """
    library = pillow()
    named = isinstance(path, (str, os.PathLike))
    given = file_format or (Path(os.fspath(path)).suffix[1:] if isinstance(path, (str, os.PathLike)) else "")
    kind = {"jpg": "jpeg"}.get(given.lower(), given.lower())
    library.init()
    if kind.upper() not in library.SAVE:
        kind = str(library.registered_extensions().get(f".{kind}", "")).lower()
    if not kind:
        raise ArgumentError(f"save_img: {given!r} is not a format of images. Name one: file_format='png'.")
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and kind == "jpeg":
        warn("a JPEG file has no transparency: the fourth channel is left out.")
        image = image.convert("RGB")
    if not named:
        image.save(path, format=kind, **kwargs)
        return
    with replacing(path) as file:  # type: ignore[arg-type]
        image.save(file, format=kind, **kwargs)


def _image(pixels: HostArray) -> Image:
    image: Image = pillow().fromarray(pixels)
    return image


def _bytes(pixels: HostArray) -> HostArray:
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _pair(value: object) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentError(f"expected (height, width), got {short(value)}.")
    return positive(value[0]), positive(value[1])


def _content(path: object) -> bytes:
    """The bytes of an image file, which Pillow decodes."""
    if isinstance(path, io.BytesIO):
        content = path.getvalue()
    elif isinstance(path, (str, bytes, os.PathLike)):
        try:
            with open(name_of(path), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            raise MissingFileError(f"there is no file {_shown(path)}, looked for from {os.getcwd()!r}.") from None
        except OSError as error:
            raise FileError(f"cannot read {_shown(path)}: {error.strerror}.") from error
    else:
        raise CallError(f"load_img takes the name of a file or a BytesIO, got {short(path)}.")
    library = pillow()
    try:
        library.open(io.BytesIO(content)).close()
    except library.DecompressionBombError as error:
        raise FileError(f"{_shown(path)} has more pixels than Pillow reads: {error}") from None
    except OSError:
        raise FileError(f"{_shown(path)} is not an image that Pillow knows.") from None
    return content


def _shown(path: str | bytes | os.PathLike[str] | os.PathLike[bytes] | io.BytesIO) -> str:
    return "the image" if isinstance(path, io.BytesIO) else repr(os.fsdecode(path))


def _window(width: int, height: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest window in the middle of an image with the aspect ratio of `size`: left, top, right, bottom."""
    tall, wide = min(height, width * size[0] // size[1]), min(width, height * size[1] // size[0])
    left, top = (width - wide) // 2, (height - tall) // 2
    return left, top, left + wide, top + tall
