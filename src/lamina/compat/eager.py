"""Adds the methods of TensorFlow's eager tensors to JAX's arrays, while the hook is installed.

The methods are added to the class of JAX's arrays, so calls of a model are not slower. The functions that make datasets
then return a `tf.data.Dataset` with such arrays as elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jax._src.array import ArrayImpl

from lamina._data import dataset
from lamina._data.dataset import KIND
from lamina._layer.masks import mask_of
from lamina._messages.tracebacks import user_facing
from lamina.compat.instead import instead_of
from lamina.compat.tensorflow import TensorShape
from lamina.compat.tensorflow.data import Dataset
from lamina.errors import UnknownAttributeError


@user_facing
def _missing(self: Any, name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    raise UnknownAttributeError(f"a tensor has no attribute {name!r}. {instead_of(f'tensorflow.Tensor.{name}')}")


MEMBERS: dict[str, Any] = {
    "numpy": lambda self: np.array(self),
    "get_shape": lambda self: TensorShape(self.shape),
    "set_shape": lambda self, shape: None,
    "_keras_mask": property(mask_of),
    "__getattr__": _missing,
}


def patch() -> None:
    KIND["new"] = Dataset
    for name, member in MEMBERS.items():
        setattr(ArrayImpl, name, member)


def restore() -> None:
    KIND["new"] = dataset.Dataset
    for name in MEMBERS:
        delattr(ArrayImpl, name)
