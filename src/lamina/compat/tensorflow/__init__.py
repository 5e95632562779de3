"""The names of TensorFlow that programs with a Keras model often use; the arrays are JAX's."""

from __future__ import annotations

import builtins
import logging as logs
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from lamina import initializers, losses, metrics, optimizers
from lamina._arrays.arrays import Array
from lamina._weights.weight import Weight
from lamina.compat.tensorflow import (
    arithmetic,
    compat,
    config,
    data,
    debugging,
    dtypes,
    image,
    io,
    linalg,
    logging,
    math,
    nn,
    random,
    strings,
    summary,
    test,
    train,
    version,
)
from lamina.compat.tensorflow.session import (
    ConfigProto,
    GPUOptions,
    Graph,
    InteractiveSession,
    Session,
    get_default_graph,
    reset_default_graph,
)
from lamina.compat.tensorflow.stand_in import StandIn
from lamina.compat.tensorflow.tape import GradientTape
from lamina.compat.tensorflow.texts import eager
from lamina.compat.tensorflow.variables import TensorSpec, Variable

# fmt: off
__all__ = [
    "ConfigProto",
    "GPUOptions",
    "GradientTape",
    "Graph",
    "InteractiveSession",
    "Session",
    "Tensor",
    "TensorShape",
    "TensorSpec",
    "Variable",
    "argmax",
    "bfloat16",
    "bool",
    "cast",
    "compat",
    "complex64",
    "config",
    "constant",
    "convert_to_tensor",
    "data",
    "debugging",
    "device",
    "disable_eager_execution",
    "disable_v2_behavior",
    "dtypes",
    "enable_eager_execution",
    "enable_v2_behavior",
    "executing_eagerly",
    "expand_dims",
    "float16",
    "float32",
    "float64",
    "function",
    "get_default_graph",
    "get_logger",
    "global_variables_initializer",
    "image",
    "initializers",
    "int8",
    "int16",
    "int32",
    "int64",
    "io",
    "is_tensor",
    "keras",
    "linalg",
    "logging",
    "losses",
    "math",
    "metrics",
    "name_scope",
    "newaxis",
    "nn",
    "numpy_function",
    "ones",
    "optimizers",
    "print",
    "py_function",
    "random",
    "reset_default_graph",
    "reshape",
    "set_random_seed",
    "squeeze",
    "string",
    "strings",
    "summary",
    "test",
    "train",
    "uint8",
    "uint16",
    "uint32",
    "version",
    "zeros",
]
# fmt: on
MAKERS = "constant ones zeros random_normal random_uniform truncated_normal orthogonal".split()
_makers = {f"{name}_initializer": getattr(initializers, name) for name in MAKERS}
globals().update(_makers)
__all__ += _makers
globals().update({name: value for name, value in arithmetic.functions.items() if name not in __all__})
__all__ += [name for name in arithmetic.functions if name not in __all__]

Values: TypeAlias = ArrayLike | Sequence[object]
Sizes: TypeAlias = int | Sequence[int]
Tensor = jax.Array
newaxis = None

float16, float32, float64, complex64 = map(np.dtype, ("float16", "float32", "float64", "complex64"))
bfloat16 = np.dtype(jnp.bfloat16)
int8, int16, int32, int64, uint8, uint16, uint32 = map(
    np.dtype, ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
)
bool = np.dtype("bool")
string = "string"

print = builtins.print
set_random_seed = random.set_seed


def function(func: Any = None, **kwargs: Any) -> Any:
    """Return the function unchanged: `fit` and `predict` are compiled, and `jax.jit` compiles a function of arrays."""
    return (lambda later: later) if func is None else func


def py_function(func: Callable[..., Any], inp: Sequence[Any], Tout: object, name: str | None = None) -> Any:
    """Call a function with tensors, which have `.numpy()`."""
    return _outputs(func(*map(eager, inp)), Tout)


def numpy_function(func: Callable[..., Any], inp: Sequence[Any], Tout: object, *others: object, **named: object) -> Any:
    """Call a function with NumPy arrays."""
    return _outputs(func(*map(np.asarray, inp)), Tout)


def _outputs(result: Any, kinds: Any) -> Any:
    """Convert the results of a function to tensors of these dtypes."""
    if isinstance(kinds, (list, tuple)):
        return [_outputs(each, kind) for each, kind in zip(result, kinds, strict=True)]
    return eager(result if isinstance(result, jax.Array) or kinds == string else np.asarray(result, kinds))


def is_tensor(x: object) -> builtins.bool:
    """Whether x is a JAX array."""
    return isinstance(x, (jax.Array, Weight))


def device(device_name: object = None) -> AbstractContextManager[None]:
    """A context without effect. `jax.default_device` chooses another device."""
    return nullcontext()


name_scope = device


def executing_eagerly() -> builtins.bool:
    """True: operations run at once."""
    return True


def disable_v2_behavior() -> None:
    """Have no effect: there is only one way to run."""


disable_eager_execution = enable_eager_execution = enable_v2_behavior = disable_v2_behavior
global_variables_initializer = disable_v2_behavior


def get_logger() -> logs.Logger:
    """The logger with the name "tensorflow"."""
    return logs.getLogger("tensorflow")


class TensorShape(tuple[int | None, ...], metaclass=StandIn):
    """A shape, which may hold None."""

    def as_list(self) -> list[int | None]:
        """The sizes in a list."""
        return list(self)

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self)


def constant(value: Values, dtype: DTypeLike | None = None, shape: Sizes | None = None, name: str = "Const") -> Array:
    """Convert values to an array of this shape; a single value is repeated.

    >>> constant([1, 2, 3, 4], shape=(2, 2)).shape
    (2, 2)
    """
    if _is_text(value):
        return eager(value)  # type: ignore[no-any-return]
    array = jnp.asarray(value, dtype)
    if shape is None:
        return array
    return jnp.broadcast_to(array, shape) if array.size == 1 else array.reshape(shape)


def convert_to_tensor(
    value: Values, dtype: DTypeLike | None = None, dtype_hint: DTypeLike | None = None, name: str | None = None
) -> Array:
    """The values as an array."""
    return eager(value) if _is_text(value) else jnp.asarray(value, dtype)


def cast(x: Values, dtype: DTypeLike, name: str | None = None) -> Array:
    """Convert values to another dtype; a cast to integers rounds towards 0.

    >>> cast([1.7, -1.7], int32).tolist()
    [1, -1]
    """
    return jnp.asarray(x).astype(dtype)


def ones(shape: Sizes, dtype: DTypeLike = float32, name: str | None = None) -> Array:
    """An array of ones."""
    return jnp.ones(shape, dtype)


def zeros(shape: Sizes, dtype: DTypeLike = float32, name: str | None = None) -> Array:
    """An array of zeros."""
    return jnp.zeros(shape, dtype)


def reshape(tensor: Values, shape: Sizes, name: str | None = None) -> Array:
    """Reshape values; one size may be -1."""
    library, array = _read(tensor)
    return library.reshape(array, shape)  # type: ignore[no-any-return]


def expand_dims(input: Values, axis: Sizes = 0, name: str | None = None) -> Array:
    """The array with one more axis, of length 1."""
    library, array = _read(input)
    return library.expand_dims(array, axis)  # type: ignore[no-any-return]


def squeeze(input: Values, axis: Sizes | None = None, name: str | None = None) -> Array:
    """The array without the axes of length 1, or without those of `axis`."""
    library, array = _read(input)
    return library.squeeze(array, axis if axis is None or isinstance(axis, int) else tuple(axis))  # type: ignore[no-any-return]


def _read(x: Any) -> tuple[Any, Any]:
    """Convert x to an array. Returns it and the library for it: NumPy for text, else `jax.numpy`."""
    return (np, eager(x)) if _is_text(x) else (jnp, jnp.asarray(x))


def _is_text(x: Any) -> builtins.bool:
    return not isinstance(x, (jax.Array, Weight)) and np.asarray(x).dtype.kind in "USO"


def argmax(
    input: Values, axis: int | None = None, output_type: DTypeLike | None = None, name: str | None = None
) -> Array:
    """The indices of the largest values along an axis, which is the first one by default.

    >>> argmax([[1, 5], [7, 2]]).tolist()
    [1, 0]
    """
    indices = jnp.argmax(jnp.asarray(input), 0 if axis is None else axis)
    return indices if output_type is None else indices.astype(output_type)
