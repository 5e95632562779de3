"""The arguments of one call of a layer: tensors in any nested structure, by position or by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from inspect import BoundArguments, signature
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array, as_array
from lamina._arrays.nested import leaves, tree_map
from lamina._arrays.shapes import Shape, shape_of
from lamina._layer.masks import mask_of, masks_of, with_mask
from lamina._layer.specs import InputSpec
from lamina._layer.structure import Module
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, CallError, ShapeError, StackError

if TYPE_CHECKING:
    from lamina._layer.layer import Layer

KERAS_NAMES = {"inputs", "sequences"}
"""The name of the one tensor in Keras's layers; here it is named x."""


@dataclass(frozen=True)
class Slot:
    """The place of a tensor that does not exist yet. An abstract pass uses an array of this shape and dtype."""

    shape: Shape
    dtype: Any
    mask: int = 0
    """The number of axes of its mask; 0 without a mask."""


@dataclass
class Inputs:
    """The arguments of one call, by the parameter names of the layer's `call`."""

    call: BoundArguments
    training: Any
    mask: Any
    """`training` and `mask` as given by the caller, even if `call` has no such parameters."""

    @property
    def told(self) -> dict[str, Any]:
        """The arguments by name, in order."""
        return self.call.arguments

    @property
    def first(self) -> Any:
        """The first argument: a tensor, or a structure of tensors."""
        name: str
        value: Any
        name, value = next(iter(self.told.items()), ("", None))
        return value[0] if name == "args" and len(value) == 1 else value

    @property
    def is_one_tensor(self) -> bool:
        """Whether `call` receives one tensor and, at most, `training` and `mask`."""
        return _is_tensor(self.first) and not {*list(self.told)[1:]} - {"training", "mask"}

    def map(self, change: Callable[[Any], Any]) -> Inputs:
        """The same arguments with each leaf replaced by `change(leaf)`."""
        told: Any = {name: tree_map(lambda leaf, _: change(leaf), value) for name, value in self.told.items()}
        return replace(self, call=BoundArguments(self.call.signature, told))

    def tensors(self) -> dict[str, Any]:
        """The arguments that are a tensor, or a structure of tensors and None."""
        told = {**self.told, "args": self.first} if "args" in self.told else self.told
        return {name: value for name, value in told.items() if name not in ("mask", "kwargs") and _are_tensors(value)}

    def shapes(self) -> dict[str, Any]:
        """The shapes of the tensors, by argument."""
        return {name: shapes_of(value) for name, value in self.tensors().items()}

    def fill_masks(self) -> None:
        """Fill in the masks that `call` asks for: `mask` for one tensor, else `NAME_mask` for each, as in Keras."""
        tensors = self.tensors()
        alone = len(tensors.keys() - {"initial_state"}) == 1  # a state does not count as a second input
        by_name = {f"{name}_mask": value for name, value in tensors.items()}
        for name, value in {"mask": self.first if alone else None, **({} if alone else by_name)}.items():
            if name in self.call.signature.parameters and self.told.get(name) is None:
                self.told[name] = masks_of(value)


def slot_of(x: Any) -> Any:
    """The stand-in for an array in an abstract pass; other values are returned unchanged."""
    return Slot(shape_of(x), x.dtype, getattr(mask_of(x), "ndim", 0)) if isinstance(x, jax.Array) else x


def missing(layer: Layer, inputs: Inputs) -> list[str]:
    """The required arguments of `call` that the caller did not give."""
    wanted = (*list(layer._lamina_call_signature.parameters)[:1], *layer._lamina_call_required)
    return [name for name in wanted if name not in inputs.told and name not in ("args", "kwargs")]


def require_arguments(layer: Layer, inputs: Inputs) -> None:
    """Refuse a call that lacks a required argument."""
    if lacking := missing(layer, inputs):
        example = f"{layer.name}({', '.join([*inputs.told][:1] + lacking)})"
        also = " as well" * bool(inputs.told)
        raise CallError(f"{who(layer)} needs {' and '.join(lacking)}{also}: {example}.")


def inputs_of(layer: Layer, args: tuple[Any, ...], named: dict[str, Any]) -> Inputs:
    """The arguments of a call of the layer; lists, NumPy arrays and weights become arrays."""
    takes = layer._lamina_call_signature
    for name in KERAS_NAMES & named.keys() if layer._lamina_one_tensor and not args else ():
        args, named = (named[name],), {other: value for other, value in named.items() if other != name}
    outside: dict[str, Any] = {
        name: named[name] for name in ("training", "mask") if name in named and name not in takes.parameters
    }
    try:
        call = takes.bind_partial(*args, **{name: value for name, value in named.items() if name not in outside})
    except TypeError as error:
        raise CallError(f"{who(layer)}: {error}. {_called(layer)}") from None
    told = {**outside, **call.arguments}
    for place, (name, value) in enumerate(call.arguments.items()):
        if isinstance(value, jax.Array):
            continue
        if name == "args":
            call.arguments[name] = (*(_first(layer, each) for each in value[:1]), *map(_others, value[1:]))
        else:
            call.arguments[name] = _others(value) if place or name == "kwargs" else _first(layer, value)
    return Inputs(call, told.get("training"), told.get("mask"))


def _called(layer: Layer) -> str:
    if not layer._lamina_call_signature.parameters:
        return "Its call takes no input: write def call(self, x)."
    takes = (str(each.replace(annotation=each.empty)) for each in layer._lamina_call_signature.parameters.values())
    return f"It is called as {layer.name}({', '.join(takes)})."


def inputs_of_shapes(layer: Layer, shapes: tuple[Any, ...], named: dict[str, Any]) -> Inputs:
    """Make the arguments of a call from their shapes, which are given by position or as `query_shape=`."""
    dtype = layer.compute_dtype if layer._lamina.whole_in is None else layer._lamina.whole_in

    def slots(value: Any) -> Any:
        return map_shapes(lambda shape: Slot(shape, dtype, layer._lamina.mask_in), value)

    if layer._lamina_one_tensor and shapes and not (shapes[0] is None or is_shape(shapes[0])):
        raise ShapeError(f"takes one tensor, got {shapes[0]!r} in place of its shape")
    told = {name.removesuffix("_shape"): slots(value) for name, value in named.items()}
    try:
        return Inputs(layer._lamina_call_signature.bind_partial(*map(slots, shapes), **told), None, None)
    except TypeError as error:
        raise CallError(f"{who(layer)}, given shapes: {error}. {_called(layer)}") from None


def _first(layer: Layer, x: Any) -> Any:
    """The first argument of a call: one array; for a layer that takes several tensors, one array for each leaf."""
    if layer._lamina_one_tensor:
        return _as_array(layer, x)

    def is_one(value: Any) -> bool:  # a list of numbers is one array
        given = (jax.Array, np.ndarray, Weight, Module)
        return isinstance(value, (list, tuple)) and not any(isinstance(leaf, given) for _, leaf in leaves(value))

    return tree_map(lambda leaf, _: None if leaf is None else _as_array(layer, leaf), x, is_leaf=is_one)


def _others(value: Any) -> Any:
    """Any later argument, with NumPy arrays and weights turned into JAX arrays."""

    def change(leaf: Any, _: str) -> Any:
        if isinstance(leaf, Weight):
            return leaf.value
        number = isinstance(leaf, (np.ndarray, np.floating)) and leaf.dtype.kind not in "OSUMm"
        return as_array(leaf) if number else leaf

    return tree_map(change, value)


def _is_tensor(x: object) -> bool:
    return isinstance(x, (jax.Array, Slot))


def _are_tensors(value: object) -> bool:
    found = [leaf for _, leaf in leaves(value) if leaf is not None]
    return bool(found) and all(map(_is_tensor, found))


def cast_floats(layer: Layer, inputs: Inputs) -> Inputs:
    """The same arguments with every float cast to the layer's compute dtype; the masks are kept."""
    whole = inputs.first if layer._lamina_makes_floats else None

    def cast(x: Any) -> Any:
        if not isinstance(x, jax.Array) or not (x is whole or jnp.issubdtype(x.dtype, jnp.floating)):
            return x
        y = jnp.asarray(x, layer.compute_dtype)
        if y is not x:
            with_mask(y, mask_of(x))
        return y

    return inputs.map(cast) if layer.autocast else inputs


def shapes_of(value: Any) -> Any:
    """The shape of each tensor of a structure, in the same structure."""
    return tree_map(lambda leaf, _: None if leaf is None else shape_of(leaf), value)


def is_shape(value: Any) -> bool:
    """Whether the value is one shape, not a structure of shapes."""
    return isinstance(value, (tuple, list)) and all(size is None or hasattr(size, "__index__") for size in value)


def map_shapes(change: Callable[[Shape], Any], value: Any) -> Any:
    """The same structure with each shape replaced by `change(shape)`.

    >>> map_shapes(len, {"a": [None, 4], "b": [(None, 2, 2)]})
    {'a': 2, 'b': [3]}
    """

    def changed(leaf: Any, _: str) -> Any:
        if leaf is not None and not is_shape(leaf):
            raise ArgumentError(f"expected a shape, or shapes in lists, tuples and dicts; got {leaf!r}.")
        return None if leaf is None else change(tuple(leaf))

    return tree_map(changed, value, is_leaf=is_shape)


def check_specs(specs: Any, shapes: Any) -> None:
    """Raise a `ShapeError` unless the shapes of the first argument fit the `input_spec` or the list of specs."""
    found: list[Shape] = []
    map_shapes(found.append, shapes)
    wanted = [spec for _, spec in leaves(specs) if isinstance(spec, InputSpec)]
    if len(wanted) != len(found):
        raise ShapeError(f"expects {len(wanted)} tensor{'s' * (len(wanted) != 1)}, got {len(found)}")
    for spec, shape in zip(wanted, found, strict=True):
        spec.check(shape)


def call_build(layer: Layer, shapes: dict[str, Any]) -> None:
    """Call the layer's `build` as Keras does: with the shape of the first input. If `build` has several parameters,
    each one named after an input, such as `query_shape`, gets the shape of that input.

    The first axis is the batch axis. It is None in every shape whose first axis is as long as that of the first input.
    """
    sizes: list[Shape] = []
    map_shapes(sizes.append, shapes)

    def without_rows(shape: Shape) -> Shape:
        return (None, *shape[1:]) if len(shape) > 1 and shape[0] == sizes[0][0] else shape

    told = {f"{name}_shape": map_shapes(without_rows, value) for name, value in shapes.items()}
    takes, (first, *_) = signature(layer.build).parameters, (*told.values(), None)
    if len(takes) == 1:
        return layer.build(first)
    named = {name: told[name] for name in takes if name in told}
    args = () if not takes or next(iter(takes)) in told else (first,)
    wanted = [
        name for name, each in takes.items() if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
    ]
    if missing := [name for name in wanted[len(args) :] if name not in named]:
        raise CallError(
            f"{who(layer)}.build needs {' and '.join(missing)}, and the call gives {', '.join(told) or 'no tensors'}: "
            "the arguments of build are those of call with _shape behind the name."
        )
    return layer.build(*args, **named)


def build_config(layer: Layer, build: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The form of the arguments of `build` in files: one shape, or the shapes by argument; None for other arguments."""
    told = signature(build).bind(layer, *args, **named).arguments
    shapes = [*args, *named.values()] if len(args) + len(named) == 1 else [*told.values()][1:]
    with suppress(ArgumentError):
        for shape in shapes:
            map_shapes(tuple, shape)
        if len(shapes) == 1:
            rows = (layer._lamina.batch_size,)
            return {"input_shape": rows + tuple(shapes[0])[1:] if shapes[0] and is_shape(shapes[0]) else shapes[0]}
        return {"shapes_dict": dict([*told.items()][1:])} if shapes else None
    return None


def joins(layer: Any) -> str:
    """Why a layer or class that joins several tensors cannot be in a stack, and where to use it."""
    name = layer.__name__ if isinstance(layer, type) else type(layer).__name__
    return (
        f"{name} joins several tensors, and a stack has one tensor between two layers: write your own Layer that holds "
        f"it, and join the tensors in its call, for example `return {layer._lamina_joins}`."
    )


def one_output(layer: Layer) -> str:
    """The advice for a layer that returns a list of tensors: how to return one tensor."""
    if hasattr(layer, "return_state") or hasattr(layer, "merge_mode"):
        return "Leave out return_state=True, and give it a merge_mode"
    return "Let its call return one tensor, not a list"


def who(layer: Any) -> str:
    """The layer's name and class, as `dense_1 (Dense)`."""
    return f"{layer.name} ({type(layer).__name__})"


def _not_one(layer: Layer, x: Any) -> str:
    """Describes the value given in place of an array, and says what to write."""
    if x is None:
        return "None: the layer or function that made it has no return"
    if not isinstance(x, (list, tuple)) or not any(map(_is_tensor, x)):
        return f"{type(x).__name__}: {str(x)[:60]!r}"
    names = [*list(layer._lamina_call_signature.parameters)[:1], *layer._lamina_call_required]
    call = f"{layer.name}({', '.join(names)})" if len(names) > 1 else "layers.Concatenate()(...) first, to join them"
    return f"a {type(x).__name__} of {len(x)}: write {call}"


def _as_array(layer: Layer, x: Any) -> Array:
    """The argument of the user's call, as an array on the device."""
    x = x.value if isinstance(x, Weight) else x
    if isinstance(x, jax.Array):
        return x
    if isinstance(x, Module):
        if layer._lamina_joins:
            raise StackError(joins(layer))
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
            raise ArgumentError(f"{who(layer)} takes one array, got {_not_one(layer, x)}.") from None
        raise ArgumentError(
            f"{who(layer)} takes numbers, and got text ({str(text)[:40]!r}).\n"
            "StringLookup makes numbers of single words or categories, TextVectorization of whole texts."
        ) from None
