"""NaN and infinity in the data: an error, unless user code may handle them."""

from __future__ import annotations

from lamina._arrays.arrays import HostArray
from lamina._checks import values
from lamina._checks.rows import holds_own_code
from lamina._data.source import Table
from lamina._layer.structure import parts
from lamina._messages.tracebacks import warn
from lamina._settings.origin import of_library
from lamina._settings.strictness import strictness
from lamina._training import own_steps
from lamina._training.model import Model, compiled_of
from lamina.errors import DataError
from lamina.layers.core import Lambda
from lamina.losses.loss import LossFunction


def check(model: Model, table: Table, rows: HostArray | None = None) -> None:
    """Raise an error for values that are not finite, or warn, by `config.set_non_finite`.

    A user's loss may skip missing labels, and a user's layer may fill gaps in x, so these cases give only a warning,
    once per model. If the loss becomes NaN nevertheless, that is an error.

    Args:
        rows: the numbers of the rows of x in the table, if it does not have all rows.
    """
    try:
        values.finite(table, rows)
        return
    except DataError:  # then user code that handles them makes the difference between an error and a warning
        y, x = _sees_targets(model), _sees_inputs(model)
    empty = table.x[:0]
    try:
        values.finite(table._replace(x=empty if x else table.x, y=None if y else table.y), rows)
    except DataError as error:
        if strictness["non_finite"] == "raise":
            raise
        warn(str(error))
    if not (x or y) or "gaps" in model._lamina.said:
        return
    try:
        values.finite(table._replace(x=table.x if x else empty, y=table.y if y else None, sample_weight=None), rows)
    except DataError as error:
        model._lamina.said.add("gaps")
        found, whose = str(error).partition("\n")[0], "loss" if table.y is not None and "y[" in str(error) else "layer"
        warn(f"{found}\nYour own {whose} must handle them, or the loss becomes NaN.")


def _sees_targets(model: Model) -> bool:
    loss = compiled_of(model).loss
    known = loss is None or of_library(loss.fn if isinstance(loss, LossFunction) else type(loss))
    return own_steps.is_own(model, "train") or not known


def _sees_inputs(model: Model) -> bool:
    """Whether a custom layer comes before the first layer with weights, of which the gradients would become NaN."""
    if own_steps.is_own(model, "train"):
        return True
    for layer in (part.layer for part in parts(model) if part.layer is not model):
        if isinstance(layer, Lambda) or holds_own_code(layer):
            return True
        if layer._lamina.weights and not hasattr(layer, "adapt"):  # layers with adapt have no gradients
            return False
    return False
