"""Checks that targets, loss, output and metrics fit together, where Keras would train without a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina._checks.rules import BINARY, REGRESSION, RULES, VALUES, Case
from lamina._messages.tracebacks import warn
from lamina.errors import LabelError
from lamina.losses import Crossentropy, Loss
from lamina.losses.crossentropies import fitting
from lamina.losses.loss import reads_logits


def fit_loss(
    loss: Loss | None,
    y: HostArray | None,
    output_shape: Shape,
    *,
    last_activation: str | None = None,
    metrics: Iterable[object] = (),
    class_weight: object = None,
    sample_weight: HostArray | None = None,
) -> None:
    """Raise a `LabelError` if loss, targets and output do not fit together; warn if they are probably a mistake.

    A custom loss may take anything, so it is not checked.

    Args:
        output_shape: the output's shape with the batch axis.
        last_activation: the name of the last layer's activation; None if it is unknown.
    """
    if last_activation == "softmax" and len(output_shape) == 2 and output_shape[1] == 1:
        raise LabelError(
            'softmax over a single unit is always 1. For two classes: Dense(1, activation="sigmoid") and '
            'loss="binary_crossentropy"; for more: Dense(number of classes, activation="softmax").'
        )
    if loss is None:
        return
    if y is None:
        raise LabelError(
            f"the loss {_name(loss)} needs targets, and y is None. "
            "Give them: fit(x, y), validation_data=(x, y), batches (x, y)."
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
                _within_reach(y, last_activation)
            elif hasattr(loss, "from_logits"):
                _classes_with_units(Case(loss, y, tuple(output_shape)), class_weight)
                _probabilities(loss, last_activation)


def fit_values(loss: Loss | None, y: HostArray, output_shape: Shape) -> None:
    """Check a later batch of the same shapes: only the rules of `fit_loss` that depend on values."""
    if isinstance(loss, Crossentropy):
        loss = fitting(loss, y.shape, output_shape)
    for kinds, rules in RULES:
        if isinstance(loss, kinds):
            for rule in rules:
                if rule in VALUES:
                    rule(Case(loss, y, tuple(output_shape)))


def weights_fit(case: Case, weight: HostArray) -> None:
    """Refuse sample weights unless there is one per sample or one per value of the loss. Axes of 1 are broadcast."""
    values = case.without_classes[1:]
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


def _classes_in_regression(loss: Loss, y: HostArray, metrics: Iterable[object], class_weight: object) -> None:
    counted = [m for m in metrics if m in ("accuracy", "acc") or _name(m).lower().endswith("accuracy")]
    if not (counted or class_weight is not None) or bool(np.all((y == 0) | (y == 1))):
        return
    if class_weight is not None:
        raise LabelError(
            f"class_weight needs classes, but y holds numbers other than 0 and 1 for {_name(loss)}. Use sample_weight."
        )
    warn(
        f"accuracy counts exact matches, and a regression ({_name(loss)}) has almost none. "
        'Use metrics=["mae"]; or, if y holds classes, a crossentropy as the loss.'
    )


def _classes_with_units(case: Case, class_weight: object) -> None:
    """Refuse class weights for classes without an output unit. It is allowed that a class is missing from y."""
    units = 2 if isinstance(case.loss, BINARY) and case.units == 1 else case.units
    if units is None or not isinstance(class_weight, Mapping):
        return
    if beyond := [key for key in class_weight if hasattr(key, "__index__") and key >= units]:
        raise case.error(
            f"class_weight has class {beyond[0]}, and the output has the classes 0 to {units - 1}.",
            f"Remove it from class_weight, or give the class a unit: Dense({max(beyond) + 1}).",
        )


def _within_reach(y: HostArray, last_activation: str | None) -> None:
    """Warn about targets outside the range of the last layer's activation."""
    low, high = REACH.get(last_activation or "", (-np.inf, np.inf))
    if y.size and (y.min() < low - 1e-6 or y.max() > high + 1e-6):
        warn(
            f"y runs from {y.min():g} to {y.max():g}, but the last layer's {last_activation} gives only {low:g} to "
            f"{high:g}.\nEnd a regression without an activation, or scale y."
        )


REACH = {
    **dict.fromkeys("relu softplus exponential".split(), (0.0, np.inf)),
    **dict.fromkeys("sigmoid hard_sigmoid softmax".split(), (0.0, 1.0)),
    **dict.fromkeys("tanh softsign hard_tanh".split(), (-1.0, 1.0)),
    "relu6": (0.0, 6.0),
}
"""The lowest and the highest value of each activation."""


def _probabilities(loss: Loss, last_activation: str | None) -> None:
    """Warn if the loss expects logits and the last layer gives probabilities, or the reverse."""
    name, logits = type(loss).__name__, reads_logits(loss)
    fitting = "sigmoid" if isinstance(loss, BINARY) else "softmax"
    if logits and last_activation in ("sigmoid", "softmax"):
        warn(
            f"{name}(from_logits=True) applies {fitting} itself, but the last layer ends with {last_activation}.\n"
            f'Remove one of the two: use no activation there, or loss="{name}".'
        )
    elif not logits and last_activation in UNBOUNDED:
        warn(
            f"{name} reads probabilities, but the last layer ends with {last_activation}.\n"
            f'Give it activation="{fitting}", or use {name}(from_logits=True).'
        )


UNBOUNDED = "linear relu relu6 leaky_relu elu selu gelu silu swish softplus tanh log_softmax".split()


def _name(thing: object) -> str:
    return thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)
