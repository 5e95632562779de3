"""A weight: the array that a layer, a metric or an optimizer keeps between passes, and the user's view of it."""

from __future__ import annotations

import itertools
import math
import operator
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array, HostArray, own_array
from lamina._messages.missing_names import missing_member
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, one_of, short
from lamina._settings.pickling import ByName
from lamina._settings.registry import Registry
from lamina._weights.turns import Home, latest, this_thread
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, ShapeError


class Scope(Protocol):
    """The scope of a pass, which handles all reads and assignments of weights while it runs."""

    origins: dict[int, tuple[Array, Any]]
    calls: int
    """The number of direct calls of layers and of draws of random numbers outside of layers."""

    @property
    def rows(self) -> Array | None:
        """The number of rows of the batch that count, () int32; the rows after them only fill it. None if all count."""

    @property
    def key(self) -> Array | None: ...

    @property
    def draws(self) -> Any:
        """The keys for given seeds, a `random.Draws`."""

    def read(self, weight: Weight) -> Array: ...

    def write(self, weight: Weight, value: Array) -> None: ...


under_way: ContextVar[Scope | None] = ContextVar("under_way", default=None)
"""The pass that runs now. A user's function that reads `model.layers[0].kernel` gets the array of the pass."""


class Unset(HostArray):
    """A placeholder for the array of a weight whose values come later: zeros that take no memory."""

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: DTypeLike) -> Self:
        if math.prod(shape) * np.dtype(dtype).itemsize > sys.maxsize:  # NumPy cannot count them
            raise ShapeError(f"has a weight of the shape {shape} with {math.prod(shape):,} parameters: make it smaller")
        return np.broadcast_to(np.zeros((), dtype), shape).view(cls)


values_follow: ContextVar[bool] = ContextVar("values_follow", default=False)
"""Whether layers make weights without values, because the file that is read may have no arrays of these shapes."""


initializers = Registry("initializer")
"""The initializers by name, which `lamina.initializers` adds."""
_numbers = itertools.count()
"""The numbers in the default names of weights."""
aggregations = one_of("none", "mean", "sum", "only_first_replica", None)
synchronizations = one_of("auto", "none", "on_read", "on_write", None)


class Weight(ByName):
    """An array with a name, `keras.Variable`. It can be read like an array, by NumPy and by JAX, and written with
    `assign`.

    A weight in an attribute, a list or a dict of a layer is one of the layer's weights. During a pass, a copy of the
    layer is called. In it, trainable weights are plain arrays, and the others are `Weight`s, which `assign` or an
    assignment to the attribute changes. If user code reads or assigns the original object during a pass, it uses the
    same arrays.

    >>> w = Weight("ones", (2, 3), name="kernel")
    >>> w.assign(w * 2)
    <Weight kernel, shape=(2, 3), dtype=float32, value=[[2. 2. 2.]
     [2. 2. 2.]]>
    >>> float(w.sum())
    12.0

    Args:
        initializer: the values; or the name of an initializer, or a function of (shape, dtype), which makes them.
        shape: the shape, if an initializer makes the values.
        dtype: the dtype. The default is the dtype of the values, or `floatx` if an initializer makes them.
        trainable: whether training changes it.
        autocast: whether a layer that computes in 16 bits gets it in 16 bits.
        aggregation, synchronization: how Keras's other backends bring copies on several devices together; here they
            only keep what they are given.
        name: the name; "variable_1" and so on, or that of the attribute of its layer, unless given.
        layout: None; arrays are spread over devices by `jax.sharding`.
    """

    carried: bool = False
    """Whether it is the state of a stateful recurrent layer, which every batch updates, in training and in inference:
    such a state belongs to the data, and is not among a layer's `weights`."""
    of_pass: bool = False
    """Whether it was made for one pass, and holds the array of that pass itself."""
    first: Any = None
    """For a weight that was made for a pass, its initial array."""
    alone: bool = False
    """Whether a user made it, and not `add_weight` or a pass."""
    named: bool = True
    """Whether its name was given."""
    aggregation: str = "none"
    synchronization: str = "auto"
    overwrite_with_gradient: bool = False
    home: Home | None = None
    """The thread that trained it last."""
    busy: bool = False
    """Whether it is trained now."""

    @user_facing
    def __init__(
        self, initializer: object, shape: int | Sequence[int | None] | None = None, dtype: DTypeLike | None = None,
        trainable: bool = True, autocast: bool = True, aggregation: str | None = "none",
        synchronization: str | None = "auto", name: str | None = None, layout: None = None, *, path: str | None = None,
        regularizer: Callable[[Array], Array] | None = None, constraint: Callable[[Array], Array] | None = None,
    ) -> None:  # fmt: skip
        self.array: Any = _first(initializer, shape, dtype)  # an array, or what stands for one until it is made
        self.shown = True
        """Whether user code may hold the array. A program that overwrites its arguments then gets a copy."""
        self.alone, self.named = path is None, name is not None
        if name is None:
            number = next(_numbers)
            name = f"variable_{number}" if number else "variable"
        if self.alone and (not isinstance(name, str) or "/" in name):
            raise ArgumentError(f"Variable(name={short(name)}): expected a name without '/'.")
        if layout is not None:
            raise ArgumentError(
                f"Variable(layout={short(layout)}): put the values where they belong by jax.device_put."
            )
        self.aggregation = checked("Variable", "aggregation", aggregations, aggregation) or "none"
        self.synchronization = checked("Variable", "synchronization", synchronizations, synchronization) or "none"
        self.name, self.path, self.trainable = name, path or name, bool(trainable)
        self.regularizer, self.constraint, self.autocast = regularizer, constraint, bool(autocast)

    @property
    def value(self) -> Array:
        """The array: during a pass the array of the pass, else the one that the weight holds."""
        self.shown = True
        return read(self)

    @value.setter
    def value(self, array: Array) -> None:
        now = None if self.of_pass else under_way.get()
        if now is not None:
            now.write(self, array)
        else:
            self.array, self.shown = array, True

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> str:
        return str(self.array.dtype)

    def numpy(self) -> HostArray:
        """The values, as a new NumPy array."""
        return np.array(read(self))

    @user_facing
    def assign(self, value: ArrayLike) -> Weight:
        """Replace the values; the shape must be the same, the dtype is kept."""
        array = own_array(value)
        if array.shape != self.shape:
            raise ShapeError(f"weight {self.path!r} has shape {self.shape}, and cannot take {array.shape}.")
        self.value = array.astype(self.array.dtype)
        return self

    @user_facing
    def assign_add(self, value: ArrayLike) -> Weight:
        return self.assign(read(self) + jnp.asarray(value, self.dtype))

    @user_facing
    def assign_sub(self, value: ArrayLike) -> Weight:
        return self.assign(read(self) - jnp.asarray(value, self.dtype))

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        vars(twin).update(self.__getstate__())
        self.shown = True  # from now on two hold the array
        return twin

    def __getstate__(self) -> dict[str, Any]:
        held = {"array": latest((self,))[0]} if "array" in vars(self) else {}
        return {**vars(self), **held, "shown": True, "home": None, "busy": False}

    @property
    def _lamina_place(self) -> Hashable:
        """The identity of the array in a read of several weights. Two views of one array have the same one."""
        return id(self)

    def __jax_array__(self) -> Array:
        return self.value

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> HostArray:
        return np.array(read(self), dtype)

    @user_facing
    def __getattr__(self, name: str) -> Any:  # .T, .sum(), .at, .astype(), ...
        if name.startswith("__") or name in ("array", "value", "shown"):
            raise AttributeError(name)
        array = self.value
        if not hasattr(array, name):
            raise missing_member(self, name)
        return getattr(array, name)

    def __getitem__(self, index: Any) -> Array:
        found = read(self)[index]
        if found is self.array:  # w[:]
            self.shown = True
        return found

    def __iter__(self) -> Iterator[Array]:
        return iter(read(self))

    def __len__(self) -> int:
        return len(read(self))

    def __float__(self) -> float:
        return float(read(self))

    def __int__(self) -> int:
        return int(read(self))

    def __bool__(self) -> bool:
        return bool(read(self))

    def __round__(self, digits: int | None = None) -> Array:
        return jnp.round(read(self), digits or 0)

    def __format__(self, spec: str) -> str:
        return format(float(read(self)), spec) if spec else str(self)

    if TYPE_CHECKING:  # the end of this file makes them

        def __add__(self, other: Any) -> Array: ...

        __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = __add__
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = __add__
        __lt__ = __le__ = __gt__ = __ge__ = __add__

    def __repr__(self) -> str:
        array = read(self)
        known = isinstance(array, jax.Array) and not isinstance(array, jax.core.Tracer)
        values = f", value={np.array(array)!s}" if known else ""
        return f"<Weight {self.path}, shape={self.shape}, dtype={self.dtype}{values}>"


def _first(initializer: object, shape: int | Sequence[int | None] | None, dtype: DTypeLike | None) -> Any:
    """The values of a new weight."""
    if isinstance(initializer, (jax.ShapeDtypeStruct, Unset)):
        return initializer
    if not (isinstance(initializer, str) or callable(initializer)):
        value = jnp.asarray(initializer, dtype)
        return jax.lax.convert_element_type(value, value.dtype) if getattr(value, "weak_type", False) else value
    if shape is None:
        raise ArgumentError(
            f"Variable({short(initializer)}): an initializer needs the shape, Variable('zeros', (3, 2))."
        )
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if None in shape:
        raise ShapeError(f"Variable(shape={shape}): each size must be known.")
    kind = jnp.dtype(dtype or floatx())
    return jnp.asarray(initializers.get(initializer)(shape, dtype=kind), kind)


def read(weight: Weight) -> Array:
    """The array, for a use that does not pass it to user code. So it is not marked as `shown`."""
    now = None if weight.of_pass else under_way.get()
    array: Array = latest((weight,))[0] if now is None else now.read(weight)
    return array


def read_all(weights: Sequence[Weight]) -> list[Array]:
    """The arrays of weights, all from the same moment."""
    return latest(weights) if under_way.get() is None else [read(weight) for weight in weights]


def fits(weights: Sequence[Weight], store: Mapping[str, ArrayLike]) -> bool:
    """Whether the store has an array of the right shape for each weight, under "0", "1", ..., and no other arrays."""
    numbers = [str(number) for number in range(len(weights))]
    return store.keys() == set(numbers) and all(
        np.shape(store[number]) == weight.shape for number, weight in zip(numbers, weights, strict=True)
    )


def assign_all(weights: Sequence[Weight], store: Mapping[str, ArrayLike], owner: str) -> None:
    """Assign the arrays "0", "1", ... of a store to the weights, in this order."""
    if not fits(weights, store):
        raise ShapeError(
            f"{owner} has {', '.join(f'{w.name} {w.shape}' for w in weights) or 'no weights'}; the store has "
            f"{', '.join(f'{name} {np.shape(store[name])}' for name in store) or 'nothing'}."
        )
    with this_thread():
        for number, weight in enumerate(weights):
            weight.assign(store[str(number)])


def _binary(op: Callable[[Array, object], Array]) -> Callable[[Weight, object], Array]:
    return lambda self, other: op(read(self), read(other) if isinstance(other, Weight) else other)


def _reflected(op: Callable[[Array, Array], Array]) -> Callable[[Weight, object], Array]:
    return lambda self, other: op(jnp.asarray(other), read(self))


def _unary(op: Callable[[Array], Array]) -> Callable[[Weight], Array]:
    return lambda self: op(read(self))


for _name in "add sub mul truediv floordiv mod pow matmul and or xor".split():
    _op = getattr(operator, f"__{_name}__")
    setattr(Weight, f"__{_name}__", _binary(_op))
    setattr(Weight, f"__r{_name}__", _reflected(_op))
for _name in "eq ne lt le gt ge".split():  # the hash stays that of the object: a weight is a key of many dicts
    setattr(Weight, f"__{_name}__", _binary(getattr(operator, _name)))
for _name in "neg pos abs invert".split():
    setattr(Weight, f"__{_name}__", _unary(getattr(operator, _name)))


def unflatten(name: str, values: tuple[object]) -> Weight:
    weight = object.__new__(Weight)  # JAX also hands in things that are no arrays
    blank = {"trainable": True, "regularizer": None, "constraint": None, "autocast": True}
    vars(weight).update(array=values[0], shown=True, of_pass=True, name=name, path=name, **blank)
    return weight


# JAX's compiled functions, jnp.maximum and jnp.sum among them, take no `__jax_array__`; a tree of one array they take.
jax.tree_util.register_pytree_node(Weight, lambda weight: ((weight.value,), weight.name), unflatten)
