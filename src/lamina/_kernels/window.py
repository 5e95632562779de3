"""The window of a convolution: how a kernel moves over an array, and how many elements it spans."""

from __future__ import annotations

from typing import NamedTuple

import jax

from lamina._arrays.arrays import Array

Sizes = tuple[int, ...]


class Window(NamedTuple):
    """How the kernel moves over the axes between the batch and the channels."""

    strides: Sizes
    padding: tuple[tuple[int, int], ...]
    dilation: Sizes
    groups: int = 1
    half: bool = False
    """Whether products use bfloat16."""


def spread(sizes: Sizes, dilation: Sizes) -> Sizes:
    """The number of elements that a dilated kernel spans on each axis."""
    return tuple((size - 1) * rate + 1 for size, rate in zip(sizes, dilation, strict=True))


def result_shape(x: Array | jax.ShapeDtypeStruct, kernel: Array | jax.ShapeDtypeStruct, window: Window) -> Sizes:
    """(batch, *positions, filters)"""
    reach = spread(kernel.shape[:-2], window.dilation)
    axes = zip(x.shape[1:-1], reach, window.strides, window.padding, strict=True)
    positions = ((n + before + after - k) // stride + 1 for n, k, stride, (before, after) in axes)
    return (x.shape[0], *positions, kernel.shape[-1])
