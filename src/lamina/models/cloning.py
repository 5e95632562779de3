"""Copies of a model with equal layers and fresh weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from lamina._arrays.nested import tree_map
from lamina._layer.layer import Layer
from lamina._layer.structure import parts
from lamina._messages.tracebacks import user_facing
from lamina._saving.config import deserialized
from lamina._saving.guard import parsed_json
from lamina._settings.converters import checked, flag, short
from lamina._settings.custom_objects import known
from lamina._settings.settings import built_in
from lamina.errors import ArgumentError
from lamina.layers.core import InputLayer
from lamina.layers.wrappers import fresh
from lamina.metrics import Metric
from lamina.models.sequential import Sequential
from lamina.optimizers import Optimizer


@user_facing
def clone_model(
    model: Sequential, input_tensors: Any = None, clone_function: Callable[[Layer], Layer] | None = None,
    call_function: object = None, recursive: bool = False,
) -> Sequential:  # fmt: skip
    """A model with equal layers and fresh weights, compiled in the same way.

    >>> from lamina import layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(3)])
    >>> clone_model(model).output_shape
    (None, 3)

    Args:
        model: a Sequential. For a subclass of your own, `from_config` makes the new model.
        input_tensors: an Input that replaces the Input of the model.
        clone_function: a function from each layer to the layer of the new model. The default is one with the same
            settings.
        call_function: for models of Keras that are not Sequential: leave it unset.
        recursive: whether `clone_function` also gets the layers of models that are layers here.
    """
    if not isinstance(model, Sequential):
        raise ArgumentError(f"clone_model takes a Sequential, got {short(model)} ({type(model).__name__}).")
    if call_function is not None:
        raise ArgumentError(
            "clone_model: call_function calls the layers of a model that is not a Sequential; a stack calls its layers "
            "one after another. Give clone_function, which makes the layers."
        )
    if clone_function is not None and not callable(clone_function):
        raise ArgumentError(
            f"clone_function is a function of a layer that returns a layer, got {short(clone_function)}."
        )
    if type(model) is not Sequential and clone_function is None and input_tensors is None:
        with known({type(part.layer).__name__: type(part.layer) for part in parts(model) if not built_in(part.layer)}):
            return _compiled_as(model, type(model).from_config(model.get_config()))

    def clone(layer: Layer) -> Layer:
        if isinstance(layer, Sequential) and (recursive or clone_function is None):
            return clone_model(layer, clone_function=clone_function, recursive=recursive)
        made = (clone_function or fresh)(layer)
        if not isinstance(made, Layer):
            raise ArgumentError(f"clone_function returned {short(made)} for {layer.name!r}, which is not a layer.")
        return made

    checked("clone_model", "recursive", flag, recursive)
    entry = _entry(model if input_tensors is None else input_tensors)
    line = [clone(layer) for layer in model.layers]
    return _compiled_as(model, Sequential([entry, *line] if entry else line, model.trainable, model.name))


@user_facing
def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Make a model with fresh weights from the text that `to_json` returned, here or in Keras.

    >>> from lamina import layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(3)])
    >>> model_from_json(model.to_json()).output_shape
    (None, 3)

    Args:
        json_string: what `to_json` returned.
        custom_objects: your own classes and functions by name.

    Raises:
        FileError: the text is not JSON.
        ArgumentError: the config does not describe a stack.
    """
    if not isinstance(json_string, str):
        raise ArgumentError(f"model_from_json takes the text that to_json returned, got {short(json_string)}.")
    model = deserialized(parsed_json(json_string.encode("utf-8", "replace"), "json_string"), custom_objects)
    if not isinstance(model, Layer):
        raise ArgumentError(f"json_string describes no model: {short(json_string)}.")
    return model


def _entry(given: Any) -> InputLayer | None:
    """A new InputLayer with the shape and the dtype of an Input, or of an entry of `model.inputs`."""
    if isinstance(given, Sequential):
        entry = given._lamina.entry
        return None if entry is None else InputLayer.from_config(entry.get_config())
    if isinstance(given, (list, tuple)) and len(given) == 1:
        given = given[0]
    shape = getattr(given, "batch_shape", getattr(given, "shape", None))
    if shape is None:
        raise ArgumentError(f"input_tensors is one Input, or one of model.inputs; got {short(given)}.")
    return InputLayer(batch_shape=shape, dtype=given.dtype, name=given.name)


def _compiled_as(model: Sequential, twin: Sequential) -> Sequential:
    """Compile `twin` in the same way as the model, with an optimizer and metrics of its own."""
    compiled = model._lamina.compiled
    if compiled is not None and type(model).compile is Sequential.compile:
        optimizer: Any = compiled.optimizer
        told = tree_map(lambda leaf, _: _unused(leaf) if isinstance(leaf, Metric) else leaf, compiled.told)
        told |= {"jit_compile": not compiled.eager, "auto_scale_loss": compiled.scales}
        twin.compile(_fresh(optimizer.inner_optimizer if compiled.scales else optimizer), **told)
        if twin.built:
            twin.optimizer.build(twin.trainable_variables)
    return twin


def _unused(metric: Metric) -> Metric:
    twin = copy.deepcopy(metric)
    twin.reset_state()
    return twin


def _fresh(optimizer: Optimizer) -> Optimizer:
    """A new optimizer with the same settings."""
    config = optimizer.get_config()
    if "learning_rate" in config:  # keep a schedule or a function: a config cannot restore a user's own
        config["learning_rate"] = optimizer._lamina.learning_rate
    return type(optimizer).from_config(config)
