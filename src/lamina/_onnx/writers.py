"""Which function writes which layer or activation, and the writing of one layer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer
from lamina._messages.tracebacks import user_facing
from lamina._onnx.graph import Graph, Value
from lamina.errors import ArgumentError, StackError

F = TypeVar("F", bound=Callable[..., Any])

of_layers: dict[type, Callable[..., Any]] = {}
"""The writer of each class, `write(graph, x, layer)`. A class that is derived from one has a writer of its own."""
of_functions: dict[Any, Callable[..., Any]] = {}
"""The writer of each function of a tensor, `write(graph, x, **arguments)`."""
elementwise: set[Any] = set()
"""The functions whose result does not depend on the order of the axes."""

FLOAT, TEXT = np.dtype(np.float32), np.dtype(object)


def writes(*classes: type) -> Callable[[F], F]:
    """A decorator for the writer of these classes."""

    def register(write: F) -> F:
        of_layers.update(dict.fromkeys(classes, write))
        return write

    return register


def computes(function: Any, by_element: bool = True) -> Callable[[F], F]:
    """A decorator for the writer of a function; says whether it computes each element by itself."""

    def register(write: F) -> F:
        of_functions[function] = write
        if by_element:
            elementwise.add(function)
        return write

    return register


@user_facing
def register_onnx(thing: Any) -> Callable[[F], F]:
    """A decorator for the function that writes a layer of your own for `model.export(path, format="onnx")`.

    It is given the graph, the value that the layer takes, and the layer, and returns the value of the output:

    >>> from lamina import layers, saving
    >>> class Scale(layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:])
    ...     def call(self, x):
    ...         return x * self.factor
    >>> @saving.register_onnx(Scale)
    ... def write(graph, x, layer):
    ...     return graph.node("Mul", x, graph.constant(layer.factor))

    `graph.node(op, *inputs, **attributes)` adds a node with an operator of ONNX and returns its value, and
    `graph.several(2, op, *inputs)` a tuple of two. The inputs are values, numbers and arrays. `graph.constant(array)`
    is the value of an array or a weight. Values have `shape` (None for a size that varies) and `dtype`. A layer within
    the layer is written by `graph.layer(layer.inner, x)`. An activation of your own is registered in the same way, and
    its writer takes the graph and the value: `def write(graph, x)`.

    Args:
        thing: the class of the layer, or the function.
    """
    if not callable(thing):
        raise ArgumentError(f"register_onnx takes the class of a layer, or a function; got {thing!r}.")
    return writes(thing) if isinstance(thing, type) else computes(thing, by_element=False)


def write_layer(graph: Graph, layer: Any, x: Value) -> Any:
    """Write one layer, and return the value of its output, or a tuple of values."""
    write = writer_of(layer)
    whole = x.dtype.kind in "iub"
    if whole and layer._lamina_makes_floats:
        x = graph.cast(x, np.float32)
    with graph.within(layer.name):
        y = write(graph, x, layer)
    if isinstance(y, tuple):
        return y
    if not isinstance(y, Value):
        raise StackError(f"{layer.name!r}: its writer for ONNX returns a {type(y).__name__}, and not a value.")
    if type(layer).compute_mask is Layer.compute_mask:
        y = replace(y, mask=x.mask if layer.supports_masking else None)
    known = shape_after(layer, x.shape)
    if len(known) != len(y.shape):
        raise StackError(
            f"{layer.name!r} ({type(layer).__name__}) returns {known}, and its writer for ONNX a value of the shape "
            f"{y.shape}."
        )
    return replace(y, shape=tuple(b if a is None else a for a, b in zip(y.shape, known, strict=True)))


def writer_of(layer: Any) -> Callable[..., Any]:
    """The function that writes a layer or a cell."""
    write = of_layers.get(type(layer)) or _as_chain(layer)
    if write is None:
        raise StackError(_without_writer(layer, type(layer)))
    return write


def _as_chain(layer: Any) -> Callable[..., Any] | None:
    """The writer of a stack within a stack, unless its `call` is the user's own."""
    chain = hasattr(type(layer), "_lamina_chain") and type(layer).call.__module__.startswith("lamina.")
    return write_chain if chain else None


def write_chain(graph: Graph, x: Value, stack: Any) -> Any:
    """Write the layers of a stack one after the other."""
    return write_layers(graph, x, stack._lamina_chain)


def write_layers(graph: Graph, x: Value, layers: Iterable[Any]) -> Any:
    """Write layers one after the other."""
    y: Any = x
    for layer in layers:
        y = write_layer(graph, layer, y)
    return y


def activate(graph: Graph, function: Any, x: Value) -> Value:
    """Write a function of a tensor, such as the activation of a layer, which may be a layer too."""
    if isinstance(function, Layer):
        y: Value = write_layer(graph, function, x)
        return y
    told: dict[str, Any] = {}
    if isinstance(function, functools.partial) and not function.args:
        function, told = function.func, function.keywords
    write = of_functions.get(function)
    if write is None:
        raise StackError(_without_writer(None, function, f"{graph.scope!r} applies "))
    if function in elementwise and x.channels_first:
        y = graph.held(write(graph, graph.channels_first(x), **told))
    else:
        y = write(graph, x, **told)
    return replace(y, mask=x.mask)


def shape_after(layer: Any, shape: Shape) -> Shape:
    """The shape of a layer's output for this shape of its input, with the batch axis."""
    kept = layer._lamina.shapes
    found = kept[1] if kept and kept[0] == shape else layer.compute_output_shape(shape)
    return tuple(found)


def _without_writer(layer: Any, thing: Any, who: str = "") -> str:
    name = getattr(thing, "__name__", repr(thing))
    who = f"{layer.name!r} ({name})" if layer is not None else f"{who}the function {name}, which"
    ours = getattr(thing, "__module__", "").startswith("lamina.")
    why = "has no operators in ONNX that compute it" if ours else "is not known to ONNX"
    takes = "graph, x, layer" if layer is not None else "graph, x"
    return (
        f"{who} {why}. Say which operators do, before the export:\n"
        f"@keras.saving.register_onnx({name})\n"
        f"def write({takes}):\n"
        '    return graph.node("Mul", x, graph.constant(2.0))  # the operators of onnx.ai/onnx/operators'
    )
