"""Defaults of the whole process: the dtypes, `epsilon`, and the axis of the channels in images."""

from __future__ import annotations

from typing import Literal, cast, get_args

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

DataFormat = Literal["channels_last", "channels_first"]
_image: dict[str, DataFormat] = {"format": "channels_last"}


def image_data_format() -> DataFormat:
    """The `data_format` of layers that are given none: "channels_last" or "channels_first"."""
    return _image["format"]


@user_facing
def set_image_data_format(data_format: DataFormat) -> None:
    """Set the `data_format` of layers that are given none."""
    _image["format"] = one_of(*get_args(DataFormat))(data_format)


def data_format(value: object) -> DataFormat:
    """A layer's `data_format`; None stands for `image_data_format()`."""
    return image_data_format() if value is None else cast(DataFormat, one_of(*get_args(DataFormat))(value))


public(__name__, __all__)
