"""What TensorFlow's eager tensors have and JAX's arrays lack, for the time in which the hook is installed.

It stands on the class of JAX's arrays, so a call of a model is as fast as without it. What the dataset makers return is
then a `tf.data.Dataset`, whose elements are such arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jax._src.array import ArrayImpl

from lamina._data import dataset
from lamina._data.dataset import KIND
from lamina.compat.tensorflow.data import Dataset

MEMBERS: dict[str, Callable[[Any], Any]] = {
    "numpy": lambda self: np.array(self),
    "get_shape": lambda self: self.shape,
}


def patch() -> None:
    KIND["new"] = Dataset
    for name, member in MEMBERS.items():
        setattr(ArrayImpl, name, member)


def restore() -> None:
    KIND["new"] = dataset.Dataset
    for name in MEMBERS:
        delattr(ArrayImpl, name)
