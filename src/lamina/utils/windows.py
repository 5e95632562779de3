"""Windows of a time series as a dataset."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.dataset import AUTOTUNE, Dataset, slices
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, fixed_seed, flag, integer, one_of, optional, positive
from lamina.errors import ArgumentError, DataError

NAME = "timeseries_dataset_from_array"


@user_facing
def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: Literal["tf", "grain"] = "tf",
) -> Dataset:
    """Windows of a series as batches (batch, sequence_length, ...), and the target of each window's first step.

    Window i begins at `start_index + i * sequence_stride`, and has every `sampling_rate`-th step.

    >>> series = np.arange(10)
    >>> for x, y in timeseries_dataset_from_array(series[:-3], series[3:], sequence_length=3, batch_size=4):
    ...     print(x[0], y[0], "to", x[-1], y[-1])
    [0 1 2] 3 to [3 4 5] 6
    [4 5 6] 7 to [4 5 6] 7

    Args:
        data: the series, (steps, ...).
        targets: entry i belongs to the window that begins at step i; None gives windows without targets.
        sequence_length: the number of steps of a window.
        sequence_stride: the distance between the first steps of two consecutive windows.
        sampling_rate: the distance between two steps of a window.
        batch_size: the number of windows in a batch; None gives single windows.
        shuffle: whether the windows are in random order, a new order in each pass.
        seed: the seed of these orders.
        start_index: the first step that is used; 0 if None.
        end_index: the first step that is not used; None means that all are used.
        format: has no effect: "tf" and "grain" give the same dataset.

    Raises:
        ArgumentError: an argument does not fit the length of the series.
        DataError: the series is too short for one window.
    """
    checked(NAME, "format", one_of("tf", "grain"), format)
    length = checked(NAME, "sequence_length", positive, sequence_length)
    stride = checked(NAME, "sequence_stride", positive, sequence_stride)
    rate = checked(NAME, "sampling_rate", positive, sampling_rate)
    size = checked(NAME, "batch_size", optional(positive), batch_size)
    seed = checked(NAME, "seed", optional(fixed_seed), seed)
    steps = np.asarray(data)
    for name, value in (("sequence_stride", stride), ("sampling_rate", rate)):
        if value >= len(steps):
            raise ArgumentError(f"{NAME}({name}={value}): expected less than the length of the series, {len(steps)}.")
    start, end = _span(len(steps), start_index, end_index)
    steps = steps[start:end]
    answers = None if targets is None else np.asarray(targets)[start:]
    count = len(steps) - (length - 1) * rate
    count = count if answers is None else min(count, len(answers))
    if count <= 0:
        there = f"{len(steps)}" if answers is None else f"{len(steps)} with {len(answers)} targets"
        raise DataError(
            f"{NAME}: a window takes {(length - 1) * rate + 1} steps, and there are {there}. "
            "Give a smaller sequence_length or sampling_rate."
        )
    places = slices(np.arange(0, count, stride))
    if checked(NAME, "shuffle", flag, shuffle):
        places = places.shuffle(len(places), seed)
    within = np.arange(length) * rate

    def window(place: HostArray) -> Any:
        found = steps[np.asarray(place)[..., None] + within]  # (batch, sequence_length, ...)
        return found if answers is None else (found, answers[place])

    return (places if size is None else places.batch(size)).map(window).prefetch(AUTOTUNE)


def _span(steps: int, start_index: int | None, end_index: int | None) -> tuple[int, int]:
    """The first step that is used, and the step after the last one."""
    start = checked(NAME, "start_index", optional(integer), start_index) or 0
    end = checked(NAME, "end_index", optional(integer), end_index)
    if not 0 <= start < steps:
        raise ArgumentError(f"{NAME}(start_index={start}): expected a number from 0 to {steps - 1}, the last step.")
    if end is not None and not start < end < steps:
        raise ArgumentError(
            f"{NAME}(end_index={end}): expected a number above start_index, {start}, and below the number of steps, "
            f"{steps}; None takes all."
        )
    return start, steps if end is None else end
