"""A call of a layer, by itself or inside a pass: what goes into `call`, what is filled in, what comes out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from lamina._base.arrays import as_array
from lamina._base.frames import place_of, warn
from lamina._base.shapes import Shape, shape_of
from lamina._base.weight import Array, Scope, Unset, Weight, read, under_way
from lamina._kernels.bits import fold
from lamina._layer.keys import seed_of
from lamina._layer.masks import mask_of, with_mask
from lamina._layer.passes import Pass
from lamina._layer.structure import Module, beside, is_stack, require_settings, restored_on_error, weights_by_path
from lamina.errors import ArgumentError, CallError, ShapeError, StackError, UnknownAttributeError
from lamina.random import key_of

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


@functools.lru_cache(256)
def _symbolic(names: str) -> tuple[Any, ...]:
    """Sizes by name, the same objects for the same names: JAX would keep a trace for each new one."""
    return tuple(export.symbolic_shape(names))


def output_shape(layer: Layer, shape: Shape) -> Any:
    """The shape of a layer's output, or of each where it has several, from an abstract pass.

    Sizes are symbolic where `shape` has None. The input has a mask if the layer before makes one, and so the layer
    learns whether it makes one itself.
    """
    state = layer._lamina
    values = _values(layer)
    unset = {weight: jax.ShapeDtypeStruct(a.shape, a.dtype) for weight, a in values.items() if isinstance(a, Unset)}

    def output(*sizes: Any) -> Any:
        def forward(x: Array, later: list[Array]) -> Any:
            with_mask(x, jnp.ones(x.shape[: state.mask_in], bool) if state.mask_in else None)
            with Pass(values | dict(zip(unset, later, strict=True)), key=key_of(0), building=True) as now:
                y = run(now, now.copy_of(layer), x)
            first = next(iter(jax.tree.leaves(y)), None)
            state.mask_out = getattr(mask_of(first), "ndim", 0)
            if isinstance(first, jax.Array):
                state.whole_out = None if jnp.issubdtype(first.dtype, jnp.inexact) else first.dtype
            return y

        dtype = layer.compute_dtype if state.whole_in is None else state.whole_in
        return jax.eval_shape(forward, jax.ShapeDtypeStruct(sizes, dtype), list(unset.values()))

    if None not in shape:
        return jax.tree.map(shape_of, output(*shape))
    names = ",".join(str(n) if n else f"n{axis}" if axis else "batch" for axis, n in enumerate(shape))
    try:
        return jax.tree.map(shape_of, output(*_symbolic(names)))
    except Exception as error:
        # Python in `call` may need real numbers; what differs between two guesses depends on the batch.
        try:
            small, large = (output(*(guess if n is None else n for n in shape)) for guess in (12, 24))
        except Exception as reason:
            symbolic = isinstance(error, jax.errors.InconclusiveDimensionOperation) or "_DimExpr" in str(error)
            raise (reason if symbolic else error) from None
        return jax.tree.map(
            lambda one, other: tuple(a if a == b else None for a, b in zip(one.shape, other.shape, strict=True)),
            small,
            large,
        )


def who(layer: Layer) -> str:
    """The layer's name and class, as `dense_1 (Dense)`."""
    return f"{layer.name} ({type(layer).__name__})"


def run(now: Pass, layer: Layer, x: Array, others: tuple[Any, ...] = (), named: dict[str, Any] | None = None) -> Any:
    """`call` inside a pass, with the input checked and cast, and `training` and `mask` filled in."""
    told = _by_name(layer, others, named or {})
    mask = told["mask"] if told.get("mask") is not None else mask_of(x)
    try:
        y = _output(now, layer, x, mask, others, told)
    except ShapeError as error:
        if now.building and not now.paths[id(layer)]:
            raise  # the caller that builds it says where it stands
        raise _naming(layer, error, shape_of(x)) from None
    if y is x or mask_of(next(iter(jax.tree.leaves(y)), None)) is None:
        _hand_on_mask(layer, x, mask, y)
    if layer.activity_regularizer is not None:
        now.losses.extend(layer.activity_regularizer(each) / each.shape[0] for each in jax.tree.leaves(y))
    return y


def _hand_on_mask(layer: Layer, x: Array, mask: Array | None, y: object) -> None:
    """Let the output have the mask that the layer says; as in Keras, a layer that returns its input keeps the mask."""
    after = layer.compute_mask(x, mask)
    if mask is not None and after is None and y is not x and not layer._lamina_uses_mask:
        message = f"{layer.name!r} ({type(layer).__name__}) knows no masks: from here on padding counts as data."
        if message not in layer._lamina.said:
            layer._lamina.said.add(message)
            warn(message)
    with_mask(y, after)


def run_alone(layer: Layer, x: Any, others: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The output of a layer that is called by itself, in a pass of its own, which may stand within another."""
    x, around = _as_array(layer, x), under_way.get()
    one = layer._lamina_is_sample(shape_of(x))
    x = x[None] if one else x
    with nullcontext() if layer.built else restored_on_error(layer):  # a refused first call settles no shapes
        try:
            _build_alone(layer, x)
        except ShapeError as error:
            raise _naming(layer, error, shape_of(x)) from None
        training = _by_name(layer, others, named).get("training")
        if training is None and isinstance(around, Pass):
            training = around.training
        training = None if training is None else bool(training)
        if isinstance(around, Pass) and training:
            _say_untrained(layer, around)
        with Pass(_values(layer), training=training, key=key_alone(layer, around)) as now:
            y = run(now, now.copy_of(layer), x, others, named)
        _keep(layer, now, around)
        layer._lamina.losses = [loss for loss in now.losses if not isinstance(loss, jax.core.Tracer)]
        returned = {id(leaf) for leaf in jax.tree.leaves(y)}
        for weight, value in now.values.items():
            if id(value) in returned:
                weight.shown = True
        return y[0] if one else y


def _values(layer: Layer) -> dict[Weight, Any]:
    return {weight: read(weight) for weight, _ in weights_by_path(layer).values()}


def key_alone(layer: Layer, around: Scope | None) -> Array | None:
    """The key of a call by itself: another one each time, and within a pass another one in each step of training."""
    if isinstance(around, Pass):
        around.calls += 1
        return None if around.key is None else fold(around.key, np.uint32(2**32 - around.calls))
    layer._lamina.calls += 1
    # Direct calls count down from 2**32 - 1, so that they never meet the step numbers of a training.
    return fold(key_of(seed_of(layer)), np.uint32(2**32 - layer._lamina.calls))


def _keep(layer: Layer, now: Pass, around: Scope | None) -> None:
    """What a pass changed, for the pass around it or for the weights themselves."""
    for weight, value in now.changed():
        if around is not None:
            around.write(weight, value)
        elif not isinstance(value, jax.core.Tracer):  # else the user's own jax.jit runs the layer
            weight.array, weight.shown = value, True
    hand_on_losses(layer, now, around)


def hand_on_losses(layer: Layer, now: Pass, around: Scope | None) -> None:
    """What a call of `layer` added to the loss, for the pass around it; for a step with the regularizers."""
    if isinstance(around, Pass) and around.of_step:
        around.losses = [*now.losses, *regularization(layer, now.read)]
    elif isinstance(around, Pass):
        around.losses.extend(now.losses)


def regularization(layer: Layer, read: Callable[[Weight], Array]) -> list[Array]:
    """What the regularizers of the weights that are trained add to the loss."""
    weights = [weight for weight, trained in weights_by_path(layer).values() if trained]
    return [weight.regularizer(read(weight)) for weight in weights if weight.regularizer is not None]


def _build_alone(layer: Layer, x: Array) -> None:
    """Build for `x`, and refuse the weights of a layer that a pass made, or that no one finds, for they are lost."""
    fresh = not layer.built
    require_settings(layer)
    layer._lamina.mask_in = getattr(mask_of(x), "ndim", 0)
    with jax.ensure_compile_time_eval():
        layer._lamina_build(shape_of(x))
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
    """Warn where the `call` of a Sequential trains with a layer in its attributes, which is no part of the stack."""
    for stack, _ in around.copies.values():
        if not is_stack(stack) or not layer.trainable_variables or all(each is not layer for _, each in beside(stack)):
            continue
        message = (
            f"{type(stack).__name__}.call uses {layer.name!r}, which is no layer of the stack: its weights are not "
            "trained, and no file holds them.\nAdd it to the stack, or derive the class from Layer. If it is to stay "
            f"as it is, set {layer.name}.trainable = False."
        )
        if message not in stack._lamina.said:
            stack._lamina.said.add(message)
            warn(message)


def _hidden(layer: Layer, copies: dict[int, tuple[Any, Any]]) -> str:
    """Which attribute holds `layer` where no layers are looked for: in an object of another kind."""
    for holder, _ in copies.values():
        for attribute, value in vars(holder).items():
            if any(item is layer for item in getattr(value, "__dict__", {}).values()):
                return f"stands in the {type(value).__name__} {holder.name}.{attribute}, where no layers are looked for"
    return ""


def _as_array(layer: Layer, x: Any) -> Array:
    """What the user calls the layer with, as an array on the device."""
    x = x.value if isinstance(x, Weight) else x
    if isinstance(x, jax.Array):
        return x
    if isinstance(x, Module):
        first = f"Input({vars(x)['batch_shape'][1:]})" if "batch_shape" in vars(x) else repr(x)
        raise ArgumentError(
            f"{who(layer)} is called on a layer, {first}: a stack has no symbolic tensors.\n"
            f"Write the layers in a list: Sequential([{first}, {layer!r}])."
        )
    array = np.zeros(0)
    try:
        array = np.asarray(x)
        return as_array(array)
    except (TypeError, ValueError):
        text = next((item for item in array.ravel()[:1000] if isinstance(item, (str, bytes))), None)
        if text is None:
            raise ArgumentError(f"{who(layer)} takes one array, got {type(x).__name__}: {str(x)[:60]!r}.") from None
        raise ArgumentError(
            f"{who(layer)} takes numbers, and got text ({str(text)[:40]!r}).\n"
            "StringLookup makes numbers of single words or categories, TextVectorization of whole texts."
        ) from None


def _by_name(layer: Layer, others: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """The arguments after x, by name."""
    return dict(zip(layer._lamina_call_arguments, others, strict=False)) | named


def _output(now: Pass, layer: Layer, x: Array, mask: Array | None, others: Sequence[Any], told: dict[str, Any]) -> Any:
    takes, needs = layer._lamina_call_arguments, layer._lamina_call_required
    layer._lamina_check_input(shape_of(x))
    if not layer.built:
        now.build(layer, shape_of(x))
    if layer.autocast and (layer._lamina_makes_floats or jnp.issubdtype(jnp.result_type(x), jnp.floating)):
        x = jnp.asarray(x, layer.compute_dtype)
    if missing := [name for name in needs if name not in told]:
        example = f"{layer.name}({', '.join(['x', *needs])})"
        raise CallError(f"{who(layer)} wants {' and '.join(missing)} as well: {example}.")
    training = layer._lamina_trains_by_default if now.training is None else now.training
    for name, known in (("training", training), ("mask", mask)):
        value = told.pop(name, None)
        if name in takes:
            told[name] = known if value is None else value
    try:
        return layer.call(x, *others[len(takes) :], **told)
    except AttributeError as error:
        if isinstance(error.obj, jax.Array) and error.name in ("assign", "assign_add", "assign_sub"):
            raise UnknownAttributeError(
                f"during a pass a trainable weight is a plain array, without .{error.name}: {place_of(error)}.\n"
                "What call assigns to is made with add_weight(..., trainable=False)."
            ) from None
        raise


def _naming(layer: Layer, error: ShapeError, shape: Shape) -> ShapeError:
    """`error` with this layer before it, unless one is named in it."""
    said = str(error.args[0])
    if not error.named and not said.lstrip("'").startswith(layer.name):
        error = ShapeError(f"{who(layer)}, given {shape}: {said}")
    error.named = True
    return error
