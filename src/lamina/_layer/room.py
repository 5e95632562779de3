"""The memory check for outputs: an error names the layer, where XLA would end the process."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from lamina._layer.structure import parts
from lamina._process.memory import require
from lamina._settings.settings import built_in
from lamina._weights.weight import values_follow
from lamina.errors import ShapeError

if TYPE_CHECKING:
    from lamina._layer.inputs import Inputs
    from lamina._layer.layer import Layer
    from lamina._layer.passes import Pass

SMALL = 2**20
"""The size in bytes below which an array is not checked."""


def require_room(outputs: Any) -> None:
    """Check that there is memory for outputs of known shapes; an unknown axis counts as one row.

    The check runs while a pass is traced, so steps cost nothing. While a file is read, the system is not asked.
    """
    for y in jax.tree.leaves(outputs):
        if not isinstance(y, (jax.core.Tracer, jax.ShapeDtypeStruct)) or jnp.issubdtype(y.dtype, jax.dtypes.extended):
            continue
        needed = y.dtype.itemsize * math.prod(size for size in y.shape if isinstance(size, int))
        if needed > SMALL and not values_follow.get():
            raise_if_too_large(y.shape, needed)


def raise_if_too_large(shape: Any, needed: int) -> None:
    """Check that there is memory for one array of this shape."""
    shown = tuple(size if isinstance(size, int) else None for size in shape)
    require(needed, f"makes an output of shape {shown}, which needs", ShapeError, weight=True)


def require_room_at_once(now: Pass, layer: Layer, inputs: Inputs, abstract: Callable[[Layer], object]) -> None:
    """The same check for a call that is computed immediately; `abstract` finds the output's shape beforehand.

    Each shape is checked once. Custom layers are not checked here, since running their Python twice could have side
    effects; their sublayers are checked when the pass reaches them.
    """
    tensors = jax.tree.leaves(inputs.first)
    if now.building or any(isinstance(each, jax.core.Tracer) for each in tensors):
        return
    shapes = tuple((getattr(each, "shape", ()), str(getattr(each, "dtype", ""))) for each in tensors)
    fits = layer._lamina.fits  # the copy and the original share it
    if shapes in fits or not all(built_in(part.layer) for part in parts(layer)):
        return
    original = next(module for module, copied in now.copies.values() if copied is layer)
    state = original._lamina
    before = state.mask_out, state.whole_out
    with suppress(jax.errors.JAXTypeError, TypeError, NotImplementedError):  # then the shape is known once computed
        abstract(original)
    state.mask_out, state.whole_out = before
    fits.add(shapes)
