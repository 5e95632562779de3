"""Scores of columns: F-scores of classes, and R²."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import count, number, one_of
from lamina._settings.settings import setting
from lamina.errors import ArgumentError, LabelError
from lamina.losses.loss import matched, spread
from lamina.metrics.metric import BuiltIn, Precision, registry, state_dtype


class OfColumns(BuiltIn):
    """A metric of predictions (batch, n). Its weights are made for n columns at the first batch."""

    _direction: ClassVar[str | None] = "up"

    def _lamina_build(self, output_shape: Shape) -> None:
        if len(output_shape) != 2 or output_shape[1] is None:
            raise LabelError(f"{self.name} takes predictions of shape (batch, n), and the model gives {output_shape}.")
        if not self._lamina.weights:
            self._lamina_make(output_shape[1])
        if (made := self._lamina.weights[-1].shape) not in ((), (output_shape[1],)):
            raise LabelError(f"{self.name} was made for {made[0]} columns, and the model gives {output_shape[1]}.")

    def _lamina_make(self, columns: int) -> None:
        """Add the weights."""
        raise NotImplementedError

    def _lamina_columns(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Array, Array, Array]:
        """Targets, predictions and weights, each (batch, n)."""
        y, p = matched(jnp.asarray(y_true, self.dtype), jnp.asarray(y_pred, self.dtype))
        if y.ndim == 1:
            y, p = y[:, None], p[:, None]
        self._lamina_build(p.shape)
        return y, p, spread(y, sample_weight, self.dtype)


def _share(value: object) -> float | None:
    """None, or a float above 0 and at most 1."""
    if value is not None and not _above_zero(value) <= 1:
        raise ArgumentError(f"expected a number above 0 and at most 1, or None, got {value}.")
    return None if value is None else number(value)


def _above_zero(value: object) -> float:
    """A float above 0. An integer is refused, as in Keras, since it is usually meant for another argument."""
    if not number(value) > 0:
        raise ArgumentError(f"expected a number above 0, got {value}.")
    if isinstance(value, int):
        raise ArgumentError(f"expected a float, such as {float(value)}, got {value}.")
    return float(number(value))


Average = Literal["micro", "macro", "weighted"] | None


@registry.add("fbeta_score")
class FBetaScore(OfColumns):
    """`(1 + beta**2) * precision * recall / (beta**2 * precision + recall)` of each class, (batch, classes).

    >>> FBetaScore(beta=2.0, threshold=0.5)([[1, 1], [1, 0]], [[0.9, 0.2], [0.2, 0.8]]).round(4)
    Array([0.5556, 0.    ], dtype=float32)

    Args:
        average: None gives one number for each class. "micro" counts all classes together, "macro" is the mean over the
            classes, and "weighted" is their mean, weighted by the number of targets of each class.
        beta: how many times as important recall is as precision.
        threshold: a prediction above it is positive. With None the largest prediction of each row is positive.
    """

    average: Average = setting(one_of(None, "micro", "macro", "weighted"), default=None)
    beta: float = setting(_above_zero, default=1.0)
    threshold: float | None = setting(_share, default=None)
    _lamina_name: Name = setting(default="fbeta_score", alias="name")
    _lamina_dtype: Precision = setting(state_dtype, default=None, alias="dtype")

    def _lamina_make(self, columns: int) -> None:
        shape = () if self.average == "micro" else (columns,)
        self.true_positives = self.add_weight(shape, name="true_positives")
        self.false_positives = self.add_weight(shape, name="false_positives")
        self.false_negatives = self.add_weight(shape, name="false_negatives")
        self.intermediate_weights = self.add_weight(shape, name="intermediate_weights")

    @user_facing
    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        y, p, weight = self._lamina_columns(y_true, y_pred, sample_weight)
        if self.threshold is None:
            said = (p >= jnp.max(p, axis=-1, keepdims=True)) & (jnp.abs(p) > 1e-9)
        else:
            said = p > self.threshold
        yes, axis = said.astype(y.dtype), None if self.average == "micro" else 0
        for total, values in (
            (self.true_positives, yes * y),
            (self.false_positives, yes * (1 - y)),
            (self.false_negatives, (1 - yes) * y),
            (self.intermediate_weights, y),
        ):
            total.assign_add(jnp.sum(values * weight, axis=axis))

    def result(self) -> Array:
        epsilon = dtypes.epsilon()
        hits, added, missed, targets = (
            jnp.asarray(each)
            for each in (self.true_positives, self.false_positives, self.false_negatives, self.intermediate_weights)
        )
        precision, recall = hits / (hits + added + epsilon), hits / (hits + missed + epsilon)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + epsilon) * (1 + square)
        if self.average == "weighted":
            return jnp.sum(score * (targets / (jnp.sum(targets) + epsilon)))
        return score if self.average is None else jnp.mean(score)


@registry.add()
class F1Score(FBetaScore):
    """`2 * precision * recall / (precision + recall)` of each class, (batch, classes).

    >>> F1Score(threshold=0.5)([[1, 1], [1, 0]], [[0.9, 0.2], [0.2, 0.8]]).round(4)
    Array([0.6667, 0.    ], dtype=float32)

    Args:
        average: None gives one number for each class. "micro" counts all classes together, "macro" is the mean over the
            classes, and "weighted" is their mean, weighted by the number of targets of each class.
        threshold: a prediction above it is positive. With None the largest prediction of each row is positive.
    """

    beta: float = setting(init=False, default=1.0)
    _lamina_name: Name = setting(default="f1_score", alias="name")


@registry.add()
class R2Score(OfColumns):
    """R²: 1 minus the fraction of the targets' variance that the predictions, (batch, n), do not explain; 1 is best.

    >>> R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]]).round(4)
    Array(0.5714, dtype=float32)

    `1 - sum((y_true - y_pred)**2) / sum((y_true - mean(y_true))**2)` of each column; 0 if all its targets are equal.

    Args:
        class_aggregation: "uniform_average" is the mean over the columns. "variance_weighted_average" weights the mean
            by the variances of the columns. None gives one number for each column.
        num_regressors: the number of inputs of the model; if it is not 0, the score is adjusted for it.
    """

    class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = setting(
        one_of(None, "uniform_average", "variance_weighted_average"), default="uniform_average"
    )
    num_regressors: int = setting(count, default=0)
    _lamina_name: Name = setting(default="r2_score", alias="name")
    _lamina_dtype: Precision = setting(state_dtype, default=None, alias="dtype")

    _lamina_mixes_rows: ClassVar[bool] = True
    """Whether padding rows of a batch would be counted, since `num_samples` counts rows, whatever their weights are."""

    def _lamina_make(self, columns: int) -> None:
        self.num_samples = self.add_weight((), name="num_samples")
        self.squared_sum = self.add_weight((columns,), name="squared_sum")
        self.sum = self.add_weight((columns,), name="sum")
        self.total_mse = self.add_weight((columns,), name="residual")
        self.count = self.add_weight((columns,), name="count")

    @user_facing
    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        y, p, weight = self._lamina_columns(y_true, y_pred, sample_weight)
        self.num_samples.assign_add(jnp.asarray(y.size, self.dtype))
        for total, values in (
            (self.squared_sum, y * y),
            (self.sum, y),
            (self.total_mse, (y - p) ** 2),
            (self.count, jnp.ones_like(y)),
        ):
            total.assign_add(jnp.sum(values * weight, axis=0))

    def result(self) -> Array:
        squares, total, left, rows = (
            jnp.asarray(each) for each in (self.squared_sum, self.sum, self.total_mse, self.count)
        )
        spread = squares - total * (total / rows)
        score = 1 - left / spread
        score = jnp.where(jnp.isinf(score), 0.0, score)
        if self.class_aggregation == "uniform_average":
            score = jnp.mean(score)
        elif self.class_aggregation == "variance_weighted_average":
            score = jnp.sum(spread * score) / jnp.sum(spread)
        if not self.num_regressors:
            return score
        samples = jnp.asarray(self.num_samples)
        free = samples - self.num_regressors - 1
        return jnp.where(free > 0, 1 - (1 - score) * (samples - 1) / jnp.where(free > 0, free, 1), score)
