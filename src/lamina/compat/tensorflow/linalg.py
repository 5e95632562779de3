"""TensorFlow's functions of matrices."""

from __future__ import annotations

import jax.numpy as jnp

from lamina.compat.operations import numpy_functions, table
from lamina.compat.tensorflow.arithmetic import functions

_named = {
    **table(
        "tf.linalg.", "a", "", {name: getattr(jnp.linalg, name) for name in ("cholesky", "det", "inv", "qr", "svd")}
    ),
    **table("tf.linalg.", "input", "", {"diag_part": jnp.diag, "diag": jnp.diag, **numpy_functions("trace")}),
    **{name: functions[name] for name in ("matmul", "norm", "einsum", "tensordot", "eye")},
    "matrix_transpose": functions["transpose"],
}
__all__ = sorted(_named)
globals().update(_named)
