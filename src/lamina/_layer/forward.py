"""A call of a layer, in a direct call or inside a pass: checks the inputs, fills in arguments, returns the outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from lamina._arrays.arrays import Array
from lamina._arrays.nested import leaves
from lamina._arrays.shapes import Shape, shape_of
from lamina._kernels.bits import fold
from lamina._layer.inputs import Inputs, Slot, cast_floats, inputs_of_shapes, require_arguments, shapes_of, slot_of, who
from lamina._layer.keys import seed_of
from lamina._layer.masks import mask_of, masks_of, with_mask
from lamina._layer.passes import Pass
from lamina._layer.room import require_room, require_room_at_once
from lamina._layer.structure import beside, is_stack, parts, require_settings, restored_on_error, weights_by_path
from lamina._messages.room import of_memory
from lamina._messages.tracebacks import place_of, warn
from lamina._weights.weight import Scope, Unset, Weight, read, read_all, under_way
from lamina.errors import ShapeError, StackError, UnknownAttributeError
from lamina.random import Draws, key_of

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


_sizes = export.SymbolicScope()
"""The scope of all symbolic sizes: sizes of different scopes cannot be compared or added."""


@functools.lru_cache(256)
def _symbolic(names: str) -> tuple[Any, ...]:
    """Symbolic sizes by name. The same name gives the same object, since JAX keeps a trace for each new object."""
    return tuple(export.symbolic_shape(names, scope=_sizes))


def output_shape(layer: Layer, given: Any) -> Any:
    """The shape of a layer's output, or the shape of each of several outputs, from an abstract pass.

    Where a shape has None, the size is symbolic: one size for all batch axes, and one for each other axis. The input
    has a mask if the layer before makes one. The pass also finds out whether this layer makes a mask.

    Args:
        given: the shape of the one input, or the arguments of the call, with a Slot for each tensor.
    """
    inputs = given if isinstance(given, Inputs) else inputs_of_shapes(layer, (given,), {})
    slots = [leaf for _, leaf in leaves(inputs.told) if isinstance(leaf, Slot)]
    state = layer._lamina
    values = _values(layer)
    unset = {weight: jax.ShapeDtypeStruct(a.shape, a.dtype) for weight, a in values.items() if isinstance(a, Unset)}

    def output(sizes_of: Callable[[Shape], Any]) -> Any:
        def forward(arrays: list[Array], later: list[Array]) -> Any:
            for slot, array in zip(slots, arrays, strict=True):
                with_mask(array, jnp.ones(array.shape[: slot.mask], bool) if slot.mask else None)
            following = iter(arrays)
            filled = inputs.map(lambda leaf: next(following) if isinstance(leaf, Slot) else leaf)
            with Pass(
                values | dict(zip(unset, later, strict=True)), key=key_of(0), building=True, draws=Draws()
            ) as now:
                y = run(now, now.copy_of(layer), filled)
            for each in jax.tree.leaves(y):
                if not isinstance(each, (jax.Array, np.ndarray, np.generic, int, float, complex)):
                    raise ShapeError(f"returns a {type(each).__name__}, and a layer returns a tensor")
            first = next(iter(jax.tree.leaves(y)), None)
            state.mask_out = getattr(mask_of(first), "ndim", 0)
            if isinstance(first, jax.Array):
                state.whole_out = None if jnp.issubdtype(first.dtype, jnp.inexact) else first.dtype
            return y

        arrays = [jax.ShapeDtypeStruct(sizes_of(slot.shape), slot.dtype) for slot in slots]
        return jax.eval_shape(forward, arrays, list(unset.values()))

    def named(shape: Shape) -> Any:
        names = (str(n) if n is not None else f"n{axis}" if axis else "batch" for axis, n in enumerate(shape))
        return _symbolic(",".join(names)) if None in shape else shape

    if not any(None in slot.shape for slot in slots):
        return jax.tree.map(shape_of, output(named))
    try:
        return jax.tree.map(shape_of, output(named))
    except Exception as error:
        # The Python code in `call` may need real numbers. Axes that differ between two guesses depend on the batch.
        try:
            small, large = (
                output(lambda shape, guess=guess: [guess if n is None else n for n in shape])  # type: ignore[misc]
                for guess in (12, 24)
            )
        except Exception as reason:
            symbolic = isinstance(error, jax.errors.InconclusiveDimensionOperation) or "_DimExpr" in str(error)
            raise (reason if symbolic else error) from None
        return jax.tree.map(
            lambda one, other: tuple(a if a == b else None for a, b in zip(one.shape, other.shape, strict=True)),
            small,
            large,
        )


def run(now: Pass, layer: Layer, inputs: Inputs) -> Any:
    """Run `call` inside a pass: check and cast the inputs, and fill in `training` and the masks."""
    first = len(now.losses)
    try:
        require_room_at_once(now, layer, inputs, lambda original: output_shape(original, inputs.map(slot_of)))
        inputs.fill_masks()
        given = inputs.told.get("mask", inputs.mask)
        mask = masks_of(inputs.first) if given is None else given
        with naming_memory(layer, inputs):
            y = _output(now, layer, inputs)
        require_room(y)
    except ShapeError as error:
        if now.building and not now.paths[id(layer)]:
            raise  # the caller, which builds the layer, adds the place
        raise _naming(layer, error, inputs) from None
    if y is inputs.first or mask_of(next(iter(jax.tree.leaves(y)), None)) is None:
        _hand_on_mask(layer, inputs.first, mask, y)
    if layer.activity_regularizer is not None:
        now.losses.extend(layer.activity_regularizer(each) / (each.shape[0] or 1) for each in jax.tree.leaves(y))
    if len(now.losses) > first and id(layer) in now.paths:
        now.added[now.paths[id(layer)].lstrip(".")] = first, len(now.losses)
    return y


def _hand_on_mask(layer: Layer, x: Any, mask: Any, y: object) -> None:
    """Set the mask of the output, as the layer says. As in Keras, a layer that returns its input keeps the mask."""
    after = layer.compute_mask(x, mask)
    masked = any(each is not None for _, each in leaves(mask))
    if masked and after is None and y is not x and not layer._lamina_uses_mask:
        message = f"{layer.name!r} ({type(layer).__name__}) supports no masks: from here on padding counts as data."
        if message not in layer._lamina.said:
            layer._lamina.said.add(message)
            warn(message)
    with_mask(y, after)


def run_alone(layer: Layer, inputs: Inputs) -> Any:
    """The output of a direct call of a layer, in its own pass, which may run inside another pass."""
    require_arguments(layer, inputs)
    around = under_way.get()
    one = inputs.is_one_tensor and layer._lamina_is_sample(shape_of(inputs.first))
    if one:
        inputs.told[next(iter(inputs.told))] = inputs.first[None]
    with nullcontext() if layer.built else restored_on_error(layer):  # a first call that fails does not build the layer
        try:
            _build_alone(layer, inputs)
        except ShapeError as error:
            raise _naming(layer, error, inputs) from None
        training = inputs.training
        if training is None and isinstance(around, Pass):
            training = around.training
        training = None if training is None else bool(training)
        if isinstance(around, Pass) and training:
            _say_untrained(layer, around)
        key = key_alone(layer, around)
        draws = None if isinstance(around, Pass) else Draws(by_itself(layer))
        with Pass(_values(layer), training=training, key=key, draws=draws) as now:
            y = run(now, now.copy_of(layer), inputs)
        _keep(layer, now, around)
        hand_out(layer, now.losses, now.added)
        returned = {id(leaf) for leaf in jax.tree.leaves(y)}
        for weight, value in now.values.items():
            if id(value) in returned:
                weight.shown = True
        return y[0] if one else y


def _values(layer: Layer) -> dict[Weight, Any]:
    weights = [weight for weight, _ in weights_by_path(layer).values()]
    return dict(zip(weights, read_all(weights), strict=True))


def key_alone(layer: Layer, around: Scope | None) -> Array | None:
    """The key of a direct call: a new key each time; inside a pass, a new key in each training step."""
    if isinstance(around, Pass):
        around.calls += 1
        return None if around.key is None else fold(around.key, np.uint32(2**32 - around.calls))
    layer._lamina.calls += 1
    return fold(key_of(seed_of(layer)), by_itself(layer))


def by_itself(layer: Layer) -> np.uint32:
    """The number of a direct call. It counts down from 2**32 - 1, so it never equals the number of a training step."""
    return np.uint32(2**32 - layer._lamina.calls)


def _keep(layer: Layer, now: Pass, around: Scope | None) -> None:
    """Pass on what a pass changed: to the pass around it, or to the weights themselves."""
    for weight, value in now.changed():
        if around is not None:
            around.write(weight, value)
        elif not isinstance(value, jax.core.Tracer):  # a Tracer means that the user's own jax.jit runs the layer
            weight.array, weight.shown = value, True
    hand_on_losses(layer, now, around)


def hand_on_losses(layer: Layer, now: Pass, around: Scope | None) -> None:
    """Pass on what a call of `layer` added to the loss, to the pass around it; for a step, with the regularizers."""
    if isinstance(around, Pass) and around.of_step:
        around.called[id(layer)] = [*now.losses, *regularization(layer, now.read)]
    elif isinstance(around, Pass):
        around.losses.extend(now.losses)


def hand_out(layer: Any, losses: list[Any], added: dict[str, tuple[int, int]]) -> None:
    """Store in a layer, and in each sublayer, what it added to the loss in this call."""
    layer._lamina.losses = [loss for loss in losses if not isinstance(loss, jax.core.Tracer)]
    for part in parts(layer) if losses else ():
        if part.layer is not layer:
            mine = losses[slice(*added.get(part.path, (0, 0)))]
            part.layer._lamina.losses = [loss for loss in mine if not isinstance(loss, jax.core.Tracer)]


def losses_of(layer: Layer) -> list[Array]:
    """The losses that the layers added in the latest call, and the penalties of the regularizers."""
    now = under_way.get()
    if not isinstance(now, Pass):
        return [*layer._lamina.losses, *regularization(layer, read)]
    if not now.of_step:
        return list(now.losses)
    return list(now.called[id(layer)]) if id(layer) in now.called else regularization(layer, now.read)


def regularization(layer: Layer, read: Callable[[Weight], Array]) -> list[Array]:
    """The penalties of the regularizers of trainable weights."""
    weights = [weight for weight, trained in weights_by_path(layer).values() if trained]
    return [weight.regularizer(read(weight)) for weight in weights if weight.regularizer is not None]


def _build_alone(layer: Layer, inputs: Inputs) -> None:
    """Build the layer for the inputs. Refuse weights of a layer that is made in `call` or held by no layer."""
    fresh = not layer.built
    require_settings(layer)
    layer._lamina.mask_in = getattr(mask_of(inputs.first), "ndim", 0)
    with jax.ensure_compile_time_eval():
        layer._lamina_build(shapes_of(inputs.first), None if inputs.is_one_tensor else inputs.map(slot_of))
    around = under_way.get()
    if not fresh or around is None or not layer._lamina.weights:
        return
    where = _hidden(layer, around.copies if isinstance(around, Pass) else {})
    if where or layer._lamina.made_in_pass:
        where = where or "is held by no layer"
        raise StackError(
            f"{layer.name}, made at {layer._lamina.added_at}, {where}: its weights would be lost after "
            "each call.\nMake layers in the __init__ or build of the layer that uses them, and keep them in its "
            "attributes, or in lists, tuples and dicts there."
        )


def _say_untrained(layer: Layer, around: Pass) -> None:
    """Warn if the `call` of a Sequential trains with a layer in its attributes, which is no part of the stack."""
    for stack, _ in around.copies.values():
        if not is_stack(stack) or not layer.trainable_variables or all(each is not layer for _, each in beside(stack)):
            continue
        message = (
            f"{type(stack).__name__}.call uses {layer.name!r}, which is not a layer of the stack: its weights are not "
            "trained, and no file holds them.\nAdd it to the stack, or derive the class from Layer. If it is to stay "
            f"as it is, set {layer.name}.trainable = False."
        )
        if message not in stack._lamina.said:
            stack._lamina.said.add(message)
            warn(message)


def _hidden(layer: Layer, copies: dict[int, tuple[Any, Any]]) -> str:
    """The attribute that holds `layer`, if it is in an object of a kind that is not searched for layers."""
    for holder, _ in copies.values():
        for attribute, value in vars(holder).items():
            if any(item is layer for item in getattr(value, "__dict__", {}).values()):
                return f"stands in the {type(value).__name__} {holder.name}.{attribute}, where no layers are looked for"
    return ""


def _output(now: Pass, layer: Layer, inputs: Inputs) -> Any:
    layer._lamina_check_input(shapes_of(inputs.first))
    require_arguments(layer, inputs)
    if not layer.built:
        now.build(layer, inputs.shapes())
    call = cast_floats(layer, inputs).call
    if "training" in call.signature.parameters and inputs.training is None:
        call.arguments["training"] = layer._lamina_trains_by_default if now.training is None else now.training
    try:
        return layer.call(*call.args, **call.kwargs)
    except AttributeError as error:
        if isinstance(error.obj, jax.Array) and error.name in ("assign", "assign_add", "assign_sub"):
            raise UnknownAttributeError(
                f"during a pass a trainable weight is a plain array, without .{error.name}: {place_of(error)}.\n"
                "What call assigns to is made with add_weight(..., trainable=False)."
            ) from None
        raise
    except KeyError as error:
        if isinstance(inputs.first, dict) and error.args and error.args[0] not in inputs.first:
            error.add_note(f"{who(layer)} was given a dict with the keys {', '.join(map(repr, inputs.first))}.")
        raise


def _naming(layer: Layer, error: ShapeError, inputs: Inputs) -> ShapeError:
    """Returns `error` with the layer's name and inputs in front, unless its message names a layer already."""
    said = str(error.args[0])
    if not error.named and not said.lstrip("'").startswith(layer.name):
        error = ShapeError(f"{who(layer)}, given {_given(inputs)}: {said}")
    error.named = True
    return error


@contextmanager
def naming_memory(layer: Layer, inputs: Inputs) -> Iterator[None]:
    """An array that a layer's own code makes and that does not fit into memory is an error with the layer's name."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        told = of_memory(error, f"{who(layer)}, given {_given(inputs)},", place_of(error))
        if told is None:
            raise
        raise told.with_traceback(error.__traceback__) from None


def _given(inputs: Inputs) -> str:
    """The shapes of the inputs for a message, with the names of several."""
    shapes = inputs.shapes()
    return str(*shapes.values()) if len(shapes) == 1 else ", ".join(f"{k} {v}" for k, v in shapes.items())
