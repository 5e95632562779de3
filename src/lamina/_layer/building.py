"""Building a layer, for the shapes of its inputs or for the shapes in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamina._arrays.shapes import full_shape
from lamina._layer.forward import naming_memory, output_shape
from lamina._layer.inputs import Inputs, call_build, inputs_of_shapes, is_shape, map_shapes, missing, shapes_of
from lamina._layer.structure import parts, require_settings, restored_on_error
from lamina._weights.turns import making
from lamina.errors import ArgumentError

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


def build(layer: Layer, shape: Any, inputs: Inputs | None) -> None:
    """Build a layer and its sublayers for an input of `shape` (with the batch axis), unless they are built."""
    if _is_done(layer):
        return
    require_settings(layer)
    layer._lamina_check_input(shape)
    inputs = inputs_of_shapes(layer, (shape,), {}) if inputs is None else inputs
    with making, restored_on_error(layer):
        if _is_done(layer):  # another thread built it in the meantime
            return
        layer._lamina.batch_size = shape[0] if shape and is_shape(shape) else None
        with naming_memory(layer, inputs):
            call_build(layer, inputs.shapes())
        if not all(part.layer.built for part in parts(layer)) and not missing(layer, inputs):
            output_shape(layer, inputs)  # this pass builds each sublayer when `call` first uses it


def _is_done(layer: Layer) -> bool:
    """Whether nothing is left to do. A layer that is built when it is made still checks its first shape."""
    return layer.built and not (layer._lamina_bare and layer._lamina.built_for is None)


def build_from(layer: Layer, config: dict[str, Any]) -> None:
    """Make the weights for the shapes in a config."""
    if shape := config.get("input_shape"):
        layer._lamina_build(map_shapes(lambda each: full_shape(each, "input_shape"), shape))
    elif shapes := config.get("shapes_dict"):
        if not isinstance(shapes, dict):
            raise ArgumentError(f"shapes_dict is a dict with a shape for each argument, got {type(shapes).__name__}.")
        inputs = inputs_of_shapes(layer, (), map_shapes(lambda each: full_shape(each, "shapes_dict"), shapes))
        layer._lamina_build(shapes_of(inputs.first), inputs)


def _is_sample(layer: Layer, shape: Any) -> bool:
    """Whether it is the shape of one sample without a batch axis, which this layer takes by itself."""
    plain = isinstance(shape, (tuple, list)) and all(size is None or isinstance(size, int) for size in shape)
    return plain and layer._lamina_is_sample(tuple(shape))


def shape_of_output(layer: Layer, shapes: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The output's shape for the inputs' shapes, by position or as `query_shape`; `input_shape` is the first."""
    shapes = (named.pop("input_shape"), *shapes) if "input_shape" in named else shapes
    if len(shapes) == 1 and not named and _is_sample(layer, shapes[0]):
        return shape_of_output(layer, ((None, *shapes[0]),), {})[1:]
    inputs = inputs_of_shapes(layer, shapes, named)
    layer._lamina_build(shapes_of(inputs.first), inputs)
    return output_shape(layer, inputs)
