"""Whether the targets fit the model's output and its loss; what Keras trains on without a word is said here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamina._base.frames import warn
from lamina.errors import LabelError
from lamina.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Crossentropy,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from lamina.losses.crossentropies import fitting
from lamina.losses.loss import reads_logits

if TYPE_CHECKING:
    from lamina._data.arrays import HostArray

Shape = tuple[int | None, ...]


class Case(NamedTuple):
    """What a rule looks at."""

    loss: Loss
    y: HostArray
    output: Shape

    @property
    def axis(self) -> int:
        """The axis of the output along which the classes lie."""
        return int(getattr(self.loss, "axis", -1)) % len(self.output)

    @property
    def units(self) -> int | None:
        return self.output[self.axis]

    @property
    def numbered(self) -> Shape:
        """The shape of y that holds one number for all classes of an output."""
        return self.output[: self.axis] + self.output[self.axis + 1 :]

    def error(self, problem: str, advice: str) -> LabelError:
        name = type(self.loss).__name__
        return LabelError(
            f"{problem}\nThe loss is {name}, y has shape {self.y.shape}, the model gives {self.output}.\n{advice}"
        )


def fit_loss(
    loss: Any,
    y: HostArray | None,
    output_shape: Shape,
    *,
    last_activation: str | None = None,
    metrics: Iterable[Any] = (),
    class_weight: Any = None,
    sample_weight: HostArray | None = None,
) -> None:
    """Raise a `LabelError` where loss, targets and output cannot belong together; warn where they hardly do.

    Nothing is known of a loss that the user wrote: it is let pass.

    Args:
        last_activation: the name of what the last layer ends with; None if that is unknown.
    """
    if last_activation == "softmax" and len(output_shape) == 2 and output_shape[1] == 1:
        raise LabelError(
            'softmax over a single unit is always 1. Two classes: Dense(1, activation="sigmoid") and '
            'loss="binary_crossentropy"; more: Dense(number of classes, activation="softmax").'
        )
    if loss is None:
        return
    if y is None:
        raise LabelError(
            f"the loss {_name(loss)} needs targets, and y is None. Give them: fit(x, y), or batches (x, y)."
        )
    if isinstance(loss, Crossentropy):
        loss = fitting(loss, y.shape, output_shape)
    for kinds, rules in RULES:
        if isinstance(loss, kinds):
            for rule in rules:
                rule(Case(loss, y, tuple(output_shape)))
            if sample_weight is not None:
                weights_fit(Case(loss, y, tuple(output_shape)), sample_weight)
            if kinds is REGRESSION:
                _classes_in_regression(loss, y, metrics, class_weight)
            else:
                _probabilities(loss, last_activation)


def fit_values(loss: Any, y: HostArray, output_shape: Shape) -> None:
    """Of what `fit_loss` looks at, what another batch of the same shapes may hold."""
    if isinstance(loss, Crossentropy):
        loss = fitting(loss, y.shape, output_shape)
    for kinds, rules in RULES:
        if isinstance(loss, kinds):
            for rule in rules:
                if rule in VALUES:
                    rule(Case(loss, y, tuple(output_shape)))


def weights_fit(case: Case, weight: HostArray) -> None:
    """One weight a sample, or one for each value of the loss; an axis of 1 shares its weights."""
    values = case.numbered[1:]
    given = weight.shape[1:]
    if len(given) == len(values) + 1 and given[-1] == 1:
        given = given[:-1]
    if len(given) > len(values) or any(n not in (1, m) and m is not None for n, m in zip(given, values, strict=False)):
        per_value = f", or one per value, {(len(weight), *values)}" if values else ""
        raise LabelError(
            f"sample_weight has shape {weight.shape}, the values of the loss have {(len(weight), *values)}.\n"
            f"The loss is {_name(case.loss)}, the model gives {case.output}.\n"
            f"Give one number per sample, ({len(weight)},){per_value}."
        )


# The rules: each looks at one thing that can be wrong, cheapest first.


def one_unit_a_class(case: Case) -> None:
    if case.units == 1:
        count = int(case.y.max()) + 1 if case.y.size == len(case.y) else case.y.shape[-1]
        raise case.error(
            "one unit cannot hold one probability for each class.",
            'Two classes: Dense(1, activation="sigmoid") and loss="binary_crossentropy".\n'
            f'More: Dense({max(count, 2)}, activation="softmax") with this loss.',
        )


def not_one_hot(case: Case) -> None:
    if case.units not in (None, 1) and _fits(case.y.shape, case.output):
        raise case.error(
            "y is one-hot, but this loss takes the number of each row's class.",
            'Take loss="categorical_crossentropy", or y.argmax(axis=-1).',
        )


def not_numbered(case: Case) -> None:
    if _fits(case.y.shape, case.numbered) and not _fits(case.y.shape, case.output):
        raise case.error(
            "y holds the number of each row's class, but this loss takes one-hot rows.",
            f'Take loss="sparse_categorical_crossentropy", or keras.utils.to_categorical(y, {case.units}).',
        )


def one_number_a_row(case: Case) -> None:
    if not _fits(case.y.shape, case.numbered):
        advice = "Give one whole number for each row of classes."
        raise case.error("y does not have one number for each output.", _flatten(case) or advice)


def same_shape(case: Case) -> None:
    y, output = case.y.shape, case.output
    if _fits(y, output):
        return
    if len(output) == 2 and len(y) <= 2:
        columns = y[1] if len(y) == 2 else 1
        problem = f"y has {columns} column{'s' * (columns != 1)}, the model has {output[1]}."
        raise case.error(
            problem, _one_hot_advice(case) or f"End the model with Dense({columns}), or give y {output[1]}."
        )
    raise case.error("y does not have the shape of the output.", _flatten(case) or "Every output needs its target.")


def whole_numbers(case: Case) -> None:
    if case.y.dtype.kind not in "iu" and (odd := case.y != np.rint(case.y)).any():
        raise case.error(
            f"class labels are whole numbers, but {_first(case.y, odd)}.",
            'A regression takes loss="mse"; probabilities take loss="categorical_crossentropy".',
        )


def labels_in_range(case: Case) -> None:
    y, units, ignored = case.y, case.units, getattr(case.loss, "ignore_class", None)
    if units is None:
        return
    if ignored is not None:
        y = np.where(y == ignored, 0, y)
    low, high = int(y.min()), int(y.max())
    if low >= 0 and high < units:
        return
    advice = ["Number the classes from 0: classes, y = numpy.unique(y, return_inverse=True)."]
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
    """Several classes in a row are legal here, for who knows what the loss makes of them."""
    if case.y.ndim == len(case.output) and (case.y.sum(axis=case.axis).max() > 1.001 or case.y.min() < 0):
        warn(
            f"{_name(case.loss)} expects each row of y to be one-hot, or shares that add up to 1; some rows do not.\n"
            'For several classes in a row take activation="sigmoid" and loss="binary_crossentropy".'
        )


def zero_to_one(case: Case) -> None:
    y = case.y
    low, high = float(y.min()), float(y.max())
    if low >= -1e-6 and high <= 1 + 1e-6:  # rounding is no mistake
        return
    count = f"{high - low + 1:.0f}"
    classes = f'{count} classes take Dense({count}, activation="softmax") and loss="sparse_categorical_crossentropy".'
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
    (lambda low, high, y: True, 'Numbers without bounds are a regression: loss="mse". Else scale y to 0 ... 1.'),
)

VALUES = (whole_numbers, labels_in_range, zero_to_one)
REGRESSION = (MeanSquaredError, MeanAbsoluteError)
RULES: tuple[tuple[tuple[type[Loss], ...], tuple[Callable[[Case], None], ...]], ...] = (
    (
        (SparseCategoricalCrossentropy,),
        (one_unit_a_class, not_one_hot, one_number_a_row, whole_numbers, labels_in_range),
    ),
    ((CategoricalCrossentropy,), (one_unit_a_class, not_numbered, same_shape, shares_of_one)),
    ((BinaryCrossentropy,), (same_shape, zero_to_one)),
    (REGRESSION, (same_shape,)),
)


def _classes_in_regression(loss: Loss, y: HostArray, metrics: Iterable[Any], class_weight: Any) -> None:
    counted = [m for m in metrics if m in ("accuracy", "acc") or _name(m).lower().endswith("accuracy")]
    if not (counted or class_weight is not None) or bool(np.all((y == 0) | (y == 1))):
        return
    if class_weight is not None:
        raise LabelError(
            f"class_weight weighs classes, and y holds other numbers than 0 and 1 for {_name(loss)}. Use sample_weight."
        )
    warn(
        f"accuracy counts exact hits, of which a regression ({_name(loss)}) has next to none. "
        'Take metrics=["mae"]; or, if y holds classes, a crossentropy as the loss.'
    )


def _probabilities(loss: Loss, last_activation: str | None) -> None:
    """Warn where the last layer gives numbers of another kind than the loss reads."""
    name, logits = type(loss).__name__, reads_logits(loss)
    fitting = "sigmoid" if isinstance(loss, BinaryCrossentropy) else "softmax"
    if logits and last_activation in ("sigmoid", "softmax"):
        warn(
            f"{name}(from_logits=True) applies {fitting} itself, but the last layer ends with {last_activation}.\n"
            f'Take one of the two away: no activation there, or loss="{name}".'
        )
    elif not logits and last_activation in UNBOUNDED:
        warn(
            f"{name} reads probabilities, but the last layer ends with {last_activation}.\n"
            f'Give it activation="{fitting}", or take {name}(from_logits=True).'
        )


UNBOUNDED = "linear relu relu6 leaky_relu elu selu gelu silu swish softplus tanh log_softmax".split()


def _fits(y: tuple[int, ...], output: Shape) -> bool:
    """Whether the losses take the two as equal: but for one trailing 1, and for what is not known yet."""
    target, out = y[1:], output[1:]
    if len(target) == len(out) + 1 and target[-1] == 1:
        target = target[:-1]
    elif len(target) + 1 == len(out) and out[-1] == 1:
        out = out[:-1]
    return len(target) == len(out) and all(b is None or a == b for a, b in zip(target, out, strict=True))


def _one_hot_advice(case: Case) -> str | None:
    if not isinstance(case.loss, BinaryCrossentropy) or not (case.units == 1 or case.y.size == len(case.y)):
        return None
    if case.units == 1:
        columns = case.y.shape[1]
        both = "Take one column: y = y[:, 1]. Or " if columns == 2 else ""
        return f'{both}Dense({columns}, activation="softmax") and loss="categorical_crossentropy".'
    return 'If y holds class numbers: activation="softmax" and loss="sparse_categorical_crossentropy".'


def _flatten(case: Case) -> str | None:
    return "Put Flatten() before the last Dense layer." if len(case.output) > 2 >= case.y.ndim else None


def _first(y: HostArray, bad: HostArray) -> str:
    place = np.unravel_index(int(bad.argmax()), bad.shape)
    return f"y[{', '.join(map(str, place))}] is {y[place]}"


def _name(thing: Any) -> str:
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)
