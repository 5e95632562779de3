"""The host stage: layers that turn text, or other raw values, into numbers before any compiled program sees them.

Such layers stand first in a stack. `LayerChain` hands the user's data through them, and the compiled program begins
behind them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lamina._base.frames import user_facing
from lamina._data.arrays import HostArray, has_axes
from lamina._data.frames import is_frame, opened
from lamina._data.stream import Stream
from lamina._layer.layer import Layer
from lamina._layer.structure import require_adapted
from lamina.errors import ArgumentError, CallError, DataError, StackError


class HostLayer(Layer):
    """A layer whose work is `host`, a function of NumPy arrays: of text (dtype object), or of numbers."""

    _lamina_on_host: ClassVar[bool] = True
    _lamina_takes_integers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.encoding: str = vars(self).get("encoding", "utf-8")
        self.built = True

    def _lamina_host(self, x: HostArray) -> HostArray:
        """What the layer makes of the data."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _lamina_host(self, x).")

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        """The output for raw data, a single value included."""
        if self._lamina.running is not None or isinstance(x, jax.core.Tracer):
            raise StackError(
                f"{self.name!r} ({type(self).__name__}) works on the host, before the compiled program: it cannot run "
                "inside another layer's call. Put it first in the stack."
            )
        if more := [*map(str, others), *(name for name in named if name not in ("training", "mask"))]:
            raise CallError(f"{self.name} ({type(self).__name__}) takes the data alone, and got {', '.join(more)} too.")
        x = raw(x, encoding=self.encoding)
        y = self._lamina_host(x) if x.ndim else self._lamina_host(x[None])[0]
        return jnp.asarray(y) if y.dtype.kind in "biuf" else y


class LayerChain(Layer):
    """Layers in one line, the first of which may work on the host."""

    @property
    def _lamina_chain(self) -> list[Any]:
        """The layers, first to last."""
        raise NotImplementedError(f"{type(self).__name__} needs a property _lamina_chain.")

    @property
    def _lamina_on_host(self) -> bool:  # type: ignore[override]
        """Whether the data goes through `host` first."""
        line = self._lamina_chain
        return bool(line) and line[0]._lamina_on_host

    @property
    def _lamina_body(self) -> list[Any]:
        """The layers of the compiled program: from the first on that does not do all of its work on the host."""
        line = self._lamina_chain
        start = next(
            (i for i, layer in enumerate(line) if not layer._lamina_on_host or getattr(layer, "_lamina_body", None)),
            len(line),
        )
        return line[start:]

    def _lamina_host(self, x: Any) -> Any:
        """What the layers on the host make of the data."""
        for layer in itertools.takewhile(lambda layer: layer._lamina_on_host, self._lamina_chain):
            x = layer._lamina_host(x)
        return x

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        if self._lamina.running is None:
            require_adapted(self)
            x = self._lamina_host(raw(x)) if self._lamina_on_host and not isinstance(x, jax.core.Tracer) else x
        return super().__call__(x, *others, **named)

    @user_facing
    def compute_output_shape(self, input_shape: Any) -> Any:
        if not self._lamina_on_host:
            return super().compute_output_shape(input_shape)
        shape = tuple(input_shape)
        for layer in self._lamina_chain:
            shape = layer.compute_output_shape(shape)
        return shape


def raw(value: Any, name: str = "x", encoding: str = "utf-8") -> HostArray:
    """The user's data as an array of numbers, or of `str` objects; bytes are decoded.

    >>> raw(["one", b"two"])
    array(['one', 'two'], dtype=object)
    """
    if is_frame(value):
        value = opened(value, name).to_numpy()
    elif hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    first = value
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    try:
        array = np.asarray(value, object if isinstance(first, (str, bytes)) else None)
    except ValueError:
        raise DataError(f"the rows of {name} have different lengths; bring them to one.") from None
    if array.dtype.kind in "biuf":
        return array
    items = array.ravel().tolist()
    if items and all(isinstance(item, (int, float, np.number)) for item in items):
        return np.asarray(items).reshape(array.shape)
    words = np.empty(len(items), object)
    words[:] = [
        item if type(item) is str else _word(item, row, name, array.shape, encoding) for row, item in enumerate(items)
    ]
    return words.reshape(array.shape)


def _word(item: Any, place: int, name: str, shape: tuple[int, ...], encoding: str) -> str:
    if isinstance(item, bytes):
        return item.decode(encoding, "replace")
    if isinstance(item, str):
        return str(item)
    at = ", ".join(map(str, np.unravel_index(place, shape))) if shape else ""
    if isinstance(item, (list, tuple)):
        raise DataError(f"the rows of {name} have different lengths: {name}[{at}] is {str(item)[:40]}.")
    raise DataError(
        f"{name} holds text, but {name}[{at}] is {item!r} ({type(item).__name__}). Fill what is missing, as in "
        f"{name}.fillna('') of pandas, and make text of numbers: {name}.astype(str)."
    )


def pieces(data: Any, steps: int | None) -> Iterator[tuple[HostArray, bool]]:
    """What `adapt` is shown: the data in one piece, or batch by batch; and whether it is a batch of a stream.

    A batch may be a tuple of x and more; x counts.
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
        raise DataError(f"adapt was shown nothing: the {type(data).__name__} gave no batch.")


class Adapting(Layer):
    """A layer that learns from the data before training: `adapt`, or piece by piece with `update_state`."""

    def update_state(self, data: Any) -> None:
        """Take one more batch into account; `finalize_state` puts what was learned to use."""
        self._lamina_learn(raw(data, "data"), True)

    def _lamina_learn(self, data: HostArray, batch: bool) -> None:
        """Take data into account that is all there is, or one batch of a stream."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _lamina_learn(self, data, batch).")

    def finalize_state(self) -> None:
        """Put to use what was learned so far."""
        raise NotImplementedError(f"{type(self).__name__} needs a method finalize_state(self).")

    def reset_state(self) -> None:
        """Forget what was learned."""
        raise NotImplementedError(f"{type(self).__name__} needs a method reset_state(self).")

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        """The output for `x`, once the layer is adapted."""
        if self._lamina.running is None:
            require_adapted(self)
        return super().__call__(x, *others, **named)

    @user_facing
    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None, reset: bool = True) -> None:
        """Learn from data: arrays, lists, frames, or a stream of batches.

        What was learned is kept when the stream ends, fails or is stopped by Ctrl-C: `adapt(more, reset=False)`
        goes on from there.

        Args:
            batch_size: taken for the sake of older code; all of an array counts at once.
            steps: how many batches of a stream are looked at.
            reset: whether to forget first what was learned before.
        """
        if reset:
            self.reset_state()
        seen = False
        try:
            for piece, batch in pieces(data, steps):
                self._lamina_learn(piece, batch)
                seen = True
        finally:
            if seen:
                self.finalize_state()
