"""One rate at the threshold where another rate is high enough, and the area under the curve of two rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import count, flag, number, optional, positive, rate, word
from lamina._settings.settings import Converted, setting
from lamina.errors import ArgumentError, LabelError
from lamina.losses.loss import ratio
from lamina.metrics.counts import Counting, Counts, counts, even_thresholds, prepared, threshold_values
from lamina.metrics.exact import Scores
from lamina.metrics.metric import Precision as DType
from lamina.metrics.metric import registry, state_dtype


class Rates:
    """The rates computed from the four counts, one for each threshold; 0 instead of a division by 0."""

    def __init__(self, found: dict[str, Array]) -> None:
        now = Counts(**found)
        self.recall = self.sensitivity = ratio(now.true_positives, now.true_positives + now.false_negatives)
        self.precision = ratio(now.true_positives, now.true_positives + now.false_positives)
        self.specificity = ratio(now.true_negatives, now.true_negatives + now.false_positives)
        self.false_alarms = ratio(now.false_positives, now.false_positives + now.true_negatives)


class RateAtRate(Counting):
    """The largest value of one rate over the thresholds where another rate is at least the given value."""

    num_thresholds = 200
    class_id = cast(int | None, None)

    _direction: ClassVar[str | None] = "up"
    _lamina_asked: ClassVar[str]
    """The rate that must be high enough; also the name of the setting."""
    _lamina_wanted: ClassVar[str]
    """The rate that is the result."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.thresholds = [0.5] if self.num_thresholds == 1 else even_thresholds(self.num_thresholds)
        self._lamina_keep(Counts._fields, (self.num_thresholds,))

    def result(self) -> Array:
        rates = Rates({name: jnp.asarray(total) for name, total in self._lamina_totals().items()})
        asked, wanted = getattr(rates, self._lamina_asked), getattr(rates, self._lamina_wanted)
        return jnp.max(jnp.where(asked >= getattr(self, self._lamina_asked), wanted, 0))


@registry.add()
class SensitivityAtSpecificity(RateAtRate):
    """The best sensitivity, `TP / (TP + FN)`, at a threshold where the specificity is at least `specificity`.

    >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
    Array(0.5, dtype=float32)

    Args:
        specificity: the least specificity, from 0 to 1.
        num_thresholds: the number of thresholds from 0 to 1 that are tried.
        class_id: the column of (batch, classes) that counts. By default all count.
    """

    specificity: float = setting(rate)
    num_thresholds: int = setting(positive, default=200)
    class_id: int | None = setting(optional(count), default=None)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: DType = setting(state_dtype, default=None, alias="dtype")

    _lamina_asked, _lamina_wanted = "specificity", "sensitivity"


@registry.add()
class SpecificityAtSensitivity(RateAtRate):
    """The best specificity, `TN / (TN + FP)`, at a threshold where the sensitivity is at least `sensitivity`.

    >>> SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]).round(4)
    Array(0.6667, dtype=float32)

    Args:
        sensitivity: the least sensitivity, from 0 to 1.
        num_thresholds: the number of thresholds from 0 to 1 that are tried.
        class_id: the column of (batch, classes) that counts. By default all count.
    """

    sensitivity: float = setting(rate)
    num_thresholds: int = setting(positive, default=200)
    class_id: int | None = setting(optional(count), default=None)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: DType = setting(state_dtype, default=None, alias="dtype")

    _lamina_asked, _lamina_wanted = "sensitivity", "specificity"


@registry.add()
class PrecisionAtRecall(RateAtRate):
    """The best precision, `TP / (TP + FP)`, at a threshold where the recall is at least `recall`.

    >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
    Array(0.5, dtype=float32)

    Args:
        recall: the least recall, from 0 to 1.
        num_thresholds: the number of thresholds from 0 to 1 that are tried.
        class_id: the column of (batch, classes) that counts. By default all count.
    """

    recall: float = setting(rate)
    num_thresholds: int = setting(positive, default=200)
    class_id: int | None = setting(optional(count), default=None)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: DType = setting(state_dtype, default=None, alias="dtype")

    _lamina_asked, _lamina_wanted = "recall", "precision"


@registry.add()
class RecallAtPrecision(RateAtRate):
    """The best recall, `TP / (TP + FN)`, at a threshold where the precision is at least `precision`.

    >>> RecallAtPrecision(0.8)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    Array(0.5, dtype=float32)

    Args:
        precision: the least precision, from 0 to 1.
        num_thresholds: the number of thresholds from 0 to 1 that are tried.
        class_id: the column of (batch, classes) that counts. By default all count.
    """

    precision: float = setting(rate)
    num_thresholds: int = setting(positive, default=200)
    class_id: int | None = setting(optional(count), default=None)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: DType = setting(state_dtype, default=None, alias="dtype")

    _lamina_asked, _lamina_wanted = "precision", "recall"


def _several(value: object) -> int:
    """A whole number of at least 2."""
    if positive(value) < 2:
        raise ArgumentError(f"expected a whole number of at least 2, got {value}.")
    return positive(value)


def _numbers(value: object) -> list[float] | None:
    """None, or a list of numbers."""
    return None if value is None else [number(each) for each in np.asarray(value).tolist()]


def _curve(value: object) -> str:
    return word("roc", "pr", "prgain")(value).upper()


Curve = Literal["ROC", "PR", "PRGAIN"]
Summation = Literal["interpolation", "minoring", "majoring"]


@registry.add()
class AUC(Scores):
    """The area under the curve of two rates as the threshold goes from 1 to 0: 1 is best.

    >>> AUC(num_thresholds=3)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    Array(0.75, dtype=float32)

    The curve goes through `num_thresholds` points, so the area is an approximation. `exact=True` uses every score
    instead of thresholds, and gives the result of scikit-learn: `roc_auc_score` for "ROC", `average_precision_score`
    for "PR".

    >>> AUC(exact=True)([0, 0, 1, 1], [0.5, 0.501, 0.502, 0.5005])
    Array(0.75, dtype=float32)

    `exact=True` keeps all scores until the epoch ends, with 12 bytes for each, in an array whose length is a power of
    4: up to 48 MiB for a million scores. The logs of an epoch and the result of `evaluate` have the value; the logs of
    a batch do not.

    Source: Davis and Goadrich, The Relationship Between Precision-Recall and ROC Curves, 2006, for "PR"; Flach and
    Kull, Precision-Recall-Gain Curves, 2015, for "PRGAIN".

    Args:
        num_thresholds: the number of thresholds from 0 to 1; None if `thresholds` are given.
        curve: "ROC" is recall over the false positive rate, "PR" precision over recall, "PRGAIN" their gains.
        summation_method: "interpolation" uses the midpoint of two points, "minoring" the lower one, "majoring" the
            higher one; with "PR", "interpolation" follows Davis and Goadrich.
        thresholds: numbers that replace the evenly spaced thresholds; 0 and 1 are added.
        multi_label: whether each column of (batch, labels) has its own area; the result is their mean. If False, all
            columns together have one area.
        num_labels: the number of columns, with `multi_label`. By default the data gives it.
        label_weights: the weight of each column.
        from_logits: whether the predictions are logits, to which a sigmoid is applied, or probabilities.
        exact: whether to keep every score instead of counts at thresholds. Keras does not have this argument.
    """

    num_thresholds: Converted[int | None, int] = setting(optional(_several), default=200)
    curve: Curve = setting(_curve, default="ROC")
    summation_method: Summation = setting(word("interpolation", "minoring", "majoring"), default="interpolation")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: DType = setting(state_dtype, default=None, alias="dtype")
    _lamina_thresholds: Sequence[float] | None = setting(threshold_values, default=None, alias="thresholds")
    multi_label: bool = setting(flag, default=False)
    num_labels: int | None = setting(optional(positive), default=None)
    label_weights: Sequence[float] | None = setting(_numbers, default=None)
    from_logits: bool = setting(flag, default=False)
    exact: bool = setting(flag, default=False, kw_only=True)

    _direction: ClassVar[str | None] = "up"
    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"thresholds", "exact"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exact and (vars(self._lamina)["thresholds"] or self.summation_method != "interpolation"):
            raise ArgumentError("AUC(exact=True) takes every score: leave out thresholds and summation_method.")
        if self.exact and self.curve == "PRGAIN":
            raise ArgumentError("AUC(exact=True) is for curve='ROC' and curve='PR'.")
        given, beyond = vars(self._lamina)["thresholds"], dtypes.epsilon()
        if given is None and vars(self)["num_thresholds"] is None:
            raise ArgumentError("AUC(num_thresholds=None) needs the thresholds: AUC(thresholds=[0.25, 0.5, 0.75]).")
        if given is None:
            self.thresholds = even_thresholds(self.num_thresholds, beyond)
        else:
            self.thresholds = [-beyond, *sorted(given), 1.0 + beyond]
            self.num_thresholds = len(self.thresholds)
        if self.num_labels and not self.multi_label:
            raise ArgumentError("AUC(num_labels=...) is for multi_label=True, where each label has its own area.")
        if self.num_labels or not self.multi_label:
            self._lamina_build((None, self.num_labels))

    def _lamina_build(self, output_shape: Shape) -> None:
        if self._lamina.weights:
            return
        if self.multi_label and len(output_shape) != 2:
            raise LabelError(f"AUC(multi_label=True) takes predictions (batch, labels), and they are {output_shape}.")
        labels = [size or 1 for size in output_shape[1:]] if self.multi_label else []
        if self.exact:
            self._lamina_keep_scores(labels)
            return
        self._lamina_keep(Counts._fields, (self.num_thresholds, *labels))

    @user_facing
    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        y, p, weight = prepared(y_true, y_pred, sample_weight, self.dtype)
        self._lamina_build(p.shape)
        p = jax.nn.sigmoid(p) if self.from_logits else p
        if not self.multi_label:
            weight = weight if self.label_weights is None else weight * jnp.asarray(self.label_weights, weight.dtype)
            y, p, weight = (each.reshape(-1, 1) for each in (y, p, weight))
        if self.exact:
            self._lamina_append(*(each if self.multi_label else each[:, 0] for each in (y, p, weight)))
            return
        found = counts(y, p, weight, self.thresholds)
        for name, total in self._lamina_totals().items():
            count = getattr(found, name)
            total.assign_add(count if self.multi_label else count[:, 0])

    def result(self) -> Array:
        if self.exact:
            areas = self._lamina_area(self.curve)
        else:
            now = Counts(**{name: jnp.asarray(total) for name, total in self._lamina_totals().items()})
            areas = jnp.sum(_strips(now, self.curve, self.summation_method), axis=0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return jnp.mean(areas)
        weights = jnp.asarray(self.label_weights, areas.dtype)
        return ratio(jnp.sum(areas * weights), jnp.sum(weights))


def _strips(now: Counts, curve: str, summation: str) -> Array:
    """The areas of the strips between neighbouring thresholds: (thresholds - 1, ...)."""
    rates = Rates(now._asdict())
    if curve == "PR" and summation == "interpolation":
        return _interpolated(now)
    if curve == "ROC":
        x, y = rates.false_alarms, rates.recall
    elif curve == "PR":
        x, y = rates.recall, rates.precision
    else:
        odds = ratio(now.true_positives + now.false_negatives, now.true_negatives + now.false_positives)
        none = now.true_positives == 0
        x = jnp.where(none, 0.0, 1.0 - odds * ratio(now.false_negatives, now.true_positives))
        y = jnp.where(none, 1.0, 1.0 - odds * ratio(now.false_positives, now.true_positives))
        x = jnp.maximum(x, 0.0)
    low, high = jnp.minimum(y[:-1], y[1:]), jnp.maximum(y[:-1], y[1:])
    heights = {"interpolation": (low + high) / 2.0, "minoring": low, "majoring": high}
    return (x[:-1] - x[1:]) * heights[summation]


def _interpolated(now: Counts) -> Array:
    """Strips under precision over recall; in each, true positives grow in proportion to all positive predictions."""
    hits, yes = now.true_positives, now.true_positives + now.false_positives
    more_hits, more_yes = hits[:-1] - hits[1:], yes[:-1] - yes[1:]
    slope = ratio(more_hits, jnp.maximum(more_yes, 0))
    start = hits[1:] - slope * yes[1:]
    growth = jnp.where((yes[:-1] > 0) & (yes[1:] > 0), ratio(yes[:-1], jnp.maximum(yes[1:], 0)), 1.0)
    return ratio(slope * (more_hits + start * jnp.log(growth)), jnp.maximum(hits[1:] + now.false_negatives[1:], 0))
