"""Converts arrays, tensors and lists of numbers to NumPy arrays of a dtype that the device supports."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import HostArray
from lamina.errors import DataError

INT32 = np.iinfo(np.int32)
_ENCODED = " Let the first layer encode the columns: keras.utils.FeatureSpace.from_frame({})."
KINDS = {"M": "dates", "m": "durations", "c": "complex numbers", "V": "records"}


def from_any(value: object, name: str, floatx: str, rows: int | None = None) -> HostArray:
    """Convert `value` to a NumPy array of numbers, with a copy only if another dtype or other memory is needed.

    Args:
        name: the name of the value in error messages.
        rows: the expected number of rows, if it is known.
    """
    if not isinstance(value, np.ndarray):
        value = _gathered(value, name, floatx, rows)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise DataError(f"{name} has {int(value.mask.sum())} masked values. Fill them: {name}.filled(0).")
    return numbers(np.asarray(value), name, floatx)


def numbers(array: HostArray, name: str, floatx: str) -> HostArray:
    """Convert floats to `floatx`, 64-bit integers to int32 (or `floatx` if they are too large), and bools to uint8."""
    kind = array.dtype.kind
    if kind == "O":
        array = _unboxed(array, name)
        kind = array.dtype.kind
    if kind == "b":
        return array.view(np.uint8)
    if kind in "iu":
        if array.dtype.itemsize < 8:
            return array.astype(array.dtype.newbyteorder("="), copy=False)
        fits = not array.size or (array.min() >= INT32.min and array.max() <= INT32.max)
        return array.astype(np.int32 if fits else floatx)
    if kind == "f" or jnp.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # infinities are reported later, with their rows and columns
            return array.astype(floatx, copy=False)
    if kind in "UST":
        raise _text(array, name)
    since = {"M": f"({name} - {name}.min()) / numpy.timedelta64(1, 'D')", "m": f"{name} / numpy.timedelta64(1, 's')"}
    advice = (
        f" Convert them to numbers, as in {since[kind]}." if kind in since else _ENCODED.format(name) * (kind == "V")
    )
    raise DataError(f"{name} holds {KINDS.get(kind, 'values')} ({array.dtype}); a model takes numbers.{advice}")


def is_mapped(value: object) -> TypeGuard[HostArray]:
    """Whether `value` is an array of numbers in a file, as `np.load(..., mmap_mode="r")` returns."""
    return isinstance(value, np.memmap) and value.dtype.kind in "biuf" and value.ndim > 0 and value.size > 0


def read(x: HostArray, rows: HostArray | slice, floatx: str) -> HostArray:
    """Return some rows of x. If x is mapped from a file, the rows are read and converted to the model's dtype."""
    part = x[rows]
    return numbers(np.array(part), "x", floatx) if is_mapped(x) else part


def has_axes(value: object) -> bool:
    """Whether `value` is an array, tensor, frame or series with at least one axis, not a number or a list."""
    return len(getattr(value, "shape", ())) > 0


def _gathered(value: Any, name: str, floatx: str, rows: int | None) -> HostArray:
    if isinstance(value, (list, tuple)) and len(value) and has_axes(value[0]):
        return _stacked(value, name, floatx, rows)
    if isinstance(value, (str, os.PathLike)):
        path = os.fspath(value)
        read = f"pandas.read_csv({path!r})" if path.endswith(".csv") else f"numpy.load({path!r})"
        raise DataError(f"{name} is the text {path[:60]!r}; a model takes numbers. To read a file: {read}.")
    if value is None:
        raise DataError(f"{name} is missing. Pass the data: fit(x, y), evaluate(x, y) or predict(x).")
    if isinstance(value, Mapping):
        raise DataError(
            f"{name} is a dict of {', '.join(map(repr, list(value)[:6]))}: a stack takes one tensor.\n"
            f"If each value is a column, numpy.column_stack(list({name}.values())).{_ENCODED.format(name)}"
        )
    if hasattr(value, "detach"):  # a tensor of torch; NumPy itself has no bfloat16
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value
    for dense in ("toarray", "todense"):  # the methods of SciPy's and JAX's sparse matrices
        value = getattr(value, dense)() if hasattr(value, dense) else value
    try:
        array = np.asarray(value)
    except ValueError:
        if isinstance(value, (list, tuple)):
            raise _ragged(value, name) from None
        array = np.array(None)
    if array.ndim == 0 and array.dtype.kind == "O":
        raise DataError(f"{name} is a {type(value).__name__}; expected an array, a frame or a list of numbers.")
    return array


def _stacked(arrays: Sequence[Any], name: str, floatx: str, rows: int | None) -> HostArray:
    """Convert a list of rows, or a list that holds one array, to an array. A list of several inputs is an error."""
    shapes = [np.shape(array) for array in arrays]
    if len(arrays) != rows:
        if len(arrays) == 1 and (shapes[0][0] == rows if rows is not None else len(shapes[0]) > 1):
            return from_any(arrays[0], name, floatx)
        if all(s[:1] == (rows or shapes[0][0],) for s in shapes) and (rows is not None or len(shapes[0]) > 1):
            targets = "If the second array holds the targets, pass it separately: fit(x, y), evaluate(x, y).\n"
            raise DataError(
                f"{name} is a {type(arrays).__name__} of {len(arrays)} arrays, {', '.join(map(str, shapes[:4]))}: "
                f"a stack takes one tensor.\n{targets * (rows is None and len(arrays) < 4)}"
                f"Join the columns: numpy.concatenate({name}, axis=-1); or, if they are rows: numpy.stack({name})."
            )
    if len(set(shapes)) > 1:
        raise _ragged(arrays, name)
    return np.stack([a if isinstance(a, np.ndarray) else from_any(a, name, floatx) for a in arrays])


def _unboxed(array: HostArray, name: str) -> HostArray:
    """Convert an array of Python objects to an array of numbers; None and pandas.NA become NaN."""
    items = [math.nan if _is_missing(item) else item for item in array.ravel()]
    try:
        made = np.array(items)
    except ValueError:
        raise _ragged(items, name) from None
    made = made.reshape(array.shape + made.shape[1:])
    if made.dtype.kind == "O":
        try:
            made = made.astype(np.float64)
        except (TypeError, ValueError):
            odd = next(item for item in items if not hasattr(item, "__float__"))
            raise DataError(
                f"{name} holds a {type(odd).__name__} ({str(odd)[:40]!r}); a model takes numbers."
                + _ENCODED.format(name) * isinstance(odd, Mapping)
            ) from None
    if made.dtype.kind == "U":
        raise _text(array, name)
    return made


def _is_missing(item: object) -> bool:
    return item is None or type(item).__name__ in ("NAType", "NaTType")


def _ragged(rows: Sequence[Any], name: str) -> DataError:
    def shape(row: ArrayLike) -> tuple[int, ...] | None:
        try:
            return tuple(np.shape(row))
        except ValueError:
            return None

    first = shape(rows[0])
    odd = next((i for i, row in enumerate(rows) if shape(row) != first or first is None), 0)
    if odd == 0:
        return DataError(f"a row of {name} is not an array: the parts of {name}[0] have different lengths.")
    other = shape(rows[odd])
    return DataError(
        f"the rows of {name} have different shapes: {name}[0] has shape {first}, "
        f"{name}[{odd}] has {'parts of different lengths' if other is None else other}.\n"
        f"Give all rows the same length, for example with keras.utils.pad_sequences({name})."
    )


def _text(array: HostArray, name: str) -> DataError:
    words = [item for item in array.ravel()[:1000] if isinstance(item, str)] or [str(i) for i in array.ravel()[:1]]
    shown = ", ".join(repr(str(word))[:30] for word in list(dict.fromkeys(words))[:3])
    where = ""
    if array.ndim == 2 and array.dtype.kind == "O" and array.shape[1] > 1:
        held = [str(j) for j in range(array.shape[1]) if any(isinstance(item, str) for item in array[:, j])]
        where = f" in column{'s' * (len(held) > 1)} {', '.join(held[:12])}"
    try:
        float(words[0])
        advice = f"The text holds numbers; convert it: {name}.astype('float32')."
    except (ValueError, IndexError):
        single = array.size == len(array) if array.ndim else False
        advice = (
            f"Give each class a number: classes, {name} = numpy.unique({name}, return_inverse=True)."
            if single
            else f"Make a table of it, {name} = pandas.DataFrame({name}), whose columns the first layer encodes: "
            f"keras.utils.FeatureSpace.from_frame({name})."
        )
    return DataError(f"{name} holds text{where} ({shown}); a model takes numbers.\n{advice}")
