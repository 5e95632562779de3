"""Keras's functions of arrays: NumPy's functions, neural networks, linear algebra, images and mathematics.

They take JAX and NumPy arrays, weights, numbers and lists. They work inside and outside of a layer's `call`, in losses
and metrics, and under `jax.jit` and `jax.grad`. Names, order, defaults and dtypes are Keras's.

>>> from lamina import ops
>>> ops.mean(ops.square([1.0, 3.0]))
Array(5., dtype=float32)
"""

from __future__ import annotations

from lamina._imports.public import public
from lamina.ops import core, image, linalg, math, nn, numpy
from lamina.ops.core import *  # noqa: F403
from lamina.ops.linalg import *  # noqa: F403
from lamina.ops.math import *  # noqa: F403
from lamina.ops.nn import *  # noqa: F403
from lamina.ops.numpy import *  # noqa: F403

__all__ = ["image", "linalg", "nn", "numpy"]
__all__ += core.__all__
__all__ += linalg.__all__
__all__ += math.__all__
__all__ += nn.__all__
__all__ += numpy.__all__

public(__name__, __all__)
