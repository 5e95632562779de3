"""Callbacks whose arguments were different in Keras 1 and 2."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from lamina import callbacks
from lamina.callbacks.callback import Logs
from lamina.compat.told import say

BOARD = (
    "log_dir", "histogram_freq", "batch_size", "write_graph", "write_grads", "write_images", "embeddings_freq",
    "embeddings_layer_names", "embeddings_metadata", "embeddings_data", "update_freq",
)  # fmt: skip
"""The arguments of Keras 2's TensorBoard, of which the third is a number."""


def in_order(kind: type, names: list[str], given: Sequence[object]) -> list[str]:
    """The names of arguments that are given by position: in Keras 2's order if only that order fits the values."""
    if issubclass(kind, callbacks.TensorBoard) and len(given) > 2 and _is_number(given[2]):
        return list(BOARD)
    if issubclass(kind, callbacks.ModelCheckpoint) and len(given) > 6 and _is_number(given[6]):
        return [*names[:6], "period", *names[7:]]
    return names


def _should_save_on_batch(self: callbacks.ModelCheckpoint, batch: int) -> bool:
    """Whether the model is to be saved after this batch."""
    return self._lamina_is_turn(batch)


def _get_file_path(self: callbacks.ModelCheckpoint, epoch: int, batch: int | None, logs: Logs) -> str:
    """The name of the file that is written after this epoch or batch."""
    counts = {"epoch": epoch + 1} | ({} if batch is None else {"batch": batch + 1})
    return self._lamina_filled({**(logs or {}), **counts})


def _save_model(self: callbacks.ModelCheckpoint, epoch: int, batch: int | None, logs: Logs) -> None:
    """Save the model where it is to be saved."""
    self._lamina_save({**(logs or {}), **({} if batch is None else {"batch": batch + 1})})


OF_CHECKPOINTS = {
    "_should_save_on_batch": _should_save_on_batch,
    "_get_file_path": _get_file_path,
    "_save_model": _save_model,
    "_current_epoch": property(lambda self: self._lamina_epoch),
}
"""Members of Keras's ModelCheckpoint that subclasses call, though they are internal there."""


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class BaseLogger(callbacks.Callback):
    """Keras 2's callback that averaged the metrics. It has no effect, because `fit` averages them."""

    def __init__(self, stateful_metrics: object = None) -> None:
        super().__init__()


class ProgbarLogger(callbacks.ProgbarLogger):
    """Keras 2's ProgbarLogger, with the arguments `count_mode` and `stateful_metrics`."""

    def __init__(self, count_mode: str = "samples", stateful_metrics: object = None) -> None:
        super().__init__()
        if (count_mode, stateful_metrics) != ("samples", None):
            say("ProgbarLogger(count_mode=, stateful_metrics=) have no effect now.")


class LambdaCallback(callbacks.LambdaCallback):
    """A LambdaCallback whose third and fourth arguments are functions of (batch, logs), as in Keras 2."""

    def __init__(self, *functions: Callable[..., Any] | None, **named: Any) -> None:
        if any(each is not None and _takes_two(each) for each in functions[2:4]):
            begin, end, batch_begin, batch_end, *others = functions
            say("LambdaCallback(..., on_batch_begin, on_batch_end) by position are now by name.")
            functions = (begin, end, *others)
            named |= {"on_batch_begin": batch_begin, "on_batch_end": batch_end}
        super().__init__(*functions, **named)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, {})
    except (TypeError, ValueError):
        return False
    return True
