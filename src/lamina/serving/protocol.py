"""The Open Inference Protocol, version 2, over REST: tensors are JSON, or bytes after the JSON.

Source: https://github.com/kserve/open-inference-protocol, with Triton's extension for binary tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina.serving.inputs import Tensor, numbers
from lamina.serving.refused import Refused

TYPES = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BYTES": "O",
}  # fmt: skip
NAMES = {np.dtype(code): name for name, code in TYPES.items()}
LENGTH = "inference-header-content-length"
"""The header with the length of the JSON before the binary tensors, in bytes."""


def parsed(body: bytes) -> Any:
    """Parse a JSON body. NaN and infinity are errors."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise Refused(400, "the JSON is nested too deep.") from None
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Request:
    """A request for inference: its tensors by name, and the outputs that it wants.

    Args:
        body: the JSON, followed by the bytes of binary tensors.
        length: the length of the JSON in bytes; None if the body is only JSON.
        known: the inputs of the model.
    """

    def __init__(self, body: bytes, length: str | None, known: Sequence[Tensor]) -> None:
        if length is not None and not (length.isascii() and length.isdigit() and int(length) <= len(body)):
            raise Refused(400, f"{LENGTH}: expected a number of bytes up to {len(body)}, got {length!r}.")
        end = len(body) if length is None else int(length)
        asked = parsed(body[:end])
        if not isinstance(asked, dict) or not _are_objects(asked.get("inputs")):
            raise Refused(400, 'expected an object with "inputs", a list of tensors.')
        self.id = asked.get("id")
        self.outputs = asked.get("outputs") or []
        if not _are_objects(self.outputs):
            raise Refused(400, '"outputs": expected a list of objects.')
        self.binary = _parameters(asked).get("binary_data_output") is True
        self.tensors: dict[str, HostArray] = {}
        for tensor in asked["inputs"]:
            size = _parameters(tensor).get("binary_data_size")
            data = None
            if size is not None:
                if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(body) - end:
                    raise Refused(400, f"binary_data_size={size!r}: the body has {len(body) - end} further bytes.")
                data, end = body[end : end + size], end + size
            self.tensors[str(tensor.get("name"))] = _array(tensor, data)
        names = [tensor.name for tensor in known]
        if missing := [name for name in names if name not in self.tensors]:
            raise Refused(400, f"the input {missing[0]!r} is missing; the model takes {', '.join(names)}.")
        if unknown := [name for name in self.tensors if name not in names]:
            raise Refused(400, f"the model has no input {unknown[0]!r}; it takes {', '.join(names)}.")

    def answer(self, head: Mapping[str, Any], outputs: Mapping[str, HostArray]) -> tuple[bytes, int | None]:
        """Make the body of the response. Returns it, and the length of its JSON if binary tensors follow."""
        wanted = {str(each.get("name")): _parameters(each) for each in self.outputs} or {key: {} for key in outputs}
        if unknown := [name for name in wanted if name not in outputs]:
            raise Refused(400, f"the model has no output {unknown[0]!r}; it gives {', '.join(outputs)}.")
        described, behind = [], []
        for name, parameters in wanted.items():
            y = outputs[name]
            tensor: dict[str, Any] = {"name": name, "datatype": datatype(y), "shape": list(y.shape)}
            if parameters.get("binary_data", self.binary) is True:
                behind.append(_bytes(y))
                tensor["parameters"] = {"binary_data_size": len(behind[-1])}
            else:
                tensor["data"] = plain(y.reshape(-1))
            described.append(tensor)
        told = {**head, **({"id": str(self.id)} if self.id is not None else {}), "outputs": described}
        text = json.dumps(told).encode()
        return text + b"".join(behind), len(text) if behind else None


def plain(y: HostArray) -> Any:
    """Convert an array to nested lists for JSON, with null for NaN and infinity."""
    if y.dtype.kind == "f" and not (finite := np.isfinite(y)).all():
        y = y.astype(object)
        y[~finite] = None
    return y.tolist()


def datatype(y: HostArray) -> str:
    """The name of an array's dtype in the protocol."""
    return NAMES.get(y.dtype, "FP32" if y.dtype.kind == "f" else "BYTES")


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _parameters(value: Mapping[str, Any]) -> Mapping[str, Any]:
    found = value.get("parameters") or {}
    if not isinstance(found, dict):
        raise Refused(400, '"parameters": expected an object.')
    return found


def _array(tensor: Mapping[str, Any], data: bytes | None) -> HostArray:
    """Convert one input to an array."""
    name, kind, shape = tensor.get("name"), tensor.get("datatype"), tensor.get("shape")
    if kind not in TYPES:
        raise Refused(400, f"the input {name!r} has the datatype {kind!r}; expected one of {', '.join(TYPES)}.")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape) or not shape:
        raise Refused(400, f"the input {name!r} has the shape {shape!r}; expected a list of sizes.")
    if data is None:
        values = tensor.get("data")
        if not isinstance(values, list):
            raise Refused(400, f"the input {name!r} has no data.")
        array = _of_texts(values, name) if kind == "BYTES" else _of_numbers(values, kind, name)
    elif kind == "BYTES":
        array = _of_texts(_texts(data, name), name)
    elif len(data) % np.dtype(TYPES[kind]).itemsize:
        raise Refused(400, f"the input {name!r} has {len(data)} bytes, which are not a whole number of {kind}.")
    else:
        array = np.frombuffer(data, TYPES[kind])
    if array.size != int(np.prod(shape, dtype=object)):
        raise Refused(400, f"the input {name!r} has {array.size} values; its shape {shape} has another number.")
    return array.reshape(shape)


def _of_numbers(values: list[Any], kind: str, name: object) -> HostArray:
    array = numbers(values, f"the values of {name!r}")
    if kind == "FP64" or (array.dtype.kind == "f") == kind.startswith("FP"):
        return array.astype(np.float64) if kind == "FP64" else array
    if array.dtype.kind == "f":
        raise Refused(400, f"the input {name!r} is {kind} and holds fractions.")
    return array.astype(np.float64) if kind.startswith("FP") else array


def _of_texts(values: list[Any], name: object) -> HostArray:
    flat: list[Any] = values
    while flat and isinstance(flat[0], list):
        if not all(isinstance(each, list) for each in flat):
            raise Refused(400, f"the values of {name!r} are nested unevenly.")
        flat = [value for each in flat for value in each]
    if not all(isinstance(value, str) or value is None for value in flat):
        raise Refused(400, f"the input {name!r} is BYTES, so its values are texts.")
    array: HostArray = np.empty(len(flat), object)
    array[:] = flat
    return array


def _texts(data: bytes, name: object) -> list[str]:
    """Read the texts of a binary tensor. 4 bytes before each text are its length."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise Refused(400, f"the input {name!r} ends within a text.")
        found.append(data[at + 4 : at + 4 + size].decode("utf-8", "replace"))
        at += 4 + size
    return found


def _bytes(y: HostArray) -> bytes:
    if datatype(y) == "BYTES":
        texts = [str(value).encode() for value in y.reshape(-1).tolist()]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return np.ascontiguousarray(y, TYPES[datatype(y)]).tobytes()


def texts(values: Any) -> HostArray:
    """Convert names of classes to an array of objects."""
    array: HostArray = np.empty(np.shape(values), object)
    array[...] = np.asarray(values, object)
    return array
