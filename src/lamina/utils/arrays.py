"""Labels and sequences of whole numbers as the arrays that a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._base.converters import integer, one_of, positive
from lamina._base.frames import user_facing
from lamina.errors import ArgumentError, DataError, LabelError

NumpyArray = np.ndarray[Any, Any]


@user_facing
def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Maps class numbers of shape (...) or (..., 1) to one-hot rows (..., num_classes).

    The result is a NumPy array, or a JAX array where `x` is one.

    >>> to_categorical([0, 2], num_classes=3)
    array([[1., 0., 0.],
           [0., 0., 1.]])

    Args:
        num_classes: if None, the greatest label plus 1.
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
    count = int(number.max()) + 1 if num_classes is None else positive(num_classes)
    wrong = number[(number < 0) | (number >= count)]
    if wrong.size:
        raise LabelError(
            f"to_categorical with num_classes={count} takes labels from 0 to {count - 1}, got {wrong[0]:g}. "
            f"The labels go from {number.min():g} to {number.max():g}."
        )
    rows = np.eye(count)[number.astype(np.int64)]  # (..., num_classes)
    return jnp.asarray(rows, jnp.float32) if isinstance(x, jax.Array) else rows


@user_facing
def normalize(x: Any, axis: int = -1, order: Any = 2) -> Any:
    """Scales `x` so that its norm along `axis` is 1: `x / norm(x)`; where the norm is 0, `x` stays.

    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])

    Args:
        order: of the norm: 1, 2, any other number, or `np.inf`.
    """
    library: Any = jnp if isinstance(x, jax.Array) else np
    x = library.asarray(x)
    if not -x.ndim <= integer(axis) < x.ndim:
        raise ArgumentError(
            f"normalize(axis={axis}): x has shape {x.shape}, so axis goes from {-x.ndim} to {x.ndim - 1}."
        )
    norm = library.linalg.norm(x, order, axis, keepdims=True)
    return x / library.where(norm == 0, library.ones_like(norm), norm)


@user_facing
def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> NumpyArray:
    """Puts sequences of different lengths into one array (len(sequences), maxlen, ...).

    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2, padding="post")
    array([[1, 0],
           [2, 3],
           [5, 6]], dtype=int32)

    Args:
        maxlen: if None, the length of the longest sequence.
        padding: "pre" or "post", the side that short sequences are filled up on.
        truncating: "pre" or "post", the side that long sequences are cut on.
        value: what they are filled up with; text needs `dtype=object`.
    """
    one_of("pre", "post")(padding), one_of("pre", "post")(truncating)
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
    padded = np.full((len(sequences), length, *item_shape), value, kind)
    for place, sequence in enumerate(sequences):
        kept = sequence[:length] if truncating == "post" else sequence[max(len(sequence) - length, 0) :]
        if len(kept):
            items = _converted(kept, kind, item_shape, place)  # (len(kept), ...)
            padded[place, slice(len(kept)) if padding == "post" else slice(-len(kept), None)] = items
    return padded


def _converted(sequence: Any, kind: np.dtype[Any], item_shape: tuple[int, ...], place: int) -> NumpyArray:
    given = np.asarray(sequence)
    if given.shape[1:] != item_shape:
        raise DataError(f"sequence {place} has items of shape {given.shape[1:]}, those before it have {item_shape}.")
    with np.errstate(invalid="ignore"):
        items = given.astype(kind)
    if kind.kind in "iu" and given.dtype.kind in "iuf" and (items != given).any():
        lost = given[items != given][0]
        raise DataError(f"sequence {place} holds {lost}, which dtype={kind.name!r} cannot; pass dtype='float32'.")
    return items
