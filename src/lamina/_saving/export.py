"""Writes a model to a file as one program of JAX, which runs without this package."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import jax
from jax import export

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape, shape_of
from lamina._checks import indices
from lamina._files import files
from lamina._kernels.native import portable
from lamina._messages.tracebacks import place_of
from lamina._saving.paths import FilePath
from lamina._settings.converters import short
from lamina._settings.settings import value_of
from lamina._training import steps
from lamina._training.model import Model
from lamina._training.predict import each
from lamina._training.spec import ProgramSpec
from lamina._weights.turns import Reading
from lamina.dtypes import floatx
from lamina.errors import (
    ArgumentError,
    CallError,
    LaminaError,
    MissingPackageError,
    NotBuiltError,
    StackError,
    TracedArrayError,
)

PLATFORMS = "cpu", "cuda", "rocm", "tpu"
INSTEAD = {
    "tf_saved_model": "TensorFlow reads the .onnx file with onnx2tf.",
    "openvino": "OpenVINO reads the .onnx file itself: openvino.convert_model(filepath).",
    "litert": "LiteRT takes what onnx2tf makes of the .onnx file.",
}
"""How formats of Keras's that are not written here are made of a file of ONNX."""
LEAST = 1, 2, 4, 8, 16, 32, 64, 128
"""Lower limits for axes of unknown size. Export takes the first that works for all layers: a kernel of 3 needs 3 or
more."""


def write(
    model: Model, filepath: FilePath, form: str, verbose: bool | None, signature: object, more: dict[str, Any]
) -> None:
    """Write the file of `Sequential.export`."""
    if form != "jax":
        raise ArgumentError(
            f"there is no export to format={form!r}. {INSTEAD.get(form, '')}\n"
            'model.export(filepath, format="onnx") writes a file for ONNX, and format="jax" a program that runs '
            "wherever JAX is installed."
        )
    platforms = more.pop("platforms", PLATFORMS)
    if more:
        raise CallError(
            f'export(format="jax") takes only platforms=[...] as a further argument, got {", ".join(more)}.'
        )
    wrong = [platforms] if isinstance(platforms, str) else [name for name in platforms if name not in PLATFORMS]
    if wrong or not platforms:
        raise ArgumentError(f"export(platforms={platforms!r}): expected a list of names out of {', '.join(PLATFORMS)}.")
    shape, dtype = input_of(model, signature)
    exported = _exported(_program(model, shape), model.name, shape, dtype, platforms)
    try:
        data = exported.serialize()
    except ImportError as error:
        raise MissingPackageError("export needs the package flatbuffers: pip install flatbuffers") from error
    files.write(filepath, bytes(data))
    if verbose:
        given = ", ".join(f"{aval.dtype}{list(aval.shape)}" for aval in exported.out_avals)
        print(
            f"{model.name} is exported to {os.fspath(filepath)} ({len(data):,} bytes) for {', '.join(platforms)}: "
            f"{exported.in_avals[0].dtype}{list(exported.in_avals[0].shape)} -> {given}"
        )


def input_of(model: Model, signature: object = None) -> tuple[Shape, str]:
    """The shape of the program's input, with None for axes of any size, and its dtype."""
    model._lamina_require_layers()
    entry = model._lamina.entry
    spec = signature[0] if isinstance(signature, (list, tuple)) and len(signature) == 1 else signature
    if spec is not None and getattr(spec, "shape", None) is None:
        raise ArgumentError(
            f"export(input_signature={short(signature)}): expected a shape with the batch axis, and a dtype: "
            'input_signature=[layers.InputSpec(shape=(None, 28, 28), dtype="float32")].'
        )
    if spec is None and entry is None:
        raise NotBuiltError(f"{model.name!r} has no input shape yet: put Input(shape) first, or call it on data.")
    shape: Shape = entry.batch_shape if spec is None else shape_of(spec)
    own = "int32" if indices.reader(model) is not None else floatx()
    told = getattr(spec, "dtype", None) or (value_of(entry, "dtype") if entry is not None else None)
    return shape, str(told or own)


def _program(model: Model, shape: Shape) -> Callable[[Array], Any]:
    """Return the model's output as a function of its input.  (batch, ...) -> (batch, ...)"""
    require_no_host(model)
    model._lamina_build(shape)
    spec = ProgramSpec(model)
    require_no_state(model, spec)
    params, state = Reading(spec.trained, spec.fixed)()
    run = steps.predict(spec)
    call = jax.numpy.zeros(2, "uint32")  # random numbers are the same in each call
    return lambda x: each(jax.numpy.asarray, run(params, state, x, call)[0])


def require_no_host(model: Model) -> None:
    """Raise a `StackError` if the stack begins with layers that convert raw data on the host."""
    if model._lamina_on_host:
        first, after = model._lamina_chain[0], len(model._lamina_chain) - len(model._lamina_body)
        given = model._lamina_body_shape[1:] if model.built else "..."
        raise StackError(
            f"{first.name} ({type(first).__name__}) converts raw data before the program, but a program takes only "
            "numbers: export the layers after it, and pass its output to them.\n"
            f"rest = Sequential([Input({given}), *model.layers[{after}:]])"
        )


def require_no_state(model: Model, spec: ProgramSpec) -> None:
    """Raise a `StackError` if the stack keeps a state between calls."""
    if spec.carried:
        raise StackError(
            f"{model.name!r} has a stateful layer, but an exported program keeps no state between calls: make the "
            "model with stateful=False, and copy the weights with set_weights(model.get_weights())."
        )


def _exported(
    function: Callable[[Array], Any], name: str, shape: Shape, dtype: str, platforms: Sequence[str]
) -> export.Exported:
    """Export the program for every size of the axes that are None."""
    rows, *sizes = [str(size) if size else f"n{axis}" if axis else "batch" for axis, size in enumerate(shape)]
    free = [name for name in sizes if name.startswith("n")]
    for least in LEAST if free else LEAST[:1]:
        rules = [rule for name in free for rule in (f"{name} >= {least}", f"{rows}*{name} >= {least}*{rows}")]
        x = jax.ShapeDtypeStruct(export.symbolic_shape(", ".join([rows, *sizes]), constraints=rules), dtype)
        try:
            with portable():
                return export.export(jax.jit(function), platforms=list(platforms))(x)
        except Exception as error:
            failed, about_sizes = error, _is_about_sizes(error)
        if not about_sizes:
            break
    if isinstance(failed, LaminaError) and not about_sizes:
        raise failed
    said = str(failed).splitlines()[0].partition(" See https")[0]
    advice = 'If fewer platforms are enough, name them: platforms=["cpu"].' if len(platforms) > 1 else ""
    if about_sizes:
        said = "an operation needs a number where the shape has None."
        told = f'layers.InputSpec(shape={tuple(size or 32 for size in shape)}, dtype="{dtype}")'
        advice = f"Set the sizes: input_signature=[{told}]."
    elif own := _not_in_a_file(failed, function, x):
        said, advice = f"it calls {own}.", "A file can hold operations of jax.numpy, jax.nn and jax.lax."
    place = place_of(failed)
    because = f", because of {place}" if place else ""
    raise StackError(f"{name!r} cannot be exported for {shape}{because}: {said}\n{advice}".rstrip()) from failed


def _not_in_a_file(error: Exception, function: Callable[[Array], Any], x: jax.ShapeDtypeStruct) -> str:
    """Return the names of callbacks and other calls in the function that a file cannot hold."""
    found = re.findall(r"custom_call @?([\w.$]+)", str(error))
    if not found:
        with portable(), suppress(Exception):
            found = re.findall(r"\b(\w*callback|debug_print)\[", str(jax.make_jaxpr(function)(x)))
    return ", ".join(sorted(set(found)))


def _is_about_sizes(error: Exception) -> bool:
    """Whether the error is that an operation needs a number, but the size of the axis is a symbol."""
    kinds = jax.errors.InconclusiveDimensionOperation, TracedArrayError
    return isinstance(error, kinds) or "_DimExpr" in str(error)
