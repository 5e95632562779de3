"""The safetensors format: a length, a header in JSON, and the bytes of the arrays without gaps.

Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._saving.guard import parsed_json
from lamina.errors import FileError

Arrays = dict[str, HostArray]

DTYPES = {
    name: np.dtype(dtype)
    for name, dtype in {
        "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16, "BOOL": np.bool_,
        "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8,
        "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8,
        "C64": np.complex64, "F8_E4M3": jnp.float8_e4m3fn, "F8_E5M2": jnp.float8_e5m2,
    }.items()
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LONGEST_HEADER = 100_000_000
"""The most bytes that the format allows for the header."""

MOST_AXES = 32


class Span(NamedTuple):
    """The range of an array's bytes, counted from the end of the header, with its name, dtype and shape."""

    begin: int
    end: int
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Header(NamedTuple):
    """The header of a file."""

    metadata: dict[str, Any]
    spans: list[Span]
    """The arrays, in the order of their bytes."""
    size: int
    """The number of bytes before the first array."""


def written(arrays: Arrays, metadata: dict[str, str]) -> list[bytes | memoryview]:
    """Return the parts of a file: the length, the header, and the bytes of each array, the widest dtypes first."""
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    in_order = sorted(arrays.items(), key=lambda pair: -pair[1].dtype.itemsize)
    for name, array in in_order:
        if array.dtype not in NAMES:
            raise FileError(f"the format of safetensors cannot hold {name!r}, because its dtype is {array.dtype}.")
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    blocks = [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for _, array in in_order]
    return [len(text).to_bytes(8, "little"), text, *blocks]


def header(data: bytes, where: str) -> Header:
    """Read the header of a file, and check that its arrays fill the file without gaps.

    Raises:
        FileError: the file has another format, an unknown dtype, or sizes that do not fit.
    """
    size = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 10 <= size <= min(LONGEST_HEADER, len(data)):
        raise FileError(f"{where} is not a safetensors file: its header is longer than the file, or missing.")
    said = parsed_json(data[8:size], f"{where}: header")
    metadata = said.pop("__metadata__", {}) if isinstance(said, dict) else None
    if not isinstance(metadata, dict):
        raise FileError(f"{where}: the header holds no arrays.")
    spans = sorted((_span(name, each, where) for name, each in said.items()), key=lambda span: span[:3])
    end = 0
    for span in spans:
        if span.begin != end:
            raise FileError(
                f"{where}: {span.name!r} begins at byte {span.begin}, but the previous array ends at {end}."
            )
        end = span.end
    if end != len(data) - size:
        raise FileError(f"{where}: its arrays need {end:,} bytes, but the file has {len(data) - size:,}.")
    return Header(metadata, spans, size)


def _span(name: str, each: object, where: str) -> Span:
    match each:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(begin), int(end)], **more} if not more:
            sizes = all(type(n) is int and n >= 0 for n in shape) and 0 <= begin <= end and kind in DTYPES
            whole = sizes and len(shape) <= MOST_AXES and math.prod(max(n, 1) for n in shape) < 2**59
            if whole and end - begin == math.prod(shape) * DTYPES[kind].itemsize:
                return Span(begin, end, name, DTYPES[kind], tuple(shape))
    raise FileError(f"{where}: {name!r} has an unknown dtype, or its bytes do not fit its shape: {str(each)[:200]}.")


def read(data: bytes, where: str) -> Arrays:
    """Return the arrays of a file, as views on its bytes."""
    return held(data, header(data, where))


def held(data: bytes, found: Header) -> Arrays:
    """Return the arrays of a header, as views on the bytes of its file."""
    return {
        span.name: np.frombuffer(data, span.dtype, math.prod(span.shape), found.size + span.begin).reshape(span.shape)
        for span in found.spans
    }
