"""Labels as one-hot rows, arrays of norm 1, and sequences of one length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lamina._arrays.arrays import Array, HostArray
from lamina._messages.tracebacks import user_facing
from lamina._process.memory import require
from lamina._settings.converters import checked, integer, one_of, positive
from lamina.errors import ArgumentError, DataError, LabelError

Items: TypeAlias = Sequence[Any] | HostArray
"""The items of one sequence."""


@user_facing
def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Any:
    """Maps class numbers of shape (...) or (..., 1) to one-hot rows (..., num_classes).

    The result is a NumPy array, or a JAX array if `x` is one.

    >>> to_categorical([0, 2], num_classes=3)
    array([[1., 0., 0.],
           [0., 0., 1.]])

    Args:
        x: the class numbers, starting at 0.
        num_classes: the number of classes; if None, the largest label plus 1.
    """
    labels = np.asarray(x)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.dtype.kind in "OUS" and labels.size and isinstance(labels.flat[0], (str, bytes)):
        raise LabelError(
            f"to_categorical takes whole numbers, got text: {str(labels.flat[0])!r}, ...\n"
            "np.unique(labels, return_inverse=True)[1] numbers the classes in alphabetical order."
        )
    number = labels.astype(np.float64)
    broken = number[~np.isfinite(number) | (number != np.floor(number))]
    if broken.size:
        raise LabelError(f"to_categorical takes whole numbers, got {broken[0]:g}.")
    if labels.size == 0 and num_classes is None:
        raise LabelError("to_categorical got no labels; pass num_classes to say how many classes there are.")
    count = int(number.max(initial=0)) + 1 if num_classes is None else positive(num_classes)
    what = f"to_categorical: a column for each number up to {count - 1:,}"
    require(8 * count * number.size, f"{what} (numpy.unique(y, return_inverse=True)[1] gives smaller ones) needs")
    wrong = number[(number < 0) | (number >= count)]
    if wrong.size:
        low, high = int(number.min()), int(number.max())
        advice = f"Give num_classes={high + 1}."
        if low < 0:
            advice = "Number the classes: numpy.unique(y, return_inverse=True)[1]."
        elif low and high - low < count:
            advice = f"Count from 0: y - {low}."
        raise LabelError(
            f"to_categorical with num_classes={count} takes labels from 0 to {count - 1}, got {wrong[0]:g}. "
            f"The labels go from {low} to {high}.\n{advice}"
        )
    rows = np.zeros((*number.shape, count))  # (..., num_classes)
    np.put_along_axis(rows, number.astype(np.int64)[..., None], 1, -1)
    return jnp.asarray(rows, jnp.float32) if isinstance(x, jax.Array) else rows


@user_facing
def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> Any:
    """Divides `x` by its norm along `axis`: `x / norm(x)`. Where the norm is 0, `x` stays unchanged.

    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])

    Args:
        x: an array of any shape.
        axis: the axis of the vectors whose norm becomes 1.
        order: the order of the norm: 1, 2, any other number, or `np.inf`.
    """
    library: Any = jnp if isinstance(x, jax.Array) else np  # the two have the same functions
    array: HostArray | Array = library.asarray(x)
    if not -array.ndim <= integer(axis) < array.ndim:
        raise ArgumentError(
            f"normalize(axis={axis}): x has shape {array.shape}, so axis goes from {-array.ndim} to {array.ndim - 1}."
        )
    norm = library.linalg.norm(array, order, axis, keepdims=True)
    return array / library.where(norm == 0, library.ones_like(norm), norm)


@user_facing
def pad_sequences(
    sequences: Sequence[Items],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: Literal["pre", "post"] = "pre",
    truncating: Literal["pre", "post"] = "pre",
    value: float | str = 0.0,
) -> HostArray:
    """Puts sequences of different lengths into one array (len(sequences), maxlen, ...).

    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2, padding="post")
    array([[1, 0],
           [2, 3],
           [5, 6]], dtype=int32)

    Args:
        sequences: a list of sequences; the items of all sequences have the same shape.
        maxlen: the length of all rows; if None, the length of the longest sequence.
        dtype: the dtype of the result.
        padding: "pre" or "post": the end at which values are added to a short sequence.
        truncating: "pre" or "post": the end at which values are removed from a long sequence.
        value: the value that is added; text needs `dtype=object`.
    """
    for name, end in (("padding", padding), ("truncating", truncating)):
        checked("pad_sequences", name, one_of("pre", "post"), end)
    if not hasattr(sequences, "__len__"):
        raise ArgumentError(f"pad_sequences takes a list of sequences, got {type(sequences).__name__}.")
    for place, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__") or isinstance(sequence, (str, bytes)):
            raise ArgumentError(f"pad_sequences takes a list of sequences, but item {place} of it is {sequence!r}.")
    kind = np.dtype(dtype)
    if isinstance(value, str) and kind.kind not in "OUS":
        raise ArgumentError(f"pad_sequences(value={value!r}) does not fit dtype={kind.name!r}; pass dtype=object.")
    if maxlen is None and not len(sequences):
        raise DataError("pad_sequences got no sequences; pass maxlen to say how long they are.")
    length = max(map(len, sequences)) if maxlen is None else positive(maxlen)
    item_shape = next((np.shape(sequence)[1:] for sequence in sequences if len(sequence)), ())
    size = math.prod((len(sequences), length, *item_shape)) * max(kind.itemsize, 1)
    require(size, f"pad_sequences(maxlen={maxlen}) makes {len(sequences):,} rows of {length:,} items, which needs")
    padded = np.full((len(sequences), length, *item_shape), value, kind)
    for place, sequence in enumerate(sequences):
        kept = sequence[:length] if truncating == "post" else sequence[max(len(sequence) - length, 0) :]
        if len(kept):
            items = _converted(kept, kind, item_shape, place)  # (len(kept), ...)
            padded[place, slice(len(kept)) if padding == "post" else slice(-len(kept), None)] = items
    return padded


def _converted(sequence: Items, kind: np.dtype[Any], item_shape: tuple[int, ...], place: int) -> HostArray:
    given = np.asarray(sequence)
    if given.shape[1:] != item_shape:
        raise DataError(f"sequence {place} has items of shape {given.shape[1:]}, those before it have {item_shape}.")
    with np.errstate(invalid="ignore"):
        items = given.astype(kind)
    if kind.kind in "iu" and given.dtype.kind in "iuf" and (items != given).any():
        lost = given[items != given][0]
        raise DataError(f"sequence {place} holds {lost}, which dtype={kind.name!r} cannot; pass dtype='float32'.")
    return items
