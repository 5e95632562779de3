"""Converts names of classes in y to numbers for the loss, and numbers back to names for `predict_classes`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from lamina import losses
from lamina._arrays.arrays import HostArray
from lamina._data.classes import Labels, classes_of, labels_of, numbered, one_hot, weights_by_number
from lamina._layer.host import needs_adapting
from lamina._layer.layer import Layer
from lamina._layer.structure import restored_on_error
from lamina._messages.spelling import listed
from lamina._settings.converters import short
from lamina._settings.origin import of_library
from lamina._training.model import Model, compiled_of
from lamina._training.request import DataRequest
from lamina.errors import ArgumentError, LabelError
from lamina.layers.activations import Softmax
from lamina.losses.loss import reads_logits
from lamina.losses.of_classes import HINGES, OF_CLASSES, ONE_HOT


@contextmanager
def forgotten_on_error(model: Model) -> Iterator[None]:
    """If `fit` refuses its data, the model forgets the classes, and a model that was not adapted is as before."""
    classes = model._lamina.classes
    try:
        with restored_on_error(model) if needs_adapting(model) else nullcontext():
            yield
    except BaseException:
        model._lamina.classes = classes
        raise


def numbers_of(model: Model, data: DataRequest, learns: bool = False) -> DataRequest:
    """The data with numbers in place of the names of classes, in y and in `class_weight`.

    Args:
        learns: whether the names in y become the model's classes, as in `fit`. A trained model keeps those it has.
    """
    state, labels = model._lamina, _labels(model, data.y)
    if learns and labels is not None and not (state.classes and state.steps_trained):
        state.classes = classes_of(labels)
    weights = weights_by_number(data.class_weight, state.classes)
    return data._replace(y=_numbers(model, data.y, labels), class_weight=weights)


def target_of(model: Model) -> Callable[[Any], Any]:
    """Make the function that converts names of classes in the y of a batch to numbers."""
    return lambda y: _numbers(model, y, _labels(model, y))


def _labels(model: Model, y: object) -> Labels | None:
    """The names in y, if the loss is for classes."""
    compiled = model._lamina.compiled
    return labels_of(y) if compiled is not None and isinstance(compiled.loss, OF_CLASSES) else None


def _numbers(model: Model, y: Any, labels: Labels | None) -> Any:
    """Convert names of classes in y to numbers; a y without names is returned unchanged."""
    if labels is None:
        return y
    classes = model._lamina.classes
    if classes is None:
        raise LabelError(
            f"y holds names of classes, and {model.name!r} has no names yet. `fit` learns them from all rows of "
            f"an array or a series. For batches, set them first: model.classes_ = {sorted(set(labels.values))[:12]!r}."
        )
    if isinstance(compiled_of(model).loss, losses.BinaryCrossentropy) and len(classes) > 2:
        raise LabelError(
            f"y has {len(classes)} classes, {listed(classes)}, and binary_crossentropy is for two. Take "
            f'Dense({len(classes)}, activation="softmax") and loss="sparse_categorical_crossentropy".'
        )
    numbers = numbered(labels, classes)
    return one_hot(numbers, classes) if isinstance(compiled_of(model).loss, ONE_HOT) else numbers


def given_classes(classes: object) -> tuple[Any, ...] | None:
    """The names that a user sets as `classes_`, in the order of their numbers."""
    if classes is None:
        return None
    names = classes.tolist() if isinstance(classes, np.ndarray) else classes
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, (str, bool)) for name in names):
        raise ArgumentError(f"classes_: expected the names of the classes, as ['no', 'yes'], got {short(classes)}.")
    if len(set(names)) < len(names):
        raise ArgumentError(f"classes_: each class needs a name of its own, but some occur twice: {short(classes)}.")
    return tuple(names)


def class_of_each(model: Model, output: HostArray) -> HostArray:
    """The class of each row of an output: its name, if the model has names, else its number as in Keras 2."""
    numbers, classes = class_numbers(model, output), model._lamina.classes
    if classes is None:
        return numbers
    flat = numbers[..., 0] if output.shape[-1] == 1 else numbers
    return np.asarray(classes)[np.minimum(flat, len(classes) - 1)]  # a stack may have more units than classes


def middle(model: Model) -> float:
    """The output of a single unit that stands between the two classes."""
    loss = model._lamina.compiled and model._lamina.compiled.loss
    at_zero = loss is not None and (isinstance(loss, HINGES) or reads_logits(loss))
    return 0.0 if at_zero and last_activation(model._lamina_chain[-1]) != "sigmoid" else 0.5


def last_activation(layer: Layer) -> str | None:
    """Return the name of the activation function of the last layer, if it is known."""
    if isinstance(layer, Softmax):
        return "softmax" if layer.axis == -1 else None
    activation: Any = vars(layer).get("activation")
    return activation.__name__ if of_library(activation) else None


def class_numbers(model: Model, output: HostArray) -> HostArray:
    """The number of the class of each row: the index of the largest output; of one unit, 1 above the middle, else 0."""
    if output.shape[-1] > 1:
        largest: HostArray = output.argmax(-1)
        return largest
    return (output > middle(model)).astype(np.int32)
