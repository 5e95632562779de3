"""Defaults for all that follows: number formats, `epsilon`, and where images have their channels."""

from __future__ import annotations

from typing import Any

from lamina._base.converters import one_of
from lamina._base.frames import user_facing
from lamina._base.public import public
from lamina.dtypes import (
    dtype_policy,
    epsilon,
    floatx,
    set_dtype_policy,
    set_epsilon,
    set_floatx,
)

__all__ = [
    "dtype_policy", "epsilon", "floatx", "image_data_format", "set_dtype_policy", "set_epsilon", "set_floatx",
    "set_image_data_format",
]  # fmt: skip

FORMATS = ("channels_last", "channels_first")
_image = {"format": "channels_last"}


def image_data_format() -> str:
    """Where layers find the channels of an image unless they are told: "channels_last" or "channels_first"."""
    return _image["format"]


@user_facing
def set_image_data_format(data_format: str) -> None:
    """Say where layers find the channels of an image unless they are told."""
    _image["format"] = one_of(*FORMATS)(data_format)


def data_format(value: Any) -> str:
    """A layer's `data_format`; None is the default of `image_data_format`."""
    return image_data_format() if value is None else str(one_of(*FORMATS)(value))


public(__name__, __all__)
