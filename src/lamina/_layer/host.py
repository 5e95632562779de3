"""Layers that run on the host: they turn text or other raw values into numbers before the compiled program runs.

Such layers come first in a stack. `LayerChain` applies them to the user's data with NumPy. The compiled program runs
the layers after them.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import jax
import numpy as np

from lamina._arrays.arrays import HostArray, as_array
from lamina._arrays.shapes import Shape
from lamina._data.data_frames import is_frame, opened
from lamina._layer.layer import Layer
from lamina._layer.structure import require_adapted
from lamina._messages.tracebacks import user_facing
from lamina.errors import CallError, DataError, ShapeError, StackError


class HostLayer(Layer):
    """A layer that maps NumPy arrays of text (dtype object) or of numbers to NumPy arrays, in `_lamina_host`."""

    _lamina_on_host: ClassVar[bool] = True
    _lamina_takes_integers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.built = True

    def _lamina_host(self, x: Any) -> HostArray:
        """Returns the layer's output for an array of the user's data."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _lamina_host(self, x).")

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        """Returns the output for raw data, which may be a single value."""
        require_host(self, x, [*map(str, others), *named], "Put it first in the stack.")
        x = raw(x, encoding=vars(self).get("encoding", "utf-8"))
        y = _on_host(self, x) if x.ndim else _on_host(self, x[None])[0]
        return as_array(y) if y.dtype.kind in "biuf" else y


class LayerChain(Layer):
    """Base of the layers that apply other layers in sequence; the first of them may run on the host."""

    _lamina_trains_by_default: ClassVar[bool | None] = None

    @property
    def _lamina_chain(self) -> list[Any]:
        """The layers, first to last."""
        raise NotImplementedError(f"{type(self).__name__} needs a property _lamina_chain.")

    @property
    def _lamina_on_host(self) -> bool:  # type: ignore[override]
        """Whether the first layer runs on the host."""
        line = self._lamina_chain
        return bool(line) and line[0]._lamina_on_host

    @property
    def _lamina_body(self) -> list[Layer]:
        """The layers of the compiled program, from the first one that computes something there."""
        line = self._lamina_chain
        return list(itertools.dropwhile(_ends_on_host, line))

    @property
    def _lamina_takes_frames(self) -> bool:
        """Whether the first layer takes tables with named columns."""
        return takes_frames(self)

    def _lamina_is_sample(self, shape: Shape) -> bool:
        return bool(self._lamina_chain) and all(layer._lamina_is_sample(shape) for layer in self._lamina_chain)

    def _lamina_host(self, x: Any) -> HostArray:
        """The data after the layers that run on the host."""
        data: HostArray = x
        for layer in itertools.takewhile(lambda layer: layer._lamina_on_host, self._lamina_chain):
            data = _on_host(layer, data)
        return data

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


def _ends_on_host(layer: Any) -> bool:
    """Whether nothing of the layer runs in the compiled program."""
    return layer._lamina_on_host and not getattr(layer, "_lamina_body", type(layer).call is not Layer.call)


def takes_frames(model: Any) -> bool:
    """Whether the model's first layer takes tables with named columns, as a FeatureSpace does."""
    return table_layer(model) is not None


def needs_adapting(model: Any) -> bool:
    """Whether the model's first layer takes tables, and has never been adapted, neither by `fit` nor by hand."""
    first = table_layer(model)
    return first is not None and first._lamina_needs_adapting


def adapt_on(model: Any, table: Any, every: Any = None) -> None:
    """Adapt the model's first layer to the rows of a raw table that train, and its vocabularies to all rows."""
    table_layer(model)._lamina_adapt(table, every)


def learned_of(model: Any) -> dict[str, Any] | None:
    """What the model's first layer has learned of tables, in the form for files; None for other models."""
    first = table_layer(model)
    learned: dict[str, Any] | None = None if first is None else first._lamina_learned
    return learned


def columns_of(model: Any) -> list[str | None] | None:
    """The column of the table that each number of an encoded row is; None for a part of one. None for other models."""
    first = table_layer(model)
    return None if first is None else first._lamina_columns


def table_layer(model: Any) -> Any:
    """The layer that takes tables, at the beginning of a stack or of a stack within it; None if there is none."""
    while isinstance(model, LayerChain):
        if not model._lamina_chain:
            return None
        model = model._lamina_chain[0]
    return model if getattr(model, "_lamina_takes_frames", False) else None


def _on_host(layer: Any, x: HostArray) -> HostArray:
    """The output of a layer on the host; if memory does not suffice, the error names the layer."""
    try:
        y: HostArray = layer._lamina_host(x)
    except ShapeError as error:
        if not str(error).startswith("makes"):
            raise
        raise ShapeError(f"{layer.name!r} ({type(layer).__name__}), given {x.shape}, {error}") from None
    return y


def require_host(layer: Layer, inputs: object, others: list[str], instead: str) -> None:
    """Refuse a call inside a compiled program or inside another layer's call, and refuse further arguments."""
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(inputs))
    if layer._lamina.running is not None or traced:
        raise StackError(
            f"{layer.name!r} ({type(layer).__name__}) works on the host, before the compiled program: it cannot run "
            f"inside another layer's call. {instead}"
        )
    if more := [name for name in others if name not in ("training", "mask")]:
        raise CallError(f"{layer.name} ({type(layer).__name__}) takes the data alone, and got {', '.join(more)} too.")


def raw(value: object, name: str = "x", encoding: str = "utf-8") -> HostArray:
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
    words[:] = [it if type(it) is str else _word(it, row, name, array.shape, encoding) for row, it in enumerate(items)]
    return words.reshape(array.shape)


def _word(item: object, place: int, name: str, shape: tuple[int, ...], encoding: str) -> str:
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
