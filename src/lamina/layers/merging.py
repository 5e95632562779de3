"""Layers that merge several tensors into one, for use in the `call` of a custom layer.

In a stack there is one tensor between two layers, so these layers cannot be in a stack. Inside a custom layer they can
be used:

    class Residual(layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner, self.add = inner, layers.Add()

        def call(self, x):
            return self.add([x, self.inner(x)])
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar, TypeAlias

import jax.numpy as jnp
from jax import lax

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape, agree
from lamina._kernels.precision import einsum
from lamina._layer.inputs import is_shape
from lamina._layer.layer import Layer
from lamina._messages.spelling import to_snake_case
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import flag, integer, short
from lamina._settings.settings import setting
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.normalizations.scaling import widened

Masks: TypeAlias = Sequence[Array | None] | None


class Merge(Layer):
    """Base of the layers that take a list of tensors and return one.

    If one tensor has fewer axes than another, axes of length 1 are inserted after its batch axis. Axes of length 1 are
    broadcast to the size of the other tensors. The output has a mask if every tensor has one; a step then counts if it
    counts in any tensor.
    """

    supports_masking: ClassVar[bool] = True
    _lamina_one_tensor: ClassVar[bool | None] = False
    _lamina_count: ClassVar[int | None] = None
    """The number of tensors that the layer takes; None for any number."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._lamina_joins = f"self.{to_snake_case(cls.__name__)}([x, self.inner(x)])"

    def _lamina_check_input(self, shape: Any) -> None:
        """Refuse anything but a list of tensors whose shapes fit together."""
        super()._lamina_check_input(shape)
        count = self._lamina_count
        listed = isinstance(shape, (list, tuple)) and bool(shape) and all(map(is_shape, shape))
        if not listed or count not in (None, len(shape)):
            told = f"{len(shape)} of them" if listed else "one tensor" if is_shape(shape) else str(shape)
            raise ShapeError(
                f"takes a list of {count or 'tensors'}{' tensors' * bool(count)}, and got {told}: "
                f"write {self.name}([a, b])"
            )
        self._lamina_check_shapes(list(shape))

    def _lamina_check_shapes(self, shapes: list[Shape]) -> None:
        rows = {shape[0] for shape in shapes if shape} - {None}
        longest = max(map(len, shapes))
        sizes = zip(*((1,) * (longest - len(shape)) + shape[1:] for shape in shapes), strict=False)
        if len(rows) > 1 or any(len(set(of_axis) - {1, None}) > 1 for of_axis in sizes):
            raise ShapeError(
                f"expects tensors of equal sizes, or of size 1 on an axis behind the first, got {_text(shapes)}"
            )

    def call(self, inputs: Sequence[Array], mask: Masks = None) -> Array:
        rank, known = max(x.ndim for x in inputs), _masks(inputs, mask)
        masks = [None if m is None or x.ndim < rank else m for x, m in zip(inputs, known, strict=True)]
        return self._lamina_merge([jnp.expand_dims(x, tuple(range(1, 1 + rank - x.ndim))) for x in inputs], masks)

    def _lamina_merge(self, xs: list[Array], masks: list[Array | None]) -> Array:
        """The output for tensors of equal rank."""
        raise NotImplementedError

    def compute_mask(self, inputs: Sequence[Array], mask: Masks = None) -> Array | None:
        known = [each for each in _masks(inputs, mask) if each is not None]
        return reduce(jnp.logical_or, known) if len(known) == len(inputs) else None


def _masks(inputs: Any, mask: Any) -> Sequence[Array | None]:
    """The mask of each tensor, None for one without."""
    for name, value in (("inputs", inputs), ("mask", [] if mask is None else mask)):
        if not isinstance(value, (list, tuple)):
            raise ArgumentError(f"`{name}` should be a list, [a, b], and is {short(value)}.")
    if mask is not None and len(mask) != len(inputs):
        raise ArgumentError(f"{len(inputs)} inputs got {len(mask)} masks: the lists should have the same length.")
    known: Sequence[Array | None] = [None] * len(inputs) if mask is None else mask
    for x, each in zip(inputs, known, strict=True):
        if each is not None and not hasattr(each, "shape"):
            raise ArgumentError(f"`mask` should be a list of arrays, or of None, and holds {short(each)}.")
        if each is not None and not _marks(each.shape, tuple(x.shape)):
            raise ShapeError(
                f"a mask of the shape {each.shape} is not for a tensor of the shape {tuple(x.shape)}: it should begin "
                "as the tensor's does."
            )
    return known


def _marks(shape: Shape, of_tensor: Shape) -> bool:
    """Whether a mask of that shape has one value for each step of a tensor."""
    pairs = zip(shape, of_tensor, strict=False)
    return len(shape) <= len(of_tensor) and all(1 in (a, b) or None in (a, b) or a == b for a, b in pairs)


def _text(shapes: Sequence[Shape]) -> str:
    return " and ".join(map(str, shapes))


def _of_rank(mask: Array, x: Array) -> Array:
    """The mask, with axes added to match `x`."""
    return jnp.broadcast_to(mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim)), x.shape)


class Add(Merge):
    """Adds tensors element by element.

    >>> Add()([jnp.array([[1.0, 2.0]]), jnp.array([[10.0, 20.0]])])
    Array([[11., 22.]], dtype=float32)
    """

    def _lamina_merge(self, xs: list[Array], masks: list[Array | None]) -> Array:
        return reduce(jnp.add, xs)


class Subtract(Merge):
    """Subtracts the second of two tensors from the first.

    >>> Subtract()([jnp.array([[1.0, 2.0]]), jnp.array([[10.0, 20.0]])])
    Array([[ -9., -18.]], dtype=float32)
    """

    _lamina_count: ClassVar[int | None] = 2

    def _lamina_merge(self, xs: list[Array], masks: list[Array | None]) -> Array:
        return xs[0] - xs[1]


class Multiply(Merge):
    """Multiplies tensors element by element. A masked step counts as 1; if it is masked in all tensors it gives 0.

    >>> Multiply()([jnp.array([[1.0, 2.0]]), jnp.array([[10.0, 20.0]])])
    Array([[10., 40.]], dtype=float32)
    """

    def _lamina_merge(self, xs: list[Array], masks: list[Array | None]) -> Array:
        known = [None if m is None else _of_rank(m, x) for x, m in zip(xs, masks, strict=True)]
        y = reduce(jnp.multiply, [x if m is None else jnp.where(m, x, 1) for x, m in zip(xs, known, strict=True)])
        together = [m for m in known if m is not None]
        return jnp.where(reduce(jnp.logical_or, together), y, 0) if len(together) == len(xs) else y


class Average(Merge):
    """Averages tensors element by element.

    >>> Average()([jnp.array([[1.0, 2.0]]), jnp.array([[10.0, 20.0]])])
    Array([[ 5.5, 11. ]], dtype=float32)
    """

    def _lamina_merge(self, xs: list[Array], masks: list[Array | None]) -> Array:
        return reduce(jnp.add, xs) / len(xs)


class _Extreme(Merge):
    """Base of the layers that choose one of the elements. A step that is masked in one tensor is not chosen from it."""

    _lamina_take: ClassVar[Callable[[Array, Array], Array]]

    def _lamina_merge(self, xs: list[Array], masks: list[Array | None]) -> Array:
        known = [None if m is None else _of_rank(m, x) for x, m in zip(xs, masks, strict=True)]
        y, of_y = xs[0], known[0]
        for x, of_x in zip(xs[1:], known[1:], strict=True):
            x = x if of_x is None else jnp.where(of_x, x, y)
            y = y if of_y is None else jnp.where(of_y, y, x)
            y, of_y = type(self)._lamina_take(y, x), None if of_x is None or of_y is None else of_x | of_y
        return y


class Maximum(_Extreme):
    """Takes the maximum of the elements. At a step that is masked in one tensor, only the other tensors count.

    >>> Maximum()([jnp.array([[1.0, 20.0]]), jnp.array([[10.0, 2.0]])])
    Array([[10., 20.]], dtype=float32)
    """

    _lamina_take: ClassVar[Callable[[Array, Array], Array]] = jnp.maximum


class Minimum(_Extreme):
    """Takes the minimum of the elements. At a step that is masked in one tensor, only the other tensors count.

    >>> Minimum()([jnp.array([[1.0, 20.0]]), jnp.array([[10.0, 2.0]])])
    Array([[1., 2.]], dtype=float32)
    """

    _lamina_take: ClassVar[Callable[[Array, Array], Array]] = jnp.minimum


class Concatenate(Merge):
    """Concatenates tensors along an axis; all other sizes are equal. Masks are concatenated too.

    >>> Concatenate()([jnp.ones((1, 2)), jnp.zeros((1, 1))])
    Array([[1., 1., 0.]], dtype=float32)

    Args:
        axis: the axis of the concatenation, counted with the batch axis.
    """

    axis: int = setting(integer, default=-1)

    def _lamina_check_shapes(self, shapes: list[Shape]) -> None:
        rank = len(shapes[0])
        if not -rank <= self.axis < rank:
            raise ShapeError(f"has no axis {self.axis} to concatenate along in {_text(shapes)}")
        rest = [tuple(size for axis, size in enumerate(shape) if axis != self.axis % rank) for shape in shapes]
        if not all(agree(rest[0], each) for each in rest):
            raise ShapeError(f"expects tensors of equal sizes on all axes but axis {self.axis}, got {_text(shapes)}")

    def call(self, inputs: Sequence[Array], mask: Masks = None) -> Array:
        return jnp.concatenate(inputs, self.axis)

    def compute_mask(self, inputs: Sequence[Array], mask: Masks = None) -> Array | None:
        mask = _masks(inputs, mask)
        if all(each is None for each in mask):
            return None
        full = [_of_rank(jnp.ones((), bool) if m is None else m, x) for x, m in zip(inputs, mask, strict=True)]
        return jnp.concatenate(full, self.axis).any(-1)


def _axes(value: Any) -> Any:
    pair = [value, value] if isinstance(value, int) else value
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(type(axis) is int and axis for axis in pair):
        raise ArgumentError(f"expected an axis, or one for each of two tensors, and none of them 0; got {value!r}.")
    return value


def _normalized(x: Array, axis: int) -> Array:
    """`x` divided by its length along `axis`; if the length is 0, the gradient is 0 too."""
    wide = widened(x)
    squared = jnp.sum(jnp.square(wide), axis, keepdims=True)
    least = jnp.asarray(dtypes.epsilon() ** 2, wide.dtype)
    unit: Array = wide * lax.rsqrt(jnp.maximum(squared, least))
    return unit.astype(x.dtype)


class Dot(Merge):
    """Multiplies two tensors and sums the products along one axis of each: (b, n) and (b, n) give (b, 1).

    The output has the other axes of the first tensor, then those of the second: (b, t, n) and (b, s, n) give (b, t, s)
    with axes=-1. It has no mask.

    >>> Dot(axes=1)([jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0]])])
    Array([[11.]], dtype=float32)

    Args:
        axes: the axis of the sum, or one axis for each tensor, counted with the batch axis.
        normalize: whether each tensor is first divided by its length along its axis, so that the output is cosines.
    """

    axes: int | Sequence[int] = setting(_axes)
    normalize: bool = setting(flag, default=False)

    _lamina_count: ClassVar[int | None] = 2

    def _lamina_axes_for(self, ranks: list[int]) -> list[int]:
        axes = [self.axes] * 2 if isinstance(self.axes, int) else self.axes
        return [axis % rank if -rank <= axis < rank else 0 for axis, rank in zip(axes, ranks, strict=True)]

    def _lamina_check_shapes(self, shapes: list[Shape]) -> None:
        places = self._lamina_axes_for([len(shape) for shape in shapes])
        sizes = {shape[axis] for shape, axis in zip(shapes, places, strict=True)} - {None}
        if 0 in places or len(sizes) > 1 or not agree(shapes[0][:1], shapes[1][:1]):
            raise ShapeError(
                f"expects two tensors with as many rows and equal sizes on axes={self.axes}, got {_text(shapes)}"
            )

    def call(self, inputs: Sequence[Array], mask: Masks = None) -> Array:
        places = self._lamina_axes_for([x.ndim for x in inputs])
        xs = [_normalized(x, axis) if self.normalize else x for x, axis in zip(inputs, places, strict=True)]
        y = einsum(self._lamina_equation([x.ndim for x in inputs]), *xs)
        return y if y.ndim > 1 else y[:, None]

    def _lamina_equation(self, ranks: list[int]) -> str:
        """The product as an equation for `einsum`: a is the batch axis, and b the axes of the sum."""
        letters = iter(string.ascii_letters[2:])
        axes = ["".join("ab"[axis == place] if axis in (0, place) else next(letters) for axis in range(rank))
                for rank, place in zip(ranks, self._lamina_axes_for(ranks), strict=True)]  # fmt: skip
        kept = [letter for letter in "".join(axes) if letter not in "ab"]
        return f"{axes[0]},{axes[1]}->a{''.join(kept)}"

    def compute_mask(self, inputs: Sequence[Array], mask: Masks = None) -> None:
        return None


@user_facing
def add(inputs: Sequence[Array], **kwargs: Any) -> Any:
    """The sum of tensors, as `Add` computes it.

    >>> add([jnp.array([[1.0, 2.0]]), jnp.array([[10.0, 20.0]])])
    Array([[11., 22.]], dtype=float32)
    """
    return Add(**kwargs)(inputs)


@user_facing
def subtract(inputs: Sequence[Array], **kwargs: Any) -> Any:
    """The difference of two tensors, as `Subtract` computes it."""
    return Subtract(**kwargs)(inputs)


@user_facing
def multiply(inputs: Sequence[Array], **kwargs: Any) -> Any:
    """The product of tensors, as `Multiply` computes it."""
    return Multiply(**kwargs)(inputs)


@user_facing
def average(inputs: Sequence[Array], **kwargs: Any) -> Any:
    """The average of tensors, as `Average` computes it."""
    return Average(**kwargs)(inputs)


@user_facing
def maximum(inputs: Sequence[Array], **kwargs: Any) -> Any:
    """The maximum of the elements of tensors, as `Maximum` computes it."""
    return Maximum(**kwargs)(inputs)


@user_facing
def minimum(inputs: Sequence[Array], **kwargs: Any) -> Any:
    """The minimum of the elements of tensors, as `Minimum` computes it."""
    return Minimum(**kwargs)(inputs)


@user_facing
def concatenate(inputs: Sequence[Array], axis: int = -1, **kwargs: Any) -> Any:
    """The concatenation of tensors along an axis, as `Concatenate` computes it."""
    return Concatenate(axis, **kwargs)(inputs)


@user_facing
def dot(inputs: Sequence[Array], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """The product of two tensors along an axis of each, as `Dot` computes it."""
    return Dot(axes, **kwargs)(inputs)
