"""Texts, bytes and NumPy arrays with the methods of TensorFlow's tensors, such as `.numpy()`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import HostArray


class Text(str):
    """One text."""

    shape = ()

    def numpy(self) -> bytes:
        """The bytes of the text."""
        return self.encode("utf-8", "surrogateescape")


class Bytes(bytes):
    """The bytes of a file."""

    shape = ()

    def numpy(self) -> bytes:
        """The same bytes."""
        return bytes(self)


class HostTensor(np.ndarray[Any, Any]):
    """A NumPy array with the methods of a tensor, for texts and for functions of datasets."""

    def numpy(self) -> HostArray:
        """The array; texts become bytes."""
        array = np.asarray(self)
        return np.vectorize(Text.numpy, otypes=[object])(array) if array.dtype == object else array

    def get_shape(self) -> Any:
        """The shape."""
        return self.shape

    def set_shape(self, shape: object) -> None:
        """Have no effect: the shape is known."""


def of_pipeline(part: Any) -> Any:
    """Convert a part of an element for the functions of a dataset."""
    if isinstance(part, np.ndarray) and part.dtype.kind not in "USO":
        return part.view(HostTensor)
    return eager(part) if np.asarray(part).dtype.kind in "USO" else part


def eager(part: Any) -> Any:
    """Convert an array or a value to what stands for an eager tensor of TensorFlow here."""
    if isinstance(part, (jax.Array, Text, Bytes)) or (isinstance(part, HostTensor) and part.dtype == object):
        return part
    if np.asarray(part).dtype.kind not in "USO":
        return jnp.asarray(part)
    if np.ndim(part) == 0:
        return _text(np.asarray(part).item())
    return np.vectorize(_text, otypes=[object])(np.asarray(part)).view(HostTensor)


def _text(item: Any) -> Any:
    if isinstance(item, bytes):
        return Text(item.decode("utf-8", "surrogateescape"))
    return Text(item) if isinstance(item, str) else item
