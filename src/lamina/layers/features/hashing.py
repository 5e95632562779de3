"""The layer that maps text to bins by a hash, and the functions that turn indices into vectors on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina._kernels.hashes import farm_hash, sip_hash
from lamina._layer.host import HostLayer
from lamina._layer.room import raise_if_too_large
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import flag, integer, one_of, up_to
from lamina._settings.settings import Converted, setting
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError, ShapeError

Modes: TypeAlias = Literal["int", "one_hot", "multi_hot", "count", "tf_idf", "binary", "tf-idf"]
Mode: TypeAlias = Converted[Modes, str]
Salt: TypeAlias = Converted[int | Sequence[int] | None, list[int] | None]
MODES = ("int", "one_hot", "multi_hot", "count")


def mode(*choices: str) -> Callable[[object], str]:
    """An `output_mode`; older spellings are accepted too."""
    older = {"binary": "multi_hot", "tf-idf": "tf_idf"}
    choice = one_of(*choices)
    return lambda value: str(choice(older.get(value, value) if isinstance(value, str) else value))


def dense(value: object) -> bool:
    """The value False of `sparse` or `ragged`; True is an error, since a stack takes dense tensors."""
    if flag(value):
        raise ArgumentError("a stack takes one dense tensor: leave it False.")
    return False


def salt(value: object) -> list[int] | None:
    """None, or two integers; one integer is used for both."""
    if value is None:
        return None
    both = list(value) if isinstance(value, (list, tuple)) else [value, value]
    if len(both) != 2:
        raise ArgumentError(f"expected a whole number or two of them, got {value!r}.")
    return [integer(each) for each in both]


def encoded_shape(shape: Shape, output_mode: str, depth: int) -> Shape:
    """The shape that `encoded` returns."""
    if output_mode == "int":
        return shape
    if output_mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    if len(shape) != 2:
        raise ShapeError(f"expects (batch, values) for output_mode={output_mode!r}, got {len(shape)} dimensions")
    return (shape[0], depth)


def encoded(indices: HostArray, output_mode: str, depth: int) -> HostArray:
    """Returns the indices unchanged, or as vectors of length `depth`: (batch, n) -> (batch, depth)."""
    if output_mode == "int":
        return indices
    if output_mode == "one_hot":
        indices = indices[..., 0] if indices.ndim > 1 and indices.shape[-1] == 1 else indices
        raise_if_too_large((*indices.shape, depth), 8 * indices.size * depth)
        return np.equal(indices[..., None], np.arange(depth)).astype(floatx())
    alone = indices.ndim == 1  # one sample without a batch axis, in a direct call
    indices = indices[None] if alone else indices
    encoded_shape(indices.shape, output_mode, depth)
    counts = tally(np.full(len(indices), indices.shape[1]), indices.ravel(), output_mode, depth)
    return counts[0] if alone else counts


def tally(lengths: HostArray, indices: HostArray, output_mode: str, depth: int) -> HostArray:
    """Count how often each index occurs in each row, or whether it occurs. Row i has `lengths[i]` of the indices."""
    raise_if_too_large((len(lengths), depth), 16 * len(lengths) * depth)
    places = np.repeat(np.arange(len(lengths)), lengths) * depth + indices
    counts = np.bincount(places[indices >= 0], minlength=len(lengths) * depth).reshape(len(lengths), depth)
    return (counts > 0 if output_mode == "multi_hot" else counts).astype(floatx())


def buckets(strings: list[str], count: int, key: list[int] | None) -> HostArray:
    """The bin of each string, from 0 to `count` - 1, by its hash."""
    encoded = [string.encode() for string in strings]
    hashed = farm_hash(encoded) if key is None else sip_hash(encoded, (key[0], key[1]))
    return (hashed % np.uint64(count)).astype(np.int32)


class Hashing(HostLayer):
    """Maps text or whole numbers to bins by a hash, without a vocabulary: `hash(value) % num_bins`.

    >>> Hashing(num_bins=3)([["A"], ["B"], ["C"]]).ravel()
    Array([1, 0, 1], dtype=int32)

    Args:
        num_bins: the number of bins.
        mask_value: a value that is mapped to bin 0, which no other value uses; None for no such value.
        salt: an integer or two integers, the key of SipHash64; None uses FarmHash64.
        output_mode: "int" for the indices of the bins, or "one_hot", "multi_hot" or "count" for vectors.
        sparse: must be False, since the output is dense.
    """

    num_bins: int = setting(up_to(2**31))  # the greatest number of bins for 32-bit indices
    mask_value: int | str | None = None
    salt: Salt = setting(salt, default=None)
    output_mode: Mode = setting(mode(*MODES), default="int")
    sparse: bool = setting(dense, default=False)

    def __post_init__(self) -> None:
        if self.dtype_policy.name == floatx() and self.output_mode == "int":
            self.dtype = "int64"
        super().__post_init__()
        if self.output_mode == "int" and self.dtype_policy.name not in ("int32", "int64"):
            raise ArgumentError(f"Hashing(dtype={self.dtype_policy.name!r}): bins are int32 or int64.")

    def _lamina_host(self, x: HostArray) -> HostArray:
        if x.dtype.kind == "f" and (odd := x != np.floor(x)).any():
            raise DataError(f"{self.name!r} takes text or whole numbers, got {x[odd][0]}.")
        masked = x == self.mask_value if self.mask_value is not None and self.num_bins > 1 else None
        items, places = np.unique(x.astype(np.int64) if x.dtype.kind == "f" else x, return_inverse=True)
        count = self.num_bins - (masked is not None)
        indices = buckets([str(item) for item in items.tolist()], count, self.salt)[places].reshape(x.shape)
        if masked is not None:
            indices = np.where(masked, 0, indices + 1).astype(np.int32)
        if self.output_mode == "one_hot" and x.ndim > 1 and x.shape[-1] == 1:
            indices = indices[..., 0]
        return encoded(indices, self.output_mode, self.num_bins)

    @user_facing
    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return encoded_shape(tuple(input_shape), self.output_mode, self.num_bins)
