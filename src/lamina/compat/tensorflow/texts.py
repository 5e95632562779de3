"""Texts and arrays on the host as TensorFlow's tensors: they have `.numpy()`, and are else Python's and NumPy's."""

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
    """An array of NumPy's, of texts or within a pipeline of data, with the methods of a tensor."""

    def numpy(self) -> HostArray:
        """The same array, of bytes where it holds texts."""
        array = np.asarray(self)
        return np.vectorize(Text.numpy, otypes=[object])(array) if array.dtype == object else array

    def get_shape(self) -> Any:
        """The shape."""
        return self.shape

    def set_shape(self, shape: object) -> None:
        """Nothing: the shape is known."""


def of_pipeline(part: Any) -> Any:
    """A part of an element as the functions of a pipeline get it."""
    if isinstance(part, np.ndarray) and part.dtype.kind not in "USO":
        return part.view(HostTensor)
    return eager(part) if np.asarray(part).dtype.kind in "USO" else part


def eager(part: Any) -> Any:
    """An array, or a value, as what an eager tensor of TensorFlow is here."""
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
