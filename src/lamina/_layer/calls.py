"""What a layer's `call` is given, and what is said where it cannot take it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._base.frames import place_of
from lamina._base.shapes import Shape, shape_of
from lamina.errors import ArgumentError, CallError, ShapeError, UnknownAttributeError


def who(layer: Any) -> str:
    """The layer's name and class, as `dense_1 (Dense)`."""
    return f"{layer.name} ({type(layer).__name__})"


def as_array(layer: Any, x: Any) -> Any:
    """What the user calls the layer with, as an array on the device."""
    if isinstance(x, jax.Array):
        return x
    array = np.zeros(0)
    try:
        array = np.asarray(x)
        return jnp.asarray(array)
    except (TypeError, ValueError):
        text = next((item for item in array.ravel()[:1000] if isinstance(item, (str, bytes))), None)
        if text is None:
            raise ArgumentError(f"{who(layer)} takes one array, got {type(x).__name__}: {str(x)[:60]!r}.") from None
        raise ArgumentError(
            f"{who(layer)} takes numbers, and got text ({str(text)[:40]!r}).\n"
            "StringLookup makes numbers of single words or categories, TextVectorization of whole texts."
        ) from None


def by_name(layer: Any, others: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """The arguments after x, by name."""
    return dict(zip(layer._call_takes, others, strict=False)) | named


def output(layer: Any, x: Any, others: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """`call` inside a pass, with the input looked at and cast, and what `call` asks for told."""
    layer._check_input(shape_of(x))
    if not layer.built:
        layer._pass.build(layer, shape_of(x))
    if layer.autocast and jnp.issubdtype(jnp.result_type(x), jnp.floating):
        x = jnp.asarray(x, layer.compute_dtype)
    told = by_name(layer, others, named)
    if missing := [name for name in layer._call_needs if name not in told]:
        example = f"{layer.name}({', '.join(['x', *layer._call_needs])})"
        raise CallError(f"{who(layer)} wants {' and '.join(missing)} as well: {example}.")
    for name, known in (("training", layer._pass.training), ("mask", None)):
        value = told.pop(name, None)
        if name in layer._call_takes:
            told[name] = known if value is None else value
    try:
        return layer.call(x, *others[len(layer._call_takes) :], **told)
    except AttributeError as error:
        if isinstance(error.obj, jax.Array) and error.name in ("assign", "assign_add", "assign_sub", "numpy"):
            raise UnknownAttributeError(
                f"during a pass a trainable weight is a plain array, without .{error.name}: {place_of(error)}.\n"
                "What call assigns to is made with add_weight(..., trainable=False)."
            ) from None
        raise


def naming(layer: Any, error: ShapeError, shape: Shape) -> ShapeError:
    """`error` with this layer before it, unless one is named in it."""
    said = str(error.args[0])
    if not error.named and not said.lstrip("'").startswith(layer.name):
        error = ShapeError(f"{who(layer)}, given {shape}: {said}")
    error.named = True
    return error
