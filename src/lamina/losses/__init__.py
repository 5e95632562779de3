"""Losses: how far the predictions are from the targets, as one number that training makes smaller.

Each loss is a function of `(y_true, y_pred)` that returns one value per sample, and a class that holds the settings,
multiplies those values by the weights and reduces them. Where a formula has no derivative, the gradient is the one
that Keras has on JAX.
"""

from __future__ import annotations

from lamina._base.arguments import Config
from lamina._base.custom import known
from lamina._base.frames import user_facing
from lamina._base.public import public
from lamina._base.settings import Configured
from lamina._base.shapes import Shape
from lamina.errors import ArgumentError
from lamina.losses.circle import Circle, circle
from lamina.losses.crossentropies import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Crossentropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    fitting,
    sparse_categorical_crossentropy,
)
from lamina.losses.ctc import CTC, ctc
from lamina.losses.divergences import KLDivergence, Poisson, kl_divergence, poisson
from lamina.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
)
from lamina.losses.hinges import CategoricalHinge, Hinge, SquaredHinge, categorical_hinge, hinge, squared_hinge
from lamina.losses.loss import Loss, LossFunction, function, registry
from lamina.losses.overlaps import Dice, Tversky, dice, tversky
from lamina.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)

__all__ = [
    "CTC", "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "Circle", "CosineSimilarity", "Crossentropy", "Dice",
    "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss", "LossFunction", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_generalized_cross_entropy",
    "categorical_hinge", "circle", "cosine_similarity", "ctc", "deserialize", "dice", "get", "hinge", "huber",
    "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "poisson", "serialize", "sparse_categorical_crossentropy", "squared_hinge",
    "tversky",
]  # fmt: skip


@user_facing
def get(identifier: object, *, y_shape: Shape | None = None, output_shape: Shape | None = None) -> Loss | None:
    """The loss for a name, a class, a config, a function or an object; None stays None.

    >>> get("mse")
    MeanSquaredError()

    Args:
        y_shape, output_shape: with the batch axis; they decide which loss "crossentropy" is.
    """
    return _as_loss(registry.get(identifier), y_shape, output_shape)


serialize = registry.serialize


@user_facing
def deserialize(name: str | Config, custom_objects: Config | None = None) -> Loss | None:
    """The loss that `serialize` described; `custom_objects` says what the user's own names stand for."""
    with known(custom_objects):
        return _as_loss(registry.get(name))


def _as_loss(found: object, y_shape: Shape | None = None, output_shape: Shape | None = None) -> Loss | None:
    if isinstance(found, Crossentropy) and y_shape is not None and output_shape is not None:
        return fitting(found, y_shape, output_shape)
    if found is None or isinstance(found, Loss):
        return found
    if isinstance(found, Configured):
        raise ArgumentError(f"expected a loss, got {found!r}.")
    if str(getattr(found, "__module__", "")).startswith(__name__):
        return registry.get(getattr(found, "__name__", ""))  # type: ignore[no-any-return]
    return LossFunction(function(found))


public(__name__, __all__)
