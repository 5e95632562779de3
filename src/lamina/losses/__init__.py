"""Losses: how far the predictions are from the targets, as one number to make smaller.

Each loss is a function of `(y_true, y_pred)` with one value per sample, and a class that holds its settings, weighs
those values and reduces them. Where a formula has a corner, its slope there is Keras's on JAX.
"""

from __future__ import annotations

from typing import Any

from lamina._base.frames import user_facing
from lamina._base.public import public
from lamina._base.settings import Configured, serialize
from lamina.errors import ArgumentError
from lamina.losses.crossentropies import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Crossentropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from lamina.losses.loss import Loss, LossFunction, registry
from lamina.losses.regression import MeanAbsoluteError, MeanSquaredError, mean_absolute_error, mean_squared_error

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "Crossentropy", "Loss", "LossFunction", "MeanAbsoluteError",
    "MeanSquaredError", "SparseCategoricalCrossentropy", "binary_crossentropy", "categorical_crossentropy",
    "deserialize", "get", "mean_absolute_error", "mean_squared_error", "serialize",
    "sparse_categorical_crossentropy",
]  # fmt: skip


@user_facing
def get(identifier: Any, *, y_shape: Any = None, output_shape: Any = None) -> Loss | None:
    """The loss for a name, a class, a config, a function or an object; None stays None.

    >>> get("mse")
    MeanSquaredError(name='mean_squared_error')

    Args:
        y_shape, output_shape: with the batch axis; they settle at once which loss "crossentropy" is.
    """
    return _as_loss(registry.get(identifier), y_shape, output_shape)


@user_facing
def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Loss | None:
    """The loss that `serialize` described; `custom_objects` says what the user's own names stand for."""
    return _as_loss(registry.including(custom_objects).get(name))


def _as_loss(found: Any, y_shape: Any = None, output_shape: Any = None) -> Loss | None:
    if isinstance(found, Crossentropy) and output_shape is not None:
        return found._lamina_fitting(y_shape, output_shape)
    if found is None or isinstance(found, Loss):
        return found
    if isinstance(found, Configured):
        raise ArgumentError(f"expected a loss, got {found!r}.")
    if str(getattr(found, "__module__", "")).startswith(__name__):
        return registry.get(found.__name__)  # type: ignore[no-any-return]
    return LossFunction(found)


public(__name__, __all__)
