"""The registry of the writers of layers and activations, and the function that writes one layer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer
from lamina._messages.tracebacks import user_facing
from lamina._onnx.graph import Graph, Value
from lamina.errors import ArgumentError, StackError

F = TypeVar("F", bound=Callable[..., Any])

of_layers: dict[type, Callable[..., Any]] = {}
"""The writer of each class, `write(graph, x, layer)`. Subclasses do not inherit it."""
of_functions: dict[Any, Callable[..., Any]] = {}
"""The writer of each activation function, `write(graph, x, **arguments)`."""
elementwise: set[Any] = set()
"""The activation functions that compute each element by itself, so that the order of axes does not matter."""

FLOAT, TEXT = np.dtype(np.float32), np.dtype(object)


def writes(*classes: type) -> Callable[[F], F]:
    """A decorator for the writer of these classes."""

    def register(write: F) -> F:
        of_layers.update(dict.fromkeys(classes, write))
        return write

    return register


def layers_in(*modules: ModuleType) -> list[type]:
    """The classes of layers that these modules define, bases included."""
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    names = {module.__name__ for module in modules}
    return [value for value in found if issubclass(value, Layer) and value.__module__ in names]


def computes(function: Any, by_element: bool = True) -> Callable[[F], F]:
    """A decorator for the writer of an activation function; `by_element`: the order of axes does not matter."""

    def register(write: F) -> F:
        of_functions[function] = write
        if by_element:
            elementwise.add(function)
        return write

    return register


@user_facing
def register_onnx(thing: Any) -> Callable[[F], F]:
    """A decorator for a function that translates a custom layer for `model.export(path, format="onnx")`.

    The function takes the graph, the input of the layer and the layer, and returns the output:

    >>> from lamina import layers, saving
    >>> class Scale(layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:])
    ...     def call(self, x):
    ...         return x * self.factor
    >>> @saving.register_onnx(Scale)
    ... def write(graph, x, layer):
    ...     return graph.node("Mul", x, graph.constant(layer.factor))

    - `graph.node(op, *inputs, **attributes)` adds an operator of ONNX and returns its output. Inputs are values of the
      graph, numbers and arrays. `graph.several(2, op, *inputs)` returns a tuple of two outputs.
    - `graph.constant(array)` adds an array or a weight.
    - `graph.layer(layer.inner, x)` writes a layer that the custom layer holds. Merging layers take a list of values.
    - Each value has `shape`, with None for a size that varies, `dtype`, and `mask`. For a layer with a `compute_mask`
      of its own, the writer returns the mask too: `dataclasses.replace(y, mask=mask)`.

    The writer of a custom activation function takes only the graph and the input: `def write(graph, x)`.

    Args:
        thing: the class of the layer, or the activation function.
    """
    if not callable(thing):
        raise ArgumentError(f"register_onnx takes the class of a layer, or a function; got {thing!r}.")
    return writes(thing) if isinstance(thing, type) else computes(thing, by_element=False)


def write_layer(graph: Graph, layer: Any, x: Any) -> Any:
    """Write one layer, and return its output, or a tuple of outputs."""
    write = writer_of(layer)
    if isinstance(x, Value) and x.dtype.kind in "iub" and layer._lamina_makes_floats:
        x = graph.cast(x, np.float32)
    with graph.within(layer.name):
        y = write(graph, x, layer)
    if isinstance(y, tuple) or not isinstance(x, Value):
        return y
    if not isinstance(y, Value):
        raise StackError(f"{layer.name!r}: its writer for ONNX returns a {type(y).__name__}, not a value of the graph.")
    if type(layer).compute_mask is Layer.compute_mask:
        y = replace(y, mask=x.mask if layer.supports_masking else None)
    known = shape_after(layer, x.shape)
    if len(known) != len(y.shape):
        raise StackError(
            f"{layer.name!r} ({type(layer).__name__}) returns {known}, but its writer for ONNX returns a value of the "
            f"shape {y.shape}."
        )
    return replace(y, shape=tuple(b if a is None else a for a, b in zip(y.shape, known, strict=True)))


def writer_of(layer: Any) -> Callable[..., Any]:
    """The writer of a layer or a cell."""
    write = of_layers.get(type(layer)) or _as_chain(layer)
    if write is None:
        raise StackError(_without_writer(layer, type(layer)))
    return write


def _as_chain(layer: Any) -> Callable[..., Any] | None:
    """The writer of a stack inside a stack, unless it has a custom `call`."""
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
    """Write an activation: a function of a tensor, or a layer."""
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
