"""`tf.Variable`, which makes a weight, and `tf.TensorSpec`, which describes an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from lamina._messages.tracebacks import user_facing
from lamina._weights.weight import Weight
from lamina.compat.tensorflow.stand_in import StandIn


class TensorSpec(NamedTuple):
    """The shape and the dtype of an array."""

    shape: Any = None
    dtype: Any = "float32"
    name: str | None = None


class OfWeights(StandIn):
    """The metaclass of `tf.Variable`: its call makes a weight, and each weight is an instance of it."""

    @user_facing
    def __call__(
        cls, initial_value: object = None, trainable: bool | None = None, validate_shape: bool = True,
        caching_device: None = None, name: str | None = None, variable_def: None = None,
        dtype: DTypeLike | None = None, import_scope: None = None, constraint: Any = None,
        synchronization: object = None, aggregation: object = None, shape: Sequence[int | None] | None = None,
    ) -> Weight:  # fmt: skip
        value = initial_value() if callable(initial_value) else initial_value
        array = jnp.asarray(value, dtype)
        return Weight(array, name=name or "Variable", path=name or "Variable", trainable=trainable is not False,
                      constraint=constraint)  # fmt: skip

    def __instancecheck__(cls, thing: object) -> bool:
        return isinstance(thing, Weight)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, Weight)


class Variable(Weight, metaclass=OfWeights):
    """An array that `assign` changes.

    >>> v = Variable([1.0, 2.0], name="v")
    >>> v.assign_add([1.0, 1.0]).numpy(), isinstance(v, Variable)
    (array([2., 3.], dtype=float32), True)
    """
