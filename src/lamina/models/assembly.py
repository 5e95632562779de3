"""Adds layers to a stack: checks each layer, gives it a name, and builds the layers one after another."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from lamina._arrays.shapes import Shape, agree
from lamina._checks.stack import cannot_take
from lamina._layer.host import HostLayer
from lamina._layer.inputs import joins, one_output
from lamina._layer.keys import seed_of
from lamina._layer.layer import Layer
from lamina._layer.layers_by_name import registry
from lamina._layer.structure import parts, restored_on_error
from lamina._messages.spelling import free_name, nearest, to_snake_case
from lamina._messages.tracebacks import place_of, warn
from lamina._messages.traced import of_traced_array
from lamina._training.fingerprint import fingerprint
from lamina.errors import LaminaError, ShapeError, StackError
from lamina.layers.core import InputLayer

if TYPE_CHECKING:
    from lamina.models.stack import Stack


def append(stack: Stack, layer: Layer) -> None:
    """Add a layer or the Input to the end of a stack, and build the layer if its input's shape is known."""
    if isinstance(layer, InputLayer):
        _enter(stack, layer)
        return
    _refuse_unfit(stack, layer)
    if layer._lamina_on_host and stack._lamina_body:
        raise StackError(
            f"{layer.name!r} ({type(layer).__name__}) turns raw data into numbers before the compiled program, so it "
            f"comes first; here {stack._lamina_body[0].name!r} stands before it."
        )
    stack._lamina_chain.append(layer)
    before = stack._lamina.entry
    try:
        with restored_on_error(layer):
            _name_apart(stack, layer)
            first = before is None and len(stack._lamina_chain) == 1
            if first and (shape := wanted_shape(layer)) is not None:
                stack._lamina.entry = InputLayer(batch_shape=shape)
            if stack._lamina.entry is not None:
                build_from(stack, len(stack._lamina_chain) - 1)
    except BaseException:
        stack._lamina_chain.pop()
        stack._lamina.entry = before
        raise


def _enter(stack: Stack, layer: InputLayer) -> None:
    if stack._lamina_chain:
        raise StackError("Input comes first in the list of layers; here other layers stand before it.")
    if stack._lamina.entry is not None:
        raise StackError(
            f"the stack already has an Input, of shape {stack._lamina.entry.batch_shape}. A stack takes one tensor."
        )
    stack._lamina.entry = layer


def _refuse_unfit(stack: Stack, layer: object) -> None:
    if getattr(layer, "_lamina_joins", ""):
        raise StackError(joins(layer))
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise StackError(f"{layer.__name__} is a class; make a layer of it: {layer.__name__}(...).")
    if isinstance(layer, tuple) and all(isinstance(size, int) for size in layer):
        raise StackError(f"a shape is not a layer: write Input({layer}).")
    if isinstance(layer, (list, tuple)):
        raise StackError("the list of layers contains a list; write *layers, or use a Sequential for that part.")
    if isinstance(layer, str):
        meant = nearest(layer, [name for name in registry.named if not name.islower()])
        advice = f" Write keras.layers.{meant[0]}(...)." if meant else ""
        raise StackError(f"a stack takes layers, not their names: got {layer!r}.{advice}")
    if not isinstance(layer, Layer):
        kind, name = type(layer), getattr(layer, "__name__", str(layer)[:60])
        package = kind.__module__.partition(".")[0]
        advice = f" Wrap a function: Lambda({name})." if callable(layer) else ""
        if package in ("keras", "tf_keras", "tensorflow"):
            advice = f" It is a layer of {package}: use lamina.layers.{kind.__name__}."
        raise StackError(f"only layers can be in the stack, got {name} ({kind.__name__}).{advice}")
    if more := layer._lamina_call_required:
        raise StackError(
            f"{type(layer).__name__}.call also needs {', '.join(more)}, but a stack passes one tensor to each layer. "
            "Give the extra arguments defaults, or use the layer within a custom layer."
        )
    if getattr(layer, "_lamina_beside", False):
        raise StackError(
            f"{type(layer).__name__} also changes the boxes of the images, and a stack takes images alone: "
            "call the layer on the data, or map it over the data, before the stack."
        )
    if layer is stack:
        raise StackError("a stack cannot contain itself.")
    if layer in stack._lamina_chain and id(layer) in (ids := [*map(id, stack._lamina_chain)]):  # `in` alone is fast
        index = ids.index(id(layer))
        raise StackError(
            f"{layer.name!r} is layer {index + 1} of this stack already. A stack is one line, and uses each layer "
            f"once: make a second {type(layer).__name__}(...), or a custom layer whose call uses it twice."
        )


def _name_apart(stack: Stack, layer: Layer) -> None:
    """Give the new layer a name that no other layer has, in this stack or in the stack to which it belonged before."""
    others = stack._lamina_chain[:-1]
    names = [*map(attrgetter("name"), others)]  # map and `in` are fast, which counts for thousands of layers
    if layer.name in names:
        if layer._lamina.named:
            other = others[names.index(layer.name)]
            raise StackError(
                f"two layers are called {layer.name!r}, made at {layer._lamina.added_at} and "
                f"{other._lamina.added_at}; give one of them another name=."
            )
        names += map(attrgetter("name"), layer._lamina.siblings)
        like = (each for each in reversed(others) if type(each) is type(layer) and not each._lamina.named)
        stem = to_snake_case(type(layer).__name__)
        layer.name = free_name(stem, names, after=next((each.name for each in like), ""))
    layer._lamina.siblings = stack._lamina_chain


def build_for(stack: Stack, shape: Shape) -> None:
    """Build all layers for an input of `shape`, with the batch axis."""
    stack._lamina_require_layers()
    with restored_on_error(stack):
        stack._lamina.entry = InputLayer(batch_shape=shape)
        build_from(stack, 0)


def build_from(stack: Stack, start: int) -> None:
    """Build the layers from index `start` on; the shape of the first one's input is known."""
    flow = stack._lamina.shapes_between[: start + 1] if start else [stack._lamina.entry.batch_shape]
    for index in range(start, len(stack._lamina_chain)):
        layer, shape = stack._lamina_chain[index], flow[-1]
        if isinstance(shape, list):
            before = stack._lamina_chain[index - 1]
            raise StackError(
                f"{before.name!r} returns {len(shape)} tensors, so it can only be the last layer: a "
                f"stack passes on one tensor, and {layer.name!r} comes after. {one_output(before)}, or use the two "
                "within a custom layer."
            )
        wanted = layer._lamina.wanted_shape
        if wanted is not None and not agree(wanted, shape):
            warn(
                f"{layer.name!r} was given input_shape={wanted[1:]}, but its input has shape {shape[1:]}. A stack only "
                "reads the input_shape of its first layer. Leave it out here."
            )
        mask = stack._lamina_chain[index - 1]._lamina.mask_out if index else stack._lamina.mask_in
        layer._lamina.mask_in = layer._lamina.mask_out = mask
        whole = stack._lamina_chain[index - 1]._lamina.whole_out if index else stack._lamina.entry._lamina_whole_dtype
        layer._lamina.whole_in = layer._lamina.whole_out = whole
        try:
            layer._lamina_build(shape)
            flow.append(_handed_on(_output_shape(stack, layer, shape)))
        except ShapeError as error:
            if str(error).startswith("layer "):
                raise
            raise cannot_take(stack._lamina_chain, index, flow, str(error)) from None
        except LaminaError:
            raise
        except (TypeError, ValueError) as error:
            if asks := of_traced_array(error, place_of):
                raise asks from None
            place, said = place_of(error), str(error).splitlines()[0].partition(": https://")[0]
            said = re.sub(r"\b\w*Tracer\b", "Array", said)
            reason = f"fails{f' at {place}' * bool(place)}: {said[:200]}"
            raise cannot_take(stack._lamina_chain, index, flow, reason) from None
        layer._lamina.shapes = (shape, flow[-1])
        for part in parts(layer):
            for weight in part.layer._lamina.weights:
                path = f"/{part.names}/{weight.name}"
                if not weight.path.endswith(path):  # else it has been in a stack before
                    weight.path = f"{stack.name}{path}"
    keep_shapes(stack, flow)


def _output_shape(stack: Stack, layer: Layer, shape: Shape) -> Any:
    """The shape of a layer's output. A trace takes 2 ms, so only the first of equal layers is traced."""
    state = layer._lamina
    on_host = any(isinstance(part.layer, HostLayer) for part in parts(layer))  # no part of a fingerprint
    known = None if state.mask_in or on_host else fingerprint(layer)  # a mask may lead to a warning for each layer
    if known is None:
        return layer.compute_output_shape(shape)
    outputs, key = stack._lamina.kept.setdefault("outputs", {}), (known, shape, str(state.whole_in))
    if key in outputs:
        output, state.mask_out, state.whole_out = outputs[key]
    else:
        output = layer.compute_output_shape(shape)
        outputs[key] = output, state.mask_out, state.whole_out
    return output


def keep_shapes(stack: Stack, flow: list[Shape]) -> None:
    stack._lamina.shapes_between, stack._lamina.outputs = flow, {}
    stack.built = len(flow) > 1
    seed_of(stack)
    stack._lamina.shapes = (flow[0], flow[-1]) if stack.built else None


def wanted_shape(layer: Any) -> Shape | None:
    """The input shape that a layer declares, with the batch axis.

    A layer declares it with `input_shape=`. A stack inside a stack declares it with an Input, or by its first layer.
    """
    while _is_stack(layer) and layer._lamina.entry is None and layer._lamina_chain:
        layer = layer._lamina_chain[0]
    entry = layer._lamina.entry if _is_stack(layer) else None
    shape: Shape | None = entry.batch_shape if entry else layer._lamina.wanted_shape
    return shape


def _handed_on(output: Any) -> Shape | list[Shape]:
    """The shape of a layer's output. A layer with several outputs has a list of shapes, and must be the last layer."""
    if output is None:
        raise ShapeError("returns None: its call has no return statement")
    if isinstance(output, (tuple, list)) and output and all(isinstance(each, tuple) for each in output):
        return list(output)
    if not isinstance(output, (tuple, list)) or not all(n is None or hasattr(n, "__index__") for n in output):
        raise ShapeError(f"returns a {type(output).__name__} of {len(output)}, but a stack passes on one tensor")
    return tuple(output)


def _is_stack(layer: Layer) -> bool:
    return hasattr(layer._lamina, "entry")
