"""The part of Keras's backend module that Keras 3 keeps: default settings, and rules of dtypes."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._programs.session import clear_session, get_uid
from lamina.config import backend, image_data_format, set_image_data_format
from lamina.dtypes import epsilon, floatx, set_epsilon, set_floatx, standardize_dtype
from lamina.errors import ArgumentError

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format", "is_float_dtype",
    "is_int_dtype", "is_keras_tensor", "result_type", "set_epsilon", "set_floatx", "set_image_data_format",
    "standardize_dtype",
]  # fmt: skip

FLOAT8 = ("float8_e4m3fn", "float8_e5m2")


def is_float_dtype(dtype: DTypeLike) -> bool:
    """Whether a dtype is a float dtype, of 8 to 64 bits."""
    return "float" in standardize_dtype(dtype)


def is_int_dtype(dtype: DTypeLike) -> bool:
    """Whether a dtype is an integer dtype, signed or unsigned."""
    return "int" in standardize_dtype(dtype)


@user_facing
def result_type(*dtypes: DTypeLike) -> str:
    """The dtype of a result computed from arrays with these dtypes, by JAX's rules; `floatx()` is the default float.

    The classes `int` and `float` mean Python's numbers, which adapt to the dtype of the other operands.

    >>> result_type("int32", "float16"), result_type("bfloat16", float), result_type("int32", float)
    ('float16', 'bfloat16', 'float32')
    """
    plain = [dtype for dtype in dtypes if dtype is int or dtype is float]
    known = [standardize_dtype(dtype) for dtype in dtypes if dtype is not int and dtype is not float]
    if any(name in FLOAT8 for name in known):
        raise ArgumentError(f"floats of 8 bits have no common dtype with others: cast them first. Got {dtypes!r}.")
    wholes = all(np.dtype(name).kind in "biu" for name in known)
    if not dtypes or (float in plain and wholes):
        return floatx()
    if int in plain and all(name == "bool" for name in known):
        return f"int{floatx()[-2:]}"
    return str(jnp.result_type(*known, *plain))


def is_keras_tensor(x: object) -> bool:
    """Returns False for every `x`, since a stack has no symbolic tensors."""
    return False


public(__name__, __all__)
