"""Layers that learn from data before training: `adapt` and its parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.arrays import has_axes
from lamina._data.data_frames import is_frame
from lamina._data.stream import Stream
from lamina._layer.host import raw
from lamina._layer.layer import Layer
from lamina._layer.structure import require_adapted
from lamina._messages.tracebacks import user_facing
from lamina.errors import ArgumentError, DataError


def data_of(data: Any, steps: int | None) -> Iterator[tuple[HostArray, bool]]:
    """Yields the arrays that `adapt` learns from, one for each batch, with whether the data is a stream of batches.

    If a batch is a tuple, such as (x, y), only x is used.
    """
    listed = isinstance(data, (list, tuple)) and len(data) > 0 and (has_axes(data[0]) or isinstance(data[0], tuple))
    if not listed and (
        is_frame(data) or isinstance(data, (list, tuple, str, np.ndarray)) or hasattr(data, "__array__")
    ):
        if steps is not None:
            raise ArgumentError("steps counts the batches of a stream; the data is one array. Leave steps out.")
        yield raw(data, "data"), False
        return
    if not listed and not any(hasattr(data, name) for name in ("__iter__", "__getitem__", "__call__")):
        raise DataError(f"adapt takes arrays, lists, frames or an iterator of batches, got {type(data).__name__}.")
    count = -1
    for count, batch in enumerate(itertools.islice(Stream(data, name="data").opened(), steps)):
        yield raw(batch[0] if isinstance(batch, tuple) else batch, f"batch {count} of data"), True
    if count < 0:
        raise DataError(f"adapt got no data: the {type(data).__name__} gave no batch.")


class Adapting(Layer):
    """Base of the layers that learn from data before training, with `adapt` or batch by batch with `update_state`."""

    def update_state(self, data: Any) -> None:
        """Learn from one more batch. The layer uses the result after `finalize_state`."""
        self._lamina_learn(raw(data, "data"), True)

    def _lamina_learn(self, data: HostArray, batch: bool) -> None:
        """Learn from an array: all of the data, or one batch of a stream."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _lamina_learn(self, data, batch).")

    def finalize_state(self) -> None:
        """Make later calls use what was learned so far."""
        raise NotImplementedError(f"{type(self).__name__} needs a method finalize_state(self).")

    def reset_state(self) -> None:
        """Forget what was learned, for the next `adapt`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method reset_state(self).")

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        """Returns the output for `x`; the layer must be adapted."""
        if self._lamina.running is None:
            require_adapted(self)
        return super().__call__(x, *others, **named)

    @user_facing
    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None, reset: bool = True) -> None:
        """Learn from data: arrays, lists, frames, or a stream of batches.

        If the stream fails or Ctrl-C stops it, the layer keeps what it learned until then, and
        `adapt(more, reset=False)` continues from there.

        Args:
            data: the data to learn from.
            batch_size: has no effect, since an array is used as a whole. Older programs pass it.
            steps: the number of batches of a stream to learn from; None uses all of them.
            reset: whether to forget first what was learned earlier.
        """
        if reset:
            self.reset_state()
        seen = False
        try:
            for piece, batch in data_of(data, steps):
                self._lamina_learn(piece, batch)
                seen = True
        finally:
            if seen:
                self.finalize_state()
