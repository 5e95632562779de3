"""Metrics: numbers reported about a model, computed over all batches of an epoch."""

from __future__ import annotations

from lamina import losses
from lamina._arrays.shapes import Shape
from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public
from lamina._messages.spelling import name_of
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Config
from lamina._settings.custom_objects import known
from lamina._settings.settings import Configured
from lamina.errors import ArgumentError
from lamina.losses.crossentropies import kind_of
from lamina.losses.loss import function, reads_logits
from lamina.losses.loss import registry as loss_registry
from lamina.metrics.accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from lamina.metrics.metric import Metric, registry
from lamina.metrics.reduction import Mean, MeanMetricWrapper, Sum

if FOR_TYPES:
    from lamina.losses import (
        binary_crossentropy,
        binary_focal_crossentropy,
        categorical_crossentropy,
        categorical_focal_crossentropy,
        categorical_hinge,
        hinge,
        huber,
        kl_divergence,
        log_cosh,
        mean_absolute_error,
        mean_absolute_percentage_error,
        mean_squared_error,
        mean_squared_logarithmic_error,
        poisson,
        sparse_categorical_crossentropy,
        squared_hinge,
    )
    from lamina.metrics.correlations import (
        ConcordanceCorrelation,
        CosineSimilarity,
        PearsonCorrelation,
        concordance_correlation,
        pearson_correlation,
    )
    from lamina.metrics.counts import (
        FalseNegatives,
        FalsePositives,
        Precision,
        Recall,
        TrueNegatives,
        TruePositives,
    )
    from lamina.metrics.mean_losses import (
        BinaryCrossentropy,
        CategoricalCrossentropy,
        CategoricalHinge,
        Hinge,
        KLDivergence,
        LogCoshError,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredError,
        MeanSquaredLogarithmicError,
        Poisson,
        RootMeanSquaredError,
        SparseCategoricalCrossentropy,
        SquaredHinge,
    )
    from lamina.metrics.overlaps import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
    from lamina.metrics.scores import F1Score, FBetaScore, R2Score
    from lamina.metrics.trade_offs import (
        AUC,
        PrecisionAtRecall,
        RecallAtPrecision,
        SensitivityAtSpecificity,
        SpecificityAtSensitivity,
    )

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy",
    "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity", "F1Score",
    "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU", "KLDivergence", "LogCoshError", "Mean",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU", "MeanMetricWrapper", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Metric", "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson",
    "Precision", "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "RootMeanSquaredError",
    "SensitivityAtSpecificity", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge", "Sum", "TopKCategoricalAccuracy",
    "TrueNegatives", "TruePositives", "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_accuracy", "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge",
    "concordance_correlation", "deserialize", "get", "hinge", "huber", "kl_divergence", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error",
    "pearson_correlation", "poisson", "serialize", "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy", "squared_hinge", "top_k_categorical_accuracy",
]  # fmt: skip


@user_facing
def get(
    identifier: object,
    *,
    loss: losses.Loss | None = None,
    y_shape: Shape | None = None,
    output_shape: Shape | None = None,
) -> Metric | None:
    """The metric for a name, a class, a config, a function or an object; None gives None.

    >>> get("accuracy", y_shape=(None,), output_shape=(None, 10))
    SparseCategoricalAccuracy(name='accuracy')

    Args:
        loss: the model's loss. If it takes logits, a metric given by name takes logits too.
        y_shape, output_shape: the shapes with the batch axis; they choose the accuracy for the name "accuracy".
    """
    if isinstance(identifier, str):
        return _named(identifier, reads_logits(loss), y_shape, output_shape)
    return _as_metric(registry.get(identifier))


serialize = registry.serialize


@user_facing
def deserialize(config: str | Config, custom_objects: Config | None = None) -> Metric | None:
    """Returns the metric that `serialize` described; `custom_objects` maps the names of custom objects to them."""
    with known(custom_objects):
        return _as_metric(registry.get(config))


def _named(name: str, from_logits: bool, y_shape: Shape | None, output_shape: Shape | None) -> Metric:
    """The metric for a name. As in Keras, this is also its name in the logs."""
    if name.lower() in ("accuracy", "acc") and y_shape is not None and output_shape is not None:
        kind = registry.find(f"{kind_of(y_shape, output_shape)}_accuracy")
    elif registry.built_in(name) is None and loss_registry.built_in(name) is not None:
        kind = loss_registry.find(name)
    else:
        kind = registry.find(name)
    settings: dict[str, object] = {"from_logits": True} if from_logits and "from_logits" in kind._lamina_fields else {}
    if issubclass(kind, losses.Loss):
        return MeanMetricWrapper(kind(reduction="none", **settings), name=name)
    if from_logits:
        from lamina.metrics.counts import ConfusionCount, HitRate

        if kind is BinaryAccuracy:
            settings = {"threshold": 0.0}
        elif issubclass(kind, (ConfusionCount, HitRate)):
            settings = {"thresholds": 0.0}
    return kind(name=name, **settings)  # type: ignore[no-any-return]


def _as_metric(found: object) -> Metric | None:
    if found is None or isinstance(found, Metric):
        return found
    if isinstance(found, Configured) and not isinstance(found, losses.Loss):
        raise ArgumentError(f"expected a metric, got {found!r}.")
    return MeanMetricWrapper(function(found), name=name_of(found))


public(__name__, __all__)
