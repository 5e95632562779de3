"""Helpers of several writers: reshapes with unknown sizes, the place of the channels, and products along axes."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

import jax
import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape, spatial_axes
from lamina._onnx.graph import Graph, Value

LAST = np.iinfo(np.int64).max
"""The end of a Slice that goes to the end of the axis."""
Result = Callable[[Value], Value]
"""A function that restores the order of axes in a result."""


def reshaped(graph: Graph, x: Value, shape: Shape) -> Value:
    """Reshape x to these sizes. A size of None at the start is kept from x; at most one other may be None.

    Sizes are given to ONNX where possible, because it cannot infer a size if there are no rows.
    """
    same = [at for at, (a, b) in enumerate(zip(x.shape, shape, strict=False)) if a == b]
    keeps = {at for at in same if same[: at + 1] == list(range(at + 1))}
    sizes = [0 if at in keeps and size is None else -1 if size is None else size for at, size in enumerate(shape)]
    return graph.node("Reshape", x, np.array(sizes, np.int64))


def either_order(graph: Graph, x: Value, data_format: str | None) -> tuple[Value, tuple[int, ...], Result]:
    """Use x in the order of axes that it has, without a Transpose.

    Returns x, its spatial axes, and the function that restores the order of axes in a result.
    """
    if x.channels_first and data_format != "channels_first":
        return graph.channels_first(x), tuple(range(2, len(x.shape))), graph.held
    return x, spatial_axes(len(x.shape), data_format), lambda y: y


def channels_first(graph: Graph, x: Value, data_format: str | None) -> tuple[Value, Result]:
    """Move the channels of x first: (batch, channels, *sizes).

    Returns x, and the function that restores the order of axes in a result.
    """
    if data_format == "channels_first":
        return x, lambda y: y
    return graph.channels_first(x), graph.held


def products(graph: Graph, x: Value, axes: Sequence[int], matrices: Sequence[HostArray]) -> Value:
    """Multiply x along each axis by a matrix (size, new size), with one Einsum."""
    letters = string.ascii_lowercase[: len(x.shape)]
    made = {axis: string.ascii_lowercase[len(x.shape) + at] for at, axis in enumerate(axes)}
    factors = [letters[axis] + made[axis] for axis in axes]
    result = "".join(made.get(at, letter) for at, letter in enumerate(letters))
    equation = f"{','.join([letters, *factors])}->{result}"
    return graph.node("Einsum", x, *matrices, equation=equation)


def scaled(graph: Graph, x: Value, sizes: dict[int, int], how: str, antialias: bool = False) -> Value:
    """x with new sizes of some axes, multiplied by the matrices that `jax.image.resize` uses."""
    eyes = {axis: np.eye(int(x.shape[axis] or 1), dtype=np.float32) for axis in sizes}
    made = [jax.image.resize(eyes[axis], (len(eyes[axis]), sizes[axis]), how, antialias=antialias) for axis in sizes]
    return products(graph, x, list(sizes), [np.asarray(each) for each in made])
