"""The rules for targets. Each rule checks one kind of mistake; the cheapest rules come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lamina import losses
from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina._messages.tracebacks import warn
from lamina.errors import LabelError
from lamina.losses import Loss


class Case(NamedTuple):
    """The facts for a rule: the loss, the targets and the shape of the model's output."""

    loss: Loss
    y: HostArray
    output: Shape

    @property
    def axis(self) -> int:
        """The axis of the classes in the output."""
        return int(getattr(self.loss, "axis", -1)) % len(self.output)

    @property
    def units(self) -> int | None:
        return self.output[self.axis]

    @property
    def without_classes(self) -> Shape:
        """The output's shape without the axis of the classes, which is the shape of y if y holds class numbers."""
        return self.output[: self.axis] + self.output[self.axis + 1 :]

    def error(self, problem: str, advice: str) -> LabelError:
        name = type(self.loss).__name__
        return LabelError(
            f"{problem}\nThe loss is {name}, y has shape {self.y.shape}, the model gives {self.output}.\n{advice}"
        )


def one_unit_per_class(case: Case) -> None:
    """A categorical loss needs more than one unit."""
    if case.units == 1:
        count = int(case.y.max()) + 1 if case.y.size == len(case.y) else case.y.shape[-1]
        raise case.error(
            "one unit cannot hold one probability for each class.",
            'For two classes: Dense(1, activation="sigmoid") and loss="binary_crossentropy".\n'
            f'For more: Dense({max(count, 2)}, activation="softmax") with this loss.',
        )


def not_one_hot(case: Case) -> None:
    """Class numbers are expected, not one-hot rows."""
    if case.units not in (None, 1) and _fits(case.y.shape, case.output):
        raise case.error(
            "y is one-hot, but this loss takes the number of each row's class.",
            'Use loss="categorical_crossentropy", or y.argmax(axis=-1).',
        )


def not_numbered(case: Case) -> None:
    """One-hot rows are expected, not class numbers."""
    if _fits(case.y.shape, case.without_classes) and not _fits(case.y.shape, case.output):
        raise case.error(
            "y holds the number of each row's class, but this loss takes one-hot rows.",
            f'Use loss="sparse_categorical_crossentropy", or keras.utils.to_categorical(y, {case.units}).',
        )


def one_number_per_row(case: Case) -> None:
    """Each row of class probabilities needs one class number."""
    if not _fits(case.y.shape, case.without_classes):
        advice = "Give one whole number for each row of classes."
        raise case.error("y does not have one number for each output.", _flatten(case) or advice)


def same_shape(case: Case) -> None:
    """Targets and output have the same shape."""
    y, output = case.y.shape, case.output
    if _fits(y, output):
        return
    if len(output) == 2 and len(y) <= 2:
        columns = y[1] if len(y) == 2 else 1
        problem = f"y has {columns} column{'s' * (columns != 1)}, the model has {output[1]}."
        raise case.error(
            problem, _one_hot_advice(case) or f"End the model with Dense({columns}), or give y {output[1]}."
        )
    raise case.error("y does not have the shape of the output.", _flatten(case) or "Each output needs a target.")


def whole_numbers(case: Case) -> None:
    """Class numbers are whole numbers."""
    if case.y.dtype.kind not in "iu" and (odd := ~np.isfinite(case.y) | (case.y != np.rint(case.y))).any():
        raise case.error(
            f"class labels are whole numbers, but {_first(case.y, odd)}.",
            'For a regression use loss="mse"; for probabilities loss="categorical_crossentropy".',
        )


def labels_in_range(case: Case) -> None:
    """Class numbers are at least 0 and below the number of units."""
    y, units, ignored = case.y, case.units, getattr(case.loss, "ignore_class", None)
    if units is None:
        return
    if ignored is not None:
        y = np.where(y == ignored, 0, y)
    low, high = int(y.min()), int(y.max())
    if low >= 0 and high < units:
        return
    advice = ["Give the classes numbers from 0 on: classes, y = numpy.unique(y, return_inverse=True)."]
    if low == 1 and high == units:
        advice = ["Count from 0: y = y - 1."]
    elif low >= 0:
        advice.append(f"Or give each label a unit: Dense({high + 1}).")
    raise case.error(
        f"labels run from {low} to {high}, but {units} units stand for 0 to {units - 1}: "
        f"{_first(y, (y < 0) | (y >= units))}.",
        "\n".join(advice),
    )


def shares_of_one(case: Case) -> None:
    """Each row of y adds up to 1. Other rows only cause a warning, because the formula accepts them."""
    if case.y.ndim == len(case.output) and (case.y.sum(axis=case.axis).max() > 1.001 or case.y.min() < 0):
        warn(
            f"{type(case.loss).__name__} expects each row of y to be one-hot, or shares that add up to 1; "
            "some rows do not.\n"
            'If a row can have several classes, use activation="sigmoid" and loss="binary_crossentropy".'
        )


def zero_to_one(case: Case) -> None:
    """Binary labels lie between 0 and 1."""
    y = case.y
    low, high = float(y.min()), float(y.max())
    if (low >= -1e-6 and high <= 1 + 1e-6) or not np.isfinite([low, high]).all():
        return  # a rounding error is allowed; NaN and infinity are refused elsewhere, or a callback deals with them
    count = f"{high - low + 1:.0f}"
    classes = (
        f'For {count} classes use Dense({count}, activation="softmax") and loss="sparse_categorical_crossentropy".'
    )
    classes += f" Count them from 0: y = y - {low:g}." * (low > 0)
    advice = next(text for holds, text in RANGES if holds(low, high, y)) or classes
    raise case.error(
        f"targets lie between 0 and 1, but y runs from {low:g} to {high:g}: {_first(y, (y < 0) | (y > 1))}.", advice
    )


RANGES: tuple[tuple[Callable[[float, float, HostArray], bool], str | None], ...] = (
    (lambda low, high, y: (low, high) == (-1, 1), "Map -1 and 1 to 0 and 1: y = (y + 1) / 2."),
    (lambda low, high, y: (low, high) == (1, 2), "Count from 0: y = y - 1."),
    (lambda low, high, y: 127 < high <= 255 and low >= 0, "These look like bytes: y = y / 255."),
    (lambda low, high, y: low >= 0 and high < 1000 and bool(np.all(y == np.rint(y))), None),
    (lambda low, high, y: True, 'If y has no bounds, use loss="mse". Otherwise scale y to 0 ... 1.'),
)


def _fits(y: tuple[int, ...], output: Shape) -> bool:
    """Whether the losses accept the two shapes: one may have an extra 1 at its end, and None fits any size."""
    target, out = y[1:], output[1:]
    if len(target) == len(out) + 1 and target[-1] == 1:
        target = target[:-1]
    elif len(target) + 1 == len(out) and out[-1] == 1:
        out = out[:-1]
    return len(target) == len(out) and all(b is None or a == b for a, b in zip(target, out, strict=True))


def _one_hot_advice(case: Case) -> str | None:
    numbered = case.y.size == len(case.y) and case.y.dtype.kind in "iu" and case.y.max() + 1 == case.units
    if not isinstance(case.loss, BINARY) or not (case.units == 1 or case.y.size == len(case.y)):
        return NUMBERED if numbered else None
    if case.units == 1:
        columns = case.y.shape[1]
        both = "Use one column: y = y[:, 1]. Or " if columns == 2 else ""
        return f'{both}Dense({columns}, activation="softmax") and loss="categorical_crossentropy".'
    return NUMBERED


NUMBERED = 'If y holds class numbers: activation="softmax" and loss="sparse_categorical_crossentropy".'


def _flatten(case: Case) -> str | None:
    return "Put Flatten() before the last Dense layer." if len(case.output) > 2 >= case.y.ndim else None


def _first(y: HostArray, bad: HostArray) -> str:
    place = np.unravel_index(int(bad.argmax()), bad.shape)
    return f"y[{', '.join(map(str, place))}] is {y[place]}"


VALUES = (whole_numbers, labels_in_range, zero_to_one)
BINARY = (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy)
REGRESSION = (
    losses.MeanSquaredError, losses.MeanAbsoluteError, losses.MeanAbsolutePercentageError,
    losses.MeanSquaredLogarithmicError, losses.Huber, losses.LogCosh, losses.Poisson,
)  # fmt: skip
RULES: tuple[tuple[tuple[type[Loss], ...], tuple[Callable[[Case], None], ...]], ...] = (
    (
        (losses.SparseCategoricalCrossentropy, losses.CategoricalGeneralizedCrossEntropy),
        (one_unit_per_class, not_one_hot, one_number_per_row, whole_numbers, labels_in_range),
    ),
    (
        (losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy),
        (one_unit_per_class, not_numbered, same_shape, shares_of_one),
    ),
    ((losses.CategoricalHinge,), (one_unit_per_class, not_numbered, same_shape)),
    (BINARY, (same_shape, zero_to_one)),
    (REGRESSION, (same_shape,)),
    ((losses.KLDivergence, losses.CosineSimilarity, losses.Hinge, losses.SquaredHinge), (same_shape,)),
    ((losses.Dice, losses.Tversky), (same_shape, zero_to_one)),
)
