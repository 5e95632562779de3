"""Images as arrays and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lamina import ops
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.utils import array_to_img, img_to_array, load_img, save_img

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]


@user_facing
def smart_resize(
    x: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    data_format: Literal["channels_last", "channels_first"] = "channels_last",
) -> Any:
    """Scales images to another size; first crops the middle, so that nothing is stretched.

    >>> smart_resize(np.zeros((8, 6, 3), "float32"), (4, 4)).shape
    (4, 4, 3)

    Args:
        x: one image (rows, columns, channels), or a batch of images, as a NumPy or JAX array. The result is an array of
            the same library.
        size: the rows and columns of the result.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        data_format: "channels_last" or "channels_first".
    """
    resized = ops.image.resize(x, size, interpolation, crop_to_aspect_ratio=True, data_format=data_format)
    return np.array(resized) if isinstance(x, np.ndarray) else resized


public(__name__, __all__)
