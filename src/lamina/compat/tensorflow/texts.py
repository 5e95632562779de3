"""Texts as TensorFlow's eager tensors: they have `.numpy()`, which gives bytes, and are else Python's and NumPy's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._base.arrays import HostArray


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


class Texts(np.ndarray[Any, Any]):
    """An array of texts."""

    def numpy(self) -> HostArray:
        """The same array, of bytes."""
        made: HostArray = np.vectorize(Text.numpy, otypes=[object])(np.asarray(self))
        return made


def eager(part: Any) -> Any:
    """An array, or a value, as what an eager tensor of TensorFlow is here."""
    if isinstance(part, (jax.Array, Text, Bytes, Texts)):
        return part
    if np.asarray(part).dtype.kind not in "USO":
        return jnp.asarray(part)
    if np.ndim(part) == 0:
        return _text(np.asarray(part).item())
    return np.vectorize(_text, otypes=[object])(np.asarray(part)).view(Texts)


def _text(item: Any) -> Any:
    if isinstance(item, bytes):
        return Text(item.decode("utf-8", "surrogateescape"))
    return Text(item) if isinstance(item, str) else item
