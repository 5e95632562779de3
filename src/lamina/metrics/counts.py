"""Counts of correct and wrong predictions at thresholds: the four counts, precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina._process.memory import require
from lamina._settings.arguments import Name
from lamina._settings.converters import count, optional, positive, rate
from lamina._settings.settings import setting
from lamina._weights.weight import Weight
from lamina.errors import LabelError
from lamina.losses.loss import matched, ratio, spread
from lamina.metrics.metric import BuiltIn, registry, state_dtype
from lamina.metrics.metric import Precision as DType

Thresholds = float | Sequence[float] | None

NOT_AMONG = -1e10
"""The value that replaces a prediction that is not among the `top_k` largest."""


class Counts(NamedTuple):
    """Weighted counts of predictions, one for each threshold: (thresholds,), or (thresholds, labels)."""

    true_positives: Array
    false_positives: Array
    true_negatives: Array
    false_negatives: Array


def prepared(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None,
    dtype: str,
    top_k: int | None = None,
    class_id: int | None = None,
) -> tuple[Array, Array, Array]:
    """Targets, predictions and weights of equal shape, for the class `class_id` alone if it is given."""
    y, p = matched(jnp.asarray(y_true, dtype), jnp.asarray(y_pred, dtype))
    weight = spread(y, sample_weight, dtype)
    if top_k is not None:
        _, best = jax.lax.top_k(p, min(top_k, p.shape[-1]))
        p = jnp.where(jnp.any(best[..., None] == jnp.arange(p.shape[-1]), axis=-2), p, NOT_AMONG)
    if class_id is not None:
        if p.ndim < 2 or class_id >= p.shape[-1]:
            raise LabelError(f"class_id={class_id} needs predictions (batch, classes), got {p.shape}.")
        y, p, weight = (each[..., class_id] for each in (y, p, weight))
    return y, p, weight


def counts(y: Array, p: Array, weight: Array, thresholds: Sequence[float]) -> Counts:
    """The counts of one batch, all (rows, labels); a prediction above a threshold is positive."""
    right, wrong = (weight * (y != 0), weight * (y == 0))
    size, columns = len(thresholds), p.shape[1]
    if is_even(thresholds):  # counts the thresholds below each prediction, with Keras's arithmetic
        above = jnp.ceil(jnp.clip(p, 0.0, 1.0) * (size - 1)).astype("int32")
        above = jnp.maximum(above, 1) if thresholds[0] < 0 else above
        back = np.arange(size)
    else:
        order = np.argsort(np.asarray(thresholds), kind="stable")
        above = jnp.searchsorted(jnp.asarray(np.asarray(thresholds)[order], p.dtype), p, side="left")
        back = np.argsort(order)
    place = above + (size + 1) * jnp.arange(columns)
    both = jnp.stack([right.ravel(), wrong.ravel()], axis=-1)
    in_bucket = jax.ops.segment_sum(both, place.ravel(), num_segments=(size + 1) * columns)
    in_bucket = in_bucket.reshape(columns, size + 1, 2)
    at_least = jnp.cumsum(in_bucket[:, ::-1], axis=1)[:, ::-1]  # (labels, buckets, 2)
    yes = at_least[:, 1:][:, back].transpose(2, 1, 0)  # (2, thresholds, labels)
    no = jnp.cumsum(in_bucket, axis=1)[:, :-1][:, back].transpose(2, 1, 0)
    return Counts(yes[0], yes[1], no[1], no[0])


def is_even(thresholds: Sequence[float]) -> bool:
    """Whether there are at least three thresholds, at equal distances from 0 to 1."""
    if len(thresholds) < 3:
        return False
    return bool(np.allclose(thresholds, np.linspace(0, 1, len(thresholds)), atol=dtypes.epsilon()))


def even_thresholds(size: int, beyond: float = 0.0) -> list[float]:
    """`size` thresholds from 0 to 1, at equal distances; the first and the last lie `beyond` the ends."""
    require(64 * size, f"{size:,} thresholds need")
    return [0.0 - beyond, *((i + 1) / (size - 1) for i in range(size - 2)), 1.0 + beyond]


def threshold_values(value: object) -> Thresholds:
    """None, a number from 0 to 1, or a list of them."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [rate(each) for each in value]
    return None if value is None else rate(value)


class Counting(BuiltIn):
    """A metric that accumulates the counts at its `thresholds`, in weights with the names of `Counts`."""

    thresholds = cast(list[float], None)

    def _lamina_keep(self, names: Sequence[str], shape: Sequence[int]) -> None:
        for name in names:
            setattr(self, name, self.add_weight(shape, name=name))

    def _lamina_totals(self) -> dict[str, Weight]:
        """The weights, by the names of the counts."""
        return {name: getattr(self, name) for name in Counts._fields if name in vars(self)}

    @user_facing
    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        of_class = {name: getattr(self, name) for name in ("top_k", "class_id") if name in self._lamina_fields}
        y, p, weight = prepared(y_true, y_pred, sample_weight, self.dtype, **of_class)
        y, p, weight = (each.reshape(-1, 1) for each in (y, p, weight))
        found = counts(y, p, weight, self.thresholds)
        for name, total in self._lamina_totals().items():
            total.assign_add(getattr(found, name)[:, 0])

    def _lamina_of_each(self, values: Array) -> Array:
        """One number for one threshold, or one number for each threshold."""
        return values[0] if len(self.thresholds) == 1 else values


class ConfusionCount(Counting):
    """One of the four counts.

    Args:
        thresholds: a prediction above it is positive. One number from 0 to 1, or several for one count each; None: 0.5.
    """

    _lamina_thresholds: Thresholds = setting(threshold_values, default=None, alias="thresholds")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: DType = setting(state_dtype, default=None, alias="dtype")

    _lamina_counts: ClassVar[str]
    """The name of the count."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.thresholds = levels(self, 0.5)
        self.accumulator = self.add_weight((len(self.thresholds),), name="accumulator")

    def _lamina_totals(self) -> dict[str, Weight]:
        return {self._lamina_counts: self.accumulator}

    def result(self) -> Array:
        return self._lamina_of_each(jnp.asarray(self.accumulator))


@registry.add()
class TruePositives(ConfusionCount):
    """The weighted number of positive predictions whose target is not 0.

    >>> TruePositives()([0, 1, 1], [0.9, 0.9, 0.2])
    Array(1., dtype=float32)
    """

    _lamina_counts = "true_positives"


@registry.add()
class FalsePositives(ConfusionCount):
    """The weighted number of positive predictions whose target is 0.

    >>> FalsePositives()([0, 1, 1], [0.9, 0.9, 0.2])
    Array(1., dtype=float32)
    """

    _lamina_counts = "false_positives"


@registry.add()
class TrueNegatives(ConfusionCount):
    """The weighted number of negative predictions whose target is 0.

    >>> TrueNegatives()([0, 1, 1], [0.9, 0.9, 0.2])
    Array(0., dtype=float32)
    """

    _lamina_counts = "true_negatives"


@registry.add()
class FalseNegatives(ConfusionCount):
    """The weighted number of negative predictions whose target is not 0.

    >>> FalseNegatives()([0, 1, 1], [0.9, 0.9, 0.2])
    Array(1., dtype=float32)
    """

    _lamina_counts = "false_negatives"


class HitRate(Counting):
    """The true positives, divided by the sum of the true positives and another count: higher is better."""

    _lamina_thresholds: Thresholds = setting(threshold_values, default=None, alias="thresholds")
    top_k: int | None = setting(optional(positive), default=None)
    class_id: int | None = setting(optional(count), default=None)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: DType = setting(state_dtype, default=None, alias="dtype")

    _direction: ClassVar[str | None] = "up"
    _lamina_beside: ClassVar[str]
    """The name of the other count."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.thresholds = levels(self, 0.5 if self.top_k is None else NOT_AMONG)
        self._lamina_keep(("true_positives", self._lamina_beside), (len(self.thresholds),))

    def result(self) -> Array:
        hits, others = (jnp.asarray(total) for total in self._lamina_totals().values())
        return self._lamina_of_each(ratio(hits, hits + others))


@registry.add()
class Precision(HitRate):
    """The fraction of positive predictions that are correct; 0 if there are no positive predictions.

    >>> Precision()([0, 1, 1, 1], [0.9, 0.9, 0.8, 0.2]).round(4)
    Array(0.6667, dtype=float32)

    Args:
        thresholds: a prediction above it is positive. One number from 0 to 1, or several for one result each. None is
            0.5; with `top_k`, None makes each of the largest predictions positive.
        top_k: only the `top_k` largest predictions of a row can be positive.
        class_id: the column of (batch, classes) that counts. By default all count.
    """

    _lamina_beside = "false_positives"


@registry.add()
class Recall(HitRate):
    """The fraction of the targets that are not 0 whose prediction is positive; 0 if there are no such targets.

    >>> Recall()([0, 1, 1, 1], [0.9, 0.9, 0.8, 0.2]).round(4)
    Array(0.6667, dtype=float32)

    Args:
        thresholds: a prediction above it is positive. One number from 0 to 1, or several for one result each. None is
            0.5; with `top_k`, None makes each of the largest predictions positive.
        top_k: only the `top_k` largest predictions of a row can be positive.
        class_id: the column of (batch, classes) that counts. By default all count.
    """

    _lamina_beside = "false_negatives"


def levels(metric: Any, default: float) -> list[float]:
    """The `thresholds` argument of a metric, as a list."""
    given = metric._lamina.thresholds
    return [default] if given is None else list(given) if isinstance(given, list) else [given]
