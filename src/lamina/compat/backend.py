"""Keras 2's `keras.backend`: the functions with which custom losses, metrics and layers were written."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from lamina import backend as of_today
from lamina._arrays.arrays import Array
from lamina._weights.weight import Weight, under_way
from lamina.backend import floatx, image_data_format, set_image_data_format
from lamina.compat.backend_operations import functions
from lamina.compat.functional import Model
from lamina.compat.operations import array
from lamina.compat.tensorflow import random, session
from lamina.compat.tensorflow.arithmetic import stack
from lamina.compat.told import say
from lamina.errors import ArgumentError
from lamina.ops.tensors import DType

globals().update({name: getattr(of_today, name) for name in of_today.__all__})
globals().update(functions)


def concatenate(tensors: Sequence[object], axis: int = -1) -> Array:
    """Concatenate arrays along an axis."""
    return jnp.concatenate([array(tensor) for tensor in tensors], axis)


def variable(
    value: object, dtype: DType = None, name: str | None = None, constraint: Callable[[Array], Array] | None = None,
) -> Weight:  # fmt: skip
    """An array that `set_value` changes."""
    return Weight(jnp.asarray(value, dtype or floatx()), name=name or "variable", constraint=constraint)


def constant(value: object, dtype: DType = None, shape: Sequence[int] | None = None, name: str | None = None) -> Array:
    """The values as an array."""
    made = jnp.asarray(value, dtype or floatx())
    return made if shape is None else jnp.broadcast_to(made, shape)


def placeholder(*args: object, **kwargs: object) -> NoReturn:
    """Refused: there is no graph."""
    raise ArgumentError(
        "K.placeholder: there is no graph here. Write a function of arrays, or keras.Input for a model."
    )


def function(
    inputs: Sequence[Any], outputs: Any, updates: object = None, **kwargs: Any
) -> Callable[[Sequence[Any]], list[Any]]:
    """A function of [x] that gives the outputs of layers in one line: `K.function([model.input], [layer.output])`."""
    start = next(each for each in inputs if not isinstance(each, (int, bool, Array, Weight)))
    ends = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    models = [Model(start, end) for end in ends]
    say("K.function(inputs, outputs) is now Model(inputs, outputs).predict.")
    return lambda values: [model.predict_on_batch(values[0]) for model in models]


def ones(shape: Sequence[int], dtype: DType = None, name: str | None = None) -> Array:
    """An array of ones."""
    return jnp.ones(tuple(shape), dtype or floatx())


def zeros(shape: Sequence[int], dtype: DType = None, name: str | None = None) -> Array:
    """An array of zeros."""
    return jnp.zeros(tuple(shape), dtype or floatx())


def eye(size: int | Sequence[int], dtype: DType = None, name: str | None = None) -> Array:
    """The identity matrix."""
    rows, columns = size if isinstance(size, (tuple, list)) else (size, size)
    return jnp.eye(rows, columns, dtype=dtype or floatx())


def arange(start: int, stop: int | None = None, step: int = 1, dtype: DTypeLike = "int32") -> Array:
    """The numbers from `start` below `stop`."""
    return jnp.arange(start, stop, step, dtype)


def random_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: DType = None, seed: int | None = None,
) -> Array:  # fmt: skip
    """Numbers from the normal distribution."""
    return random.normal(shape, mean, stddev, dtype or floatx(), seed)


def random_uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: DType = None, seed: int | None = None,
) -> Array:  # fmt: skip
    """Numbers from `minval` up to `maxval`."""
    return random.uniform(shape, minval, maxval, dtype or floatx(), seed)


def random_bernoulli(shape: Sequence[int], p: float = 0.0, dtype: DType = None, seed: int | None = None) -> Array:
    """Numbers that are 1 with the probability `p`, else 0."""
    return (random.uniform(shape, seed=seed) <= p).astype(dtype or floatx())


random_binomial = random_bernoulli


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: DType = None, seed: int | None = None,
) -> Array:  # fmt: skip
    """Numbers from the normal distribution, within two standard deviations."""
    return random.truncated_normal(shape, mean, stddev, dtype or floatx(), seed)


def get_value(x: object) -> Any:
    """The values of a weight as a NumPy array."""
    return np.asarray(x)[()] if isinstance(x, (Weight, jax.Array)) else x


eval = get_value


def set_value(x: Weight, value: ArrayLike) -> None:
    """Set a weight to values."""
    x.assign(value)


def batch_get_value(tensors: Sequence[object]) -> list[Any]:
    """The values of several weights."""
    return [get_value(tensor) for tensor in tensors]


def batch_set_value(tuples: Sequence[tuple[Weight, ArrayLike]]) -> None:
    """Set several weights to values."""
    for weight, value in tuples:
        set_value(weight, value)


def update(x: Weight, new_x: ArrayLike) -> Weight:
    """`x.assign(new_x)`."""
    return x.assign(new_x)


def update_add(x: Weight, increment: ArrayLike) -> Weight:
    """`x.assign_add(increment)`."""
    return x.assign_add(increment)


def update_sub(x: Weight, decrement: ArrayLike) -> Weight:
    """`x.assign_sub(decrement)`."""
    return x.assign_sub(decrement)


def moving_average_update(x: Weight, value: object, momentum: float) -> Weight:
    """`x.assign(momentum * x + (1 - momentum) * value)`."""
    return x.assign(array(x) * momentum + array(value) * (1 - momentum))


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The shape."""
    return tuple(x.shape)


def dtype(x: Any) -> str:
    """The name of the dtype."""
    return str(x.dtype)


def count_params(x: Any) -> int:
    """How many numbers an array has."""
    return int(np.prod(x.shape))


def is_sparse(tensor: object) -> bool:
    """False: arrays are dense."""
    return False


def stop_gradient(variables: Any) -> Any:
    """The same values, through which no gradient goes."""
    return jax.tree.map(lax.stop_gradient, variables)


def switch(condition: object, then_expression: Any, else_expression: Any) -> Array:
    """The first value where the condition is true, else the second. A value may be a function without arguments."""
    then, other = (each() if callable(each) else each for each in (then_expression, else_expression))
    condition, then = array(condition).astype(bool), array(then)
    return jnp.where(condition.reshape(condition.shape + (1,) * (then.ndim - condition.ndim)), then, other)


def map_fn(fn: Callable[[Array], Any], elems: object, name: str | None = None, dtype: DType = None) -> Array:
    """The results of a function of each row."""
    return lax.map(fn, array(elems))  # type: ignore[no-any-return]


def in_train_phase(x: Any, alt: Any, training: object = None) -> Any:
    """`x` while the model is trained, else `alt`. Each may be a function without arguments."""
    trains = learning_phase() if training is None else training
    return (x() if callable(x) else x) if trains else (alt() if callable(alt) else alt)


def in_test_phase(x: Any, alt: Any, training: object = None) -> Any:
    """`x` while the model is not trained, else `alt`."""
    return in_train_phase(alt, x, training)


def learning_phase() -> int:
    """1 while the model is trained, else 0."""
    return int(bool(getattr(under_way.get(), "training", False)))


def set_learning_phase(value: object) -> None:
    """Have no effect: `fit` sets the phase, and `model(x, training=True)` sets it for one call."""
    say("K.set_learning_phase(value) has no effect: write model(x, training=True).")


def name_scope(name: str) -> AbstractContextManager[None]:
    """A context that has no effect."""
    return nullcontext()


def gradients(loss: object, variables: object) -> NoReturn:
    """Refused: there is no graph."""
    raise ArgumentError("K.gradients: there is no graph here. Write jax.grad of a function, or use tf.GradientTape.")


def image_dim_ordering() -> str:
    """Keras 1's name of the data format: "tf" for channels last, "th" for channels first."""
    return "tf" if image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Set the data format, by Keras 1's names."""
    say("K.set_image_dim_ordering is now keras.config.set_image_data_format.")
    set_image_data_format("channels_last" if dim_ordering == "tf" else "channels_first")


def get_session(*args: object) -> session.Session:
    """A session object without effect."""
    return session.Session()


def set_session(session: object) -> None:
    """Have no effect: there is no session."""


def manual_variable_initialization(value: bool) -> None:
    """Have no effect: weights are initialized when they are made."""


def foldl(fn: Callable[[Any, Any], Any], elems: object, initializer: Any = None, name: str | None = None) -> Any:
    """Call a function with the result so far and a row, for each row from first to last. Returns the last result."""
    rows = list(array(elems))
    return functools.reduce(fn, rows) if initializer is None else functools.reduce(fn, rows, initializer)


def foldr(fn: Callable[[Any, Any], Any], elems: object, initializer: Any = None, name: str | None = None) -> Any:
    """Call a function with the result so far and a row, for each row from last to first. Returns the last result."""
    return foldl(fn, array(elems)[::-1], initializer)


def random_normal_variable(
    shape: Sequence[int], mean: float, scale: float, dtype: DType = None, name: str | None = None,
    seed: int | None = None,
) -> Weight:  # fmt: skip
    """A variable with numbers from the normal distribution."""
    return variable(random_normal(shape, mean, scale, dtype, seed), dtype, name)


def random_uniform_variable(
    shape: Sequence[int], low: float, high: float, dtype: DType = None, name: str | None = None,
    seed: int | None = None,
) -> Weight:  # fmt: skip
    """A variable with numbers from `low` up to `high`."""
    return variable(random_uniform(shape, low, high, dtype, seed), dtype, name)


_OWN = (
    arange, batch_get_value, batch_set_value, concatenate, constant, count_params, dtype, eye, foldl, foldr, function,
    get_session, gradients, image_dim_ordering, in_test_phase, in_train_phase, int_shape, is_sparse, learning_phase,
    manual_variable_initialization, map_fn, moving_average_update, name_scope, ones, placeholder, random_bernoulli,
    random_normal, random_normal_variable, random_uniform, random_uniform_variable, set_image_dim_ordering,
    set_learning_phase, set_session, set_value, stack, stop_gradient, switch, truncated_normal, update, update_add,
    update_sub, variable, zeros,
)  # fmt: skip
__all__ = sorted({
    *of_today.__all__, *functions, *(each.__name__ for each in _OWN), "eval", "get_value", "random_binomial",
})  # fmt: skip
