"""The arguments of `fit`, `evaluate` and `predict`: the data, and the plan of the run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from lamina._data.row_sources import given
from lamina._data.source import is_stream
from lamina._display.verbosity import verbosity
from lamina._messages.tracebacks import warn
from lamina._settings.converters import checked, count, integer, one_of, optional, positive
from lamina._settings.run_limits import limited_epochs
from lamina._training.feeds import given_batch_size
from lamina._training.resume import Store
from lamina.callbacks import Callback
from lamina.callbacks.callback_list import handles_nan
from lamina.errors import ArgumentError, DataError

Callbacks: TypeAlias = Callback | Sequence[Callback] | None


class DataRequest(NamedTuple):
    """The data arguments of `fit`, `evaluate` or `predict`: the user's data, and the sizes of batches and epochs.

    It refers to the user's objects without copies, and lives for one call.
    """

    x: object
    y: object = None
    sample_weight: object = None
    class_weight: object = None
    batch_size: int | None = None
    steps: int | None = None
    """The number of batches in an epoch; None for all of the data."""
    shuffle: bool | Literal["batch"] = False
    name: Literal["x", "validation_data"] = "x"
    """The argument of the user that these data are, for messages."""
    finite: bool = True
    """Whether NaN and infinity are errors. They are not if a callback handles a loss that is not finite."""


class RunPlan(NamedTuple):
    """The other arguments of a call: its epochs, its output, its callbacks and its validation.

    It owns no data, and lives for one call.
    """

    verbose: int | str = "auto"
    callbacks: Callbacks = None
    epochs: int = 1
    initial_epoch: int = 0
    validation: DataRequest = DataRequest(None)
    """Its x is None without validation data."""
    validation_split: float = 0.0
    """The share of the rows, taken from the end, that is held out for validation."""
    validation_freq: int | Collection[int] = 1
    store: Store | None = None
    """Saves the states of the run, so that it can be resumed after its process was killed."""

    def validates_after(self, epoch: int) -> bool:
        """Whether validation follows this epoch, counted from 0."""
        often = self.validation_freq
        return (epoch + 1) % often == 0 if isinstance(often, int) else epoch + 1 in often


def fit_request(data: DataRequest, plan: RunPlan) -> tuple[DataRequest, RunPlan]:
    """The arguments of `fit`, each checked; errors name the argument."""
    label = data.y if isinstance(data.y, str) else None
    data = accepted(data)
    if plan.validation_split and is_stream(data.x):
        raise DataError("validation_split needs arrays; give a stream of batches its own validation_data.")
    finite = not handles_nan(plan.callbacks)
    validation = plan.validation._replace(
        finite=finite,
        steps=checked("fit", "validation_steps", optional(positive), plan.validation.steps),
        batch_size=checked("fit", "validation_batch_size", optional(positive), plan.validation.batch_size),
    )
    if validation.x is not None and plan.validation_split:
        warn("validation_split has no effect beside validation_data: all of x is used for training.")
        plan = plan._replace(validation_split=0.0)
    if validation.x is not None:
        unpacked = _unpacked(validation.x, label)
        validation = accepted(validation._replace(**unpacked, name="validation_data"), data.batch_size)
        if _has_no_rows(validation.x):
            warn("validation_data has no rows: nothing is validated.")
            validation = DataRequest(None)
    data = data._replace(
        finite=finite,
        steps=checked("fit", "steps_per_epoch", optional(positive), data.steps),
        shuffle=checked("fit", "shuffle", one_of(True, False, "batch"), data.shuffle),
    )
    plan = plan._replace(
        verbose=verbosity(plan.verbose),
        epochs=limited_epochs(checked("fit", "epochs", count, plan.epochs)),
        initial_epoch=checked("fit", "initial_epoch", integer, plan.initial_epoch),
        validation=validation,
        validation_freq=checked("fit", "validation_freq", _frequency, plan.validation_freq),
    )
    if plan.initial_epoch >= plan.epochs:
        warn(f"nothing is trained: epochs={plan.epochs} is the last epoch, and initial_epoch={plan.initial_epoch}.")
    return data, plan


def evaluate_request(data: DataRequest, plan: RunPlan) -> tuple[DataRequest, RunPlan]:
    """The arguments of `evaluate`, each checked; errors name the argument."""
    steps = checked("evaluate", "steps", optional(positive), data.steps)
    return accepted(data)._replace(steps=steps), plan._replace(verbose=verbosity(plan.verbose))


def accepted(data: DataRequest, batch_size: int | None = None) -> DataRequest:
    """The data as a stream or as arrays, with the targets that are tensors of a dataset or a column of x apart."""
    size = batch_size if data.batch_size is None else given_batch_size(data.batch_size)
    x, y, sample_weight = given(data.x, data.y, data.sample_weight, size, data.name)
    return data._replace(x=x, y=y, sample_weight=sample_weight)


def _frequency(value: object) -> int | list[int]:
    return [positive(epoch) for epoch in value] if isinstance(value, (list, tuple, set)) else positive(value)


def _has_no_rows(x: object) -> bool:
    rows = len(x) if isinstance(x, (list, tuple)) else next(iter(getattr(x, "shape", ())), None)
    return rows == 0


def _unpacked(validation_data: object, label: str | None) -> dict[str, Any]:
    if is_stream(validation_data) or (label and not isinstance(validation_data, (tuple, list))):
        return {"x": validation_data, "y": label}
    if not isinstance(validation_data, (tuple, list)) or not 1 <= len(validation_data) <= 3:
        many = f" of {len(validation_data)}" if isinstance(validation_data, (tuple, list)) else ""
        raise ArgumentError(
            f"validation_data is (x, y), (x, y, sample_weight), or a stream of batches; got a "
            f"{type(validation_data).__name__}{many}. Write validation_data=(x, y)."
        )
    return dict(zip(("x", "y", "sample_weight"), validation_data, strict=False))
