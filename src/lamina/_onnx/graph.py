"""An ONNX graph during the export: its nodes, its constants, and the shape and dtype of each value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina.errors import ArgumentError, MissingPackageError

DOMAINS = {"ai.onnx.ml": 3}
"""The version of the operators of domains other than ONNX's own."""
SMALL = 64
"""The most elements of a constant that shape inference gets, such as the sizes of a Reshape."""


def onnx() -> Any:
    """The package onnx."""
    try:
        import onnx
    except ImportError as error:
        raise MissingPackageError('format="onnx" needs the package onnx: pip install "lamina[onnx]"') from error
    return onnx


@dataclass(frozen=True)
class Value:
    """A tensor in the graph."""

    name: str
    dtype: np.dtype[Any]
    """Its dtype; object for text."""
    shape: Shape
    """Its shape in the order of axes that layers use, with None for an unknown size."""
    mask: Value | None = None
    """The mask, True for steps that count; None if all steps count."""
    channels_first: bool = False
    """Whether the tensor in the graph has its channels before its spatial axes, although `shape` has them last."""


class Graph:
    """The nodes and constants of one model. The writer of a custom layer gets it as its first argument.

    Args:
        opset: the version of the operators.
        write: the function that writes one layer.
    """

    def __init__(self, opset: int, write: Callable[[Graph, Any, Value], Any]) -> None:
        self.opset, self._write = opset, write
        self.nodes: list[Any] = []
        self.constants: dict[str, HostArray] = {}
        self.scope = ""
        """The names of the layers that are being written: the beginning of the names of their nodes."""
        self._known: dict[tuple[Any, ...], Value] = {}
        """Values for reuse: equal constants, and transposed values."""
        self._taken: set[str] = set()
        self.domains: set[str] = set()
        """The domains of operators in use; "" is that of ONNX itself."""
        self.outer: Graph | None = None
        """The graph around the body of a loop."""

    def node(self, op: str, *inputs: Any, **attributes: Any) -> Value:
        """Add a node, and return its output.

        Args:
            op: the name of the operator in ONNX.
            inputs: values, numbers or arrays; None for an input that is left out.
            attributes: the attributes of the operator.
        """
        return self.several(1, op, *inputs, **attributes)[0]

    def several(self, outputs: int, op: str, *inputs: Any, domain: str = "", **attributes: Any) -> tuple[Value, ...]:
        """Add a node with several outputs, and return them. `domain` is the domain of the operator."""
        proto = onnx()
        try:
            schema = proto.defs.get_schema(op, DOMAINS.get(domain, self.opset), domain)
        except proto.defs.SchemaError as error:
            raise ArgumentError(f"{self.scope}: opset {self.opset} of ONNX has no operator {op}.") from error
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        taken = [None if each is None else self.in_order(self._value(each)) for each in inputs]
        names = [self.name(op) for _ in range(outputs)]
        node = proto.helper.make_node(
            op, [value.name if value else "" for value in taken], names, name=names[0], domain=domain, **attributes
        )
        given = {value.name: value for value in taken if value}
        types = {name: type_of(value) for name, value in given.items()}
        small = {
            name: array for name in given if (array := self._constant_of(name)) is not None and array.size <= SMALL
        }
        told = {name: proto.numpy_helper.from_array(array) for name, array in small.items()}
        self.domains.add(domain)
        opsets = self.opsets()
        try:
            found = proto.shape_inference.infer_node_outputs(schema, node, types, told, opset_imports=opsets)
        except Exception as error:
            said = str(error).splitlines()[0]
            raise ArgumentError(f"{self.scope}: the operator {op} of ONNX does not take this: {said}") from error
        self.nodes.append(node)
        return tuple(_value_of(name, found.get(name)) for name in names)

    def constant(self, array: Any, name: str = "constant") -> Value:
        """Add an array, a weight or a number as a constant, floats as float32. Equal constants are stored once."""
        values = np.asarray(array)
        if np.issubdtype(values.dtype, np.floating) or values.dtype.name == "bfloat16":
            values = values.astype(np.float32)
        if values.dtype.kind == "U":
            values = values.astype(object)
        data = repr(values.tolist()).encode() if values.dtype == object else np.ascontiguousarray(values).data
        key = "constant", values.dtype.str, values.shape, hashlib.blake2b(data).digest()
        home = self
        while home.outer:
            home = home.outer
        if key not in home._known:
            value = Value(home.name(name, self.scope), values.dtype, values.shape)
            home.constants[value.name], home._known[key] = values, value
        return home._known[key]

    def optional(self, array: Any, name: str) -> Value | None:
        """Return the value of a weight, or None for a layer without it."""
        return None if array is None else self.constant(array, name)

    def opsets(self) -> list[Any]:
        """The versions of the operators in use."""
        versions = {domain: DOMAINS.get(domain, self.opset) for domain in sorted({"", *self.domains})}
        return [onnx().helper.make_opsetid(domain, version) for domain, version in versions.items()]

    def layer(self, layer: Any, x: Value) -> Any:
        """Write a layer that a custom layer holds, and return its output."""
        return self._write(self, layer, x)

    def weight(self, layer: Any, name: str) -> HostArray:
        """The weight of a layer as a float32 array, which a writer may rearrange before it makes a constant of it."""
        return np.asarray(getattr(layer, name)).astype(np.float32)

    def cast(self, x: Value, dtype: Any) -> Value:
        """Cast x to a NumPy dtype; returns x itself if it has that dtype."""
        kind = np.dtype(dtype)
        number = onnx().helper.np_dtype_to_tensor_dtype(kind)
        return x if x.dtype == kind else replace(self.node("Cast", x, to=number), mask=x.mask)

    def channels_first(self, x: Value) -> Value:
        """The tensor (batch, channels, *sizes) for a value (batch, *sizes, channels)."""
        shape = (x.shape[0], x.shape[-1], *x.shape[1:-1])
        if x.channels_first:
            return Value(x.name, x.dtype, shape)
        rank = len(shape)
        return x if rank < 3 else self._transposed(x, (0, rank - 1, *range(1, rank - 1)))

    def held(self, y: Value) -> Value:
        """The value (batch, *sizes, channels) for a tensor y, (batch, channels, *sizes). This adds no node."""
        return y if len(y.shape) < 3 else Value(y.name, y.dtype, (y.shape[0], *y.shape[2:], y.shape[1]), None, True)

    def body(self, write: Callable[..., Any], *inputs: Value) -> Any:
        """Make the graph of a loop's body. `write(graph, *values)` adds its nodes and returns its outputs.

        Args:
            write: a function that adds nodes to the graph of the body. It may also use values of this graph.
            inputs: values with the dtypes and shapes of the body's inputs.
        """
        proto, inner = onnx(), Graph(self.opset, self._write)
        inner.outer, inner.scope, inner._taken = self, self.scope, self._taken
        given = [replace(value, name=inner.name("in"), mask=None) for value in inputs]
        made = write(inner, *given)
        made = [inner.node("Identity", y) for y in (made if isinstance(made, tuple) else (made,))]
        infos = [[proto.helper.make_value_info(v.name, type_of(v)) for v in values] for values in (given, made)]
        return proto.helper.make_graph(inner.nodes, inner.name("body"), *infos)

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Begin the names of nodes that are added in the block with the name of a layer."""
        before, self.scope = self.scope, f"{self.scope}/{name}".lstrip("/")
        try:
            yield
        finally:
            self.scope = before

    def name(self, what: str, scope: str | None = None) -> str:
        """A name that no other value of the graph has."""
        scope = self.scope if scope is None else scope
        stem = name = f"{scope}/{what}".lstrip("/")
        number = 0
        while name in self._taken:
            name, number = f"{stem}_{number + 1}", number + 1
        self._taken.add(name)
        return name

    def _value(self, given: Any) -> Value:
        return given if isinstance(given, Value) else self.constant(given)

    def _constant_of(self, name: str) -> HostArray | None:
        graph: Graph | None = self
        while graph and name not in graph.constants:
            graph = graph.outer
        return graph.constants[name] if graph else None

    def in_order(self, x: Value) -> Value:
        """The tensor with its axes in the order that layers use."""
        return x if not x.channels_first else self._transposed(self.channels_first(x), (0, *range(2, len(x.shape)), 1))

    def _transposed(self, x: Value, order: tuple[int, ...]) -> Value:
        key = "transposed", x.name, order
        if key not in self._known:
            self._known[key] = self.node("Transpose", x, perm=list(order))
        return self._known[key]


def type_of(value: Value, sizes: tuple[Any, ...] | None = None) -> Any:
    """The ONNX type of a value. `sizes` gives names to unknown sizes."""
    helper = onnx().helper
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), sizes or value.shape)


def _value_of(name: str, found: Any) -> Value:
    if found is None:
        raise ArgumentError(f"{name}: ONNX does not say which dtype its output has.")
    tensor = found.tensor_type
    dims = tensor.shape.dim if tensor.HasField("shape") else ()
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
    return Value(name, np.dtype(onnx().helper.tensor_dtype_to_np_dtype(tensor.elem_type)), sizes)
