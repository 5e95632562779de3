"""Weights in a `.safetensors` file: `layers.dense.kernel` and so on, without the optimizer."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import jax.numpy as jnp
import numpy as np

from lamina._base.weight import Weight, read
from lamina._saving import weights
from lamina._saving.guard import parsed_json
from lamina._saving.hdf5 import Stored
from lamina.errors import FileError, MissingPackageError
from lamina.optimizers.state import Stateful

DTYPES: dict[str, Any] = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16, "BOOL": np.bool_,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8,
    "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8,
}  # fmt: skip
LONGEST_HEADER = 100_000_000
"""The most bytes that the format allows for the header."""


def write(model: Any, without: Collection[object] = ()) -> bytes:
    """The bytes of a file with the model's weights."""
    library = _library()
    arrays = {
        name: np.ascontiguousarray(read(value) if isinstance(value, Weight) else value)
        for name, value, _ in _named(model, without)
    }
    specs = {
        name: library.TensorSpec(dtype=a.dtype.name, shape=np.shape(a), data_ptr=a.ctypes.data, data_len=a.nbytes)
        for name, a in arrays.items()
    }
    return bytes(library.serialize(specs, metadata={"format": "lamina"}))


def load(model: Any, data: bytes, where: str, *, skip_mismatch: bool = False) -> None:
    """Assign the arrays of a file to the model's weights, as `weights.load` does."""
    held, arrays = read_file(data, where), dict[str, np.ndarray[Any, Any]]()
    for name, _, place in _named(model, ()):
        if name in held:
            arrays[place] = held.pop(name)
    arrays |= {name.replace(".", "/"): array for name, array in held.items()}
    without = [owner for owner in weights.owners(model).values() if isinstance(owner, Stateful)]
    weights.load(model, Stored(arrays, {}), where, skip_mismatch=skip_mismatch, without=without)


def read_file(data: bytes, where: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays by name, once the header has been checked."""
    library = _library()
    check(data, where)
    try:
        found = library.deserialize(data)
    except library.SafetensorError as error:
        raise FileError(f"{where} is no file of safetensors: {error}.") from None
    return {name: np.frombuffer(each["data"], DTYPES[each["dtype"]]).reshape(each["shape"]) for name, each in found}


def check(data: bytes, where: str) -> None:
    """Refuse a header whose arrays are of unknown dtypes, or do not follow each other up to the end of the file."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= size <= min(LONGEST_HEADER, len(data) - 8):
        raise FileError(f"{where} is no file of safetensors: its header is longer than the file, or missing.")
    header = parsed_json(data[8 : 8 + size], f"{where}: header")
    if not isinstance(header, dict):
        raise FileError(f"{where}: the header holds no arrays.")
    spans = sorted(_span(name, each, where) for name, each in header.items() if name != "__metadata__")
    end = 0
    for start, stop, name in spans:
        if start != end:
            raise FileError(f"{where}: {name!r} begins at byte {start}, and the array before it ends at {end}.")
        end = stop
    if end != len(data) - 8 - size:
        raise FileError(f"{where}: its arrays have {end:,} bytes, and the file holds {len(data) - 8 - size:,}.")


def _span(name: str, each: Any, where: str) -> tuple[int, int, str]:
    """Where an array begins and ends, and its name."""
    match each:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(stop)], **more} if not more:
            sizes = all(type(n) is int and n >= 0 for n in shape) and 0 <= start <= stop and dtype in DTYPES
            if sizes and stop - start == math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
                return start, stop, name
    raise FileError(
        f"{where}: {name!r} has no known dtype, or its bytes are not those of its shape: {str(each)[:200]}."
    )


def _named(model: Any, without: Collection[object]) -> list[tuple[str, Any, str]]:
    """The name of each array in such a file, the weight, and its path in one of Keras's files."""
    found = []
    for path, owner in weights.owners(model, without).items():
        if not isinstance(owner, Stateful):
            store: dict[str, Any] = {}
            owner.save_own_variables(store)
            for key, value in store.items():
                label = value.name if isinstance(value, Weight) and key.isdecimal() else key
                found.append((f"{path}/{label}".strip("/").replace("/", "."), value, f"{path}/vars/{key}".lstrip("/")))
    return found


def _library() -> Any:
    try:
        import safetensors
    except ImportError:
        raise MissingPackageError(
            "files that end in .safetensors need the package safetensors: pip install 'lamina[safetensors]'."
        ) from None
    return safetensors
