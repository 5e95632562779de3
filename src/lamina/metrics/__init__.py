"""Metrics: what is reported of a model, over all batches of an epoch."""

from __future__ import annotations

from lamina import losses
from lamina._base.arguments import Config
from lamina._base.custom import known
from lamina._base.frames import user_facing
from lamina._base.public import public
from lamina._base.settings import Configured
from lamina._base.shapes import Shape
from lamina.errors import ArgumentError
from lamina.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from lamina.losses.crossentropies import kind_of
from lamina.losses.loss import function, reads_logits
from lamina.losses.loss import registry as loss_registry
from lamina.metrics.accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
)
from lamina.metrics.mean_losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
)
from lamina.metrics.metric import Metric, registry
from lamina.metrics.reduction import Mean, MeanMetricWrapper, Sum

__all__ = [
    "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy", "Mean",
    "MeanAbsoluteError", "MeanMetricWrapper", "MeanSquaredError", "Metric", "RootMeanSquaredError",
    "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "Sum", "binary_accuracy", "binary_crossentropy",
    "categorical_accuracy", "categorical_crossentropy", "deserialize", "get", "mean_absolute_error",
    "mean_squared_error", "serialize", "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
]  # fmt: skip


@user_facing
def get(
    identifier: object,
    *,
    loss: losses.Loss | None = None,
    y_shape: Shape | None = None,
    output_shape: Shape | None = None,
) -> Metric | None:
    """The metric for a name, a class, a config, a function or an object; None stays None.

    >>> get("accuracy", y_shape=(None,), output_shape=(None, 10))
    SparseCategoricalAccuracy(name='accuracy')

    Args:
        loss: the model's loss. If it takes logits, a metric that is given by name takes them too.
        y_shape, output_shape: with the batch axis; they decide which accuracy "accuracy" is.
    """
    if isinstance(identifier, str):
        return _named(identifier, reads_logits(loss), y_shape, output_shape)
    return _as_metric(registry.get(identifier))


serialize = registry.serialize


@user_facing
def deserialize(config: str | Config, custom_objects: Config | None = None) -> Metric | None:
    """The metric that `serialize` described; `custom_objects` says what the user's own names stand for."""
    with known(custom_objects):
        return _as_metric(registry.get(config))


def _named(name: str, from_logits: bool, y_shape: Shape | None, output_shape: Shape | None) -> Metric:
    """The metric for a name, which is its name in the logs too, as in Keras."""
    if name.lower() in ("accuracy", "acc") and y_shape is not None and output_shape is not None:
        kind = registry.find(f"{kind_of(y_shape, output_shape)}_accuracy")
    elif name not in registry.named and name in loss_registry.named:
        kind = loss_registry.find(name)
    else:
        kind = registry.find(name)
    settings: dict[str, object] = {"from_logits": True} if from_logits and "from_logits" in kind._lamina_fields else {}
    if issubclass(kind, losses.Loss):
        return MeanMetricWrapper(kind(reduction="none", **settings), name=name)
    if kind is BinaryAccuracy and from_logits:
        settings = {"threshold": 0.0}
    return kind(name=name, **settings)  # type: ignore[no-any-return]


def _as_metric(found: object) -> Metric | None:
    if found is None or isinstance(found, Metric):
        return found
    if isinstance(found, Configured) and not isinstance(found, losses.Loss):
        raise ArgumentError(f"expected a metric, got {found!r}.")
    return MeanMetricWrapper(function(found), name=getattr(found, "name", None) or getattr(found, "__name__", None))


public(__name__, __all__)
