"""What a verb of the model was asked for: the data, and the plan of the run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from lamina._data.source import is_stream
from lamina._display.verbosity import verbosity
from lamina._messages.tracebacks import warn
from lamina._settings.converters import checked, count, integer, one_of, optional, positive
from lamina._settings.run_limits import limited_epochs
from lamina._training.resume import Store
from lamina.callbacks import Callback
from lamina.callbacks.callback_list import handles_nan
from lamina.errors import ArgumentError, DataError

Callbacks: TypeAlias = Callback | Sequence[Callback] | None


class DataRequest(NamedTuple):
    """The data that a verb was given, and how it is to be cut into batches."""

    x: object
    y: object = None
    sample_weight: object = None
    class_weight: object = None
    batch_size: int | None = None
    steps: int | None = None
    """How many batches make an epoch; None for all of the data."""
    shuffle: bool | Literal["batch"] = False
    names: tuple[str, str] = ("x", "y")
    """What messages call x and y."""
    finite: bool = True
    """Whether NaN and infinity are refused; a callback may be there to deal with what they make of the loss."""


class RunPlan(NamedTuple):
    """How long to run, what to show, and what to measure in between."""

    verbose: int | str = "auto"
    callbacks: Callbacks = None
    epochs: int = 1
    initial_epoch: int = 0
    validation: DataRequest = DataRequest(None)
    """Its x is None where there is no validation data."""
    validation_split: float = 0.0
    """The share of the last rows of the data that is held out for validation."""
    validation_freq: int | Collection[int] = 1
    store: Store | None = None
    """Where the states of the run are kept, so that it can go on when its process was killed."""

    def validates_after(self, epoch: int) -> bool:
        """Whether the epoch, counted from 0, is followed by a validation."""
        often = self.validation_freq
        return (epoch + 1) % often == 0 if isinstance(often, int) else epoch + 1 in often


def fit_request(data: DataRequest, plan: RunPlan) -> tuple[DataRequest, RunPlan]:
    """The arguments of `fit`, each checked; errors name the argument."""
    if plan.validation_split and is_stream(data.x):
        raise DataError("validation_split needs arrays; give a stream of batches its own validation_data.")
    finite = not handles_nan(plan.callbacks)
    validation = plan.validation._replace(
        finite=finite,
        steps=checked("fit", "validation_steps", optional(positive), plan.validation.steps),
        batch_size=checked("fit", "validation_batch_size", optional(positive), plan.validation.batch_size),
    )
    if validation.x is not None and plan.validation_split:
        warn("validation_split is not read where there is validation_data: all of x is trained on.")
        plan = plan._replace(validation_split=0.0)
    if validation.x is not None:
        validation = validation._replace(**_unpacked(validation.x), names=("validation x", "validation y"))
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
    return data._replace(steps=steps), plan._replace(verbose=verbosity(plan.verbose))


def _frequency(value: object) -> int | list[int]:
    return [positive(epoch) for epoch in value] if isinstance(value, (list, tuple, set)) else positive(value)


def _has_no_rows(x: object) -> bool:
    rows = len(x) if isinstance(x, (list, tuple)) else next(iter(getattr(x, "shape", ())), None)
    return rows == 0


def _unpacked(validation_data: object) -> dict[str, Any]:
    if is_stream(validation_data):
        return {"x": validation_data}
    if not isinstance(validation_data, (tuple, list)) or not 1 <= len(validation_data) <= 3:
        many = f" of {len(validation_data)}" if isinstance(validation_data, (tuple, list)) else ""
        raise ArgumentError(
            f"validation_data is (x, y), (x, y, sample_weight), or a stream of batches; got a "
            f"{type(validation_data).__name__}{many}. Write validation_data=(x, y)."
        )
    return dict(zip(("x", "y", "sample_weight"), validation_data, strict=False))
