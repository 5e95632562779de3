"""What TensorFlow's eager tensors have and JAX's arrays lack, for the time in which the hook is installed.

It stands on the class of JAX's arrays, so a call of a model is as fast as without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jax._src.array import ArrayImpl

MEMBERS: dict[str, Callable[[Any], Any]] = {
    "numpy": lambda self: np.array(self),
    "get_shape": lambda self: self.shape,
}


def patch() -> None:
    for name, member in MEMBERS.items():
        setattr(ArrayImpl, name, member)


def restore() -> None:
    for name in MEMBERS:
        delattr(ArrayImpl, name)
