"""`tf.summary`: writes numbers, histograms, images and texts for TensorBoard from a custom training loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from lamina._messages.tracebacks import user_facing
from lamina._saving.paths import FilePath
from lamina.callbacks.tensorboard import library
from lamina.compat.tensorflow.stand_in import StandIn, namespace
from lamina.errors import CallError

__all__ = [
    "create_file_writer", "experimental", "flush", "histogram", "image", "scalar", "should_record_summaries", "text",
]  # fmt: skip


class Writer(metaclass=StandIn):
    """A file for TensorBoard. The functions of this module write to the default writer."""

    def __init__(self, folder: str) -> None:
        self._file = library().EventFile(folder)

    @contextmanager
    def as_default(self, step: Any = None) -> Iterator[Writer]:
        """Make this writer the default in a `with` block."""
        before, number = _writer.set(self), _step.set(_step.get() if step is None else step)
        try:
            yield self
        finally:
            _writer.reset(before)
            _step.reset(number)
            self.flush()

    def set_as_default(self, step: Any = None) -> None:
        """Make this writer the default from now on."""
        _writer.set(self)
        _step.set(_step.get() if step is None else step)

    def flush(self) -> None:
        """Write buffered events to the file."""
        self._file.flush()

    def close(self) -> None:
        """Write buffered events, and close the file."""
        self._file.close()


_writer: ContextVar[Writer | None] = ContextVar("writer", default=None)
_step: ContextVar[Any] = ContextVar("step", default=None)


def create_file_writer(
    logdir: FilePath, max_queue: int | None = None, flush_millis: int | None = None, filename_suffix: str | None = None,
    name: str | None = None,
) -> Writer:  # fmt: skip
    """Make a writer with a new file in a folder."""
    return Writer(str(logdir))


@user_facing
def scalar(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Write a number. Returns False if there is no default writer."""
    return _written("scalar", name, np.asarray(data), step)


@user_facing
def histogram(
    name: str, data: Any, step: Any = None, buckets: int | None = None, description: str | None = None
) -> bool:
    """Write a histogram of the numbers in an array."""
    return _written("histogram", name, np.asarray(data), step)


@user_facing
def image(name: str, data: Any, step: Any = None, max_outputs: int = 3, description: str | None = None) -> bool:
    """Write the first images of an array, whose numbers are bytes or go from 0 to 1.  (n, height, width, channels)"""
    pixels = np.asarray(data)[:max_outputs]
    return _written("image", name, pixels / 255 if pixels.dtype == np.uint8 else pixels, step)


@user_facing
def text(name: str, data: object, step: Any = None, description: str | None = None) -> bool:
    """Write a text, which may be in Markdown."""
    return _written("text", name, str(data), step)


def _written(kind: str, name: str, data: Any, step: Any) -> bool:
    step, writer = _step.get() if step is None else step, _writer.get()
    if writer is None:
        return False
    if step is None:
        raise CallError(
            f"tf.summary.{kind}({name!r}) needs the number of the step: step=... or writer.as_default(step)."
        )
    getattr(writer._file, kind)(name, data, int(step))
    return True


def flush(writer: Writer | None = None, name: str | None = None) -> None:
    """Write what is not in the file yet."""
    now = writer or _writer.get()
    if now is not None:
        now.flush()


def should_record_summaries() -> bool:
    """Whether there is a default writer."""
    return _writer.get() is not None


experimental = namespace("experimental", __name__, get_step=_step.get, set_step=_step.set)
