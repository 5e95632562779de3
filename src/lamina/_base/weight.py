"""A weight: the array that a layer, a metric or an optimizer keeps between passes, and the user's view of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._base.frames import user_facing
from lamina.errors import ShapeError

Array = jax.Array
"""The one name for JAX's arrays in annotations."""


class Weight:
    """An array with a name. It can be read like an array, by NumPy and by JAX, and written with `assign`.

    During a pass a layer works on a copy of itself: there its trainable weights are plain arrays, and the
    others are `Weight`s that `assign` may change, or that a plain assignment to the attribute replaces.

    >>> w = Weight(jnp.ones((2, 3)), name="kernel")
    >>> w.assign(w * 2)
    <Weight kernel, shape=(2, 3), dtype=float32>
    >>> float(w.sum())
    12.0
    """

    carried: bool = False
    """Whether it is the state of a stateful recurrent layer, which every batch updates, in training and in inference:
    such a state belongs to the data, and is not among a layer's `weights`."""

    def __init__(
        self, value: Any, *, name: str = "weight", path: str | None = None, trainable: bool = True,
        regularizer: Callable[[Array], Array] | None = None, constraint: Callable[[Array], Array] | None = None,
        autocast: bool = True,
    ) -> None:  # fmt: skip
        self.value: Any = value if isinstance(value, jax.ShapeDtypeStruct) else jnp.asarray(value)
        self.name, self.path, self.trainable = name, path or name, trainable
        self.regularizer, self.constraint, self.autocast = regularizer, constraint, autocast

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def dtype(self) -> str:
        return str(self.value.dtype)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values, as a NumPy array of its own."""
        return np.array(self.value)

    @user_facing
    def assign(self, value: Any) -> Weight:
        """Replace the values; the shape must be the same, the dtype is kept."""
        value = jnp.asarray(value)
        if value.shape != self.shape:
            raise ShapeError(f"weight {self.path!r} has shape {self.shape}, and cannot take {value.shape}.")
        self.value = value.astype(self.value.dtype)
        return self

    def assign_add(self, value: Any) -> Weight:
        return self.assign(self.value + jnp.asarray(value, self.value.dtype))

    def assign_sub(self, value: Any) -> Weight:
        return self.assign(self.value - jnp.asarray(value, self.value.dtype))

    def __jax_array__(self) -> Any:
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.value, dtype)

    def __getattr__(self, name: str) -> Any:  # .T, .sum(), .at, .astype(), ...
        if name.startswith("__") or name == "value":
            raise AttributeError(name)
        return getattr(self.value, name)

    def __getitem__(self, index: Any) -> Any:
        return self.value[index]

    def __iter__(self) -> Iterator[Array]:
        return iter(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __format__(self, spec: str) -> str:
        return format(float(self.value), spec) if spec else str(self)

    def __repr__(self) -> str:
        return f"<Weight {self.path}, shape={self.shape}, dtype={self.dtype}>"


def _binary(op: Callable[[Any, Any], Any]) -> Any:
    return lambda self, other: op(self.value, other.value if isinstance(other, Weight) else other)


def _reflected(op: Callable[[Any, Any], Any]) -> Any:
    return lambda self, other: op(jnp.asarray(other), self.value)


def _unary(op: Callable[[Any], Any]) -> Any:
    return lambda self: op(self.value)


for _name in "add sub mul truediv floordiv mod pow matmul".split():
    _op = getattr(operator, _name)
    setattr(Weight, f"__{_name}__", _binary(_op))
    setattr(Weight, f"__r{_name}__", _reflected(_op))
for _name in "eq ne lt le gt ge".split():  # the hash stays that of the object: a weight is a key of many dicts
    setattr(Weight, f"__{_name}__", _binary(getattr(operator, _name)))
for _name in "neg pos abs".split():
    setattr(Weight, f"__{_name}__", _unary(getattr(operator, _name)))


def unflatten(name: str, values: tuple[Any]) -> Weight:
    weight = object.__new__(Weight)  # JAX also hands in things that are no arrays
    blank = {"trainable": True, "regularizer": None, "constraint": None, "autocast": True}
    vars(weight).update(value=values[0], name=name, path=name, **blank)
    return weight


# JAX's compiled functions, jnp.maximum and jnp.sum among them, take no `__jax_array__`; a tree of one array they take.
jax.tree_util.register_pytree_node(Weight, lambda weight: ((weight.value,), weight.name), unflatten)
