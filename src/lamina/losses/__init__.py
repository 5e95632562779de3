"""Losses: each measures how far the predictions are from the targets, as one number that training minimizes.

Each loss exists as a function of `(y_true, y_pred)`, which returns one value per sample, and as a class. The class
holds the settings, multiplies the values by the weights and reduces them. At points without a derivative, the gradient
is the one that Keras has on JAX.
"""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Config, Function
from lamina._settings.custom_objects import known
from lamina.losses.crossentropies import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Crossentropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from lamina.losses.lookup import loss_of
from lamina.losses.loss import Loss, LossFunction, OfFunction, function, registry
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

if FOR_TYPES:
    from lamina.losses.circle import Circle, circle
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
    from lamina.losses.overlaps import Dice, Tversky, dice, tversky

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
def get(identifier: object) -> Loss | Function | None:
    """The loss for a name, a class or a config. A function, an object and None are returned unchanged.

    The name of a function, or its short form, gives the function; the name of a class gives an object.

    >>> get("mse").__name__, get("MeanSquaredError")
    ('mean_squared_error', MeanSquaredError())
    """
    if isinstance(identifier, str):
        found = registry.find(identifier)
        if isinstance(found, type) and issubclass(found, OfFunction) and identifier != found.__name__:
            return found._lamina_function
    if callable(identifier) and not isinstance(identifier, (type, Loss)):
        return function(identifier)
    loss = loss_of(identifier)
    return loss.fn if isinstance(loss, LossFunction) and isinstance(identifier, str) else loss


serialize = registry.serialize


@user_facing
def deserialize(name: str | Config, custom_objects: Config | None = None) -> Loss | None:
    """Returns the loss that `serialize` described; `custom_objects` maps the names of custom objects to them."""
    with known(custom_objects):
        return loss_of(name)


public(__name__, __all__)
