"""From the arguments of `fit` and `evaluate` to data on the device, checked against the model before the first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina._base.converters import checked, optional, positive
from lamina._base.shapes import Shape
from lamina._checks import indices, labels, values
from lamina._data.source import Table, arrays, is_stream
from lamina._data.stream import Stream
from lamina._data.weights import class_weights, split
from lamina._layer.forward import output_shape
from lamina._layer.structure import restored_on_error
from lamina._training.feeds import ArrayFeed, Feed, Piece, StreamFeed, batch_size_for, on_device
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError, NotCompiledError, ShapeError, StackError
from lamina.layers.activations import Softmax


def require_compiled(model: Any, verb: str) -> None:
    """Refuse to train or measure before `compile`."""
    if model._lamina.compiled is None:
        raise NotCompiledError(f"call compile before {verb}: model.compile('adam', loss='mse').")
    model._lamina_require_layers()


def fit_feeds(
    model: Any,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    batch_size: int | None,
    steps: int | None,
    shuffle: bool | str,
    epochs: int,
    validation_split: float,
    validation_data: Any,
    validation_steps: int | None,
    validation_batch_size: int | None,
) -> tuple[Feed, Feed | None]:
    """What `fit` trains on, and what it validates on."""
    steps = checked("fit", "steps_per_epoch", optional(positive), steps)
    validation_steps = checked("fit", "validation_steps", optional(positive), validation_steps)
    validation_batch_size = checked("fit", "validation_batch_size", optional(positive), validation_batch_size)
    held_out = None
    feed: Feed
    if is_stream(x):
        if validation_split:
            raise DataError("validation_split needs arrays; give a stream of batches its own validation_data.")
        told = {"floatx": floatx(), "host": host_of(model), "check": later(model)}
        stream = Stream(x, y, sample_weight, class_weight=class_weight, **told)
        stream.expect(epochs, steps)
        feed = StreamFeed(stream, steps, shuffle)
        check(model, feed.first())
    else:
        table = _weighted_table(model, x, y, sample_weight, class_weight)
        if validation_split:
            table, held_out = split(table, validation_split)
        batch_size = batch_size_for(table.rows, batch_size, steps)
        feed = ArrayFeed(table, batch_size, steps, shuffle)
    size = validation_batch_size or batch_size
    if validation_data is not None:
        names = ("validation x", "validation y")
        return feed, measuring_feed(model, *_unpacked(validation_data), size, validation_steps, names)
    return feed, held_out and ArrayFeed(held_out, size or 32, validation_steps, anew=True)


def whole_batch(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any = None) -> Piece:
    """All rows as one batch, for `train_on_batch` and `test_on_batch`."""
    table = _weighted_table(model, x, y, sample_weight, class_weight)
    order = np.arange(table.rows, dtype=np.int32)
    return Piece(on_device(table, table.rows), order, table.rows, np.int32(0), np.int32(1))


def _weighted_table(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Table:
    table = arrays(model._lamina_host(x) if model._lamina_on_host else x, y, sample_weight, floatx=floatx())
    check(model, table, class_weight)
    if class_weight is None:
        return table
    return table._replace(sample_weight=class_weights(class_weight, table.y, table.sample_weight))


def measuring_feed(
    model: Any, x: Any, y: Any, sample_weight: Any, batch_size: int | None, steps: int | None, names: Any = ("x", "y")
) -> Feed:
    """The data of `evaluate` or of a validation, checked against the model."""
    steps = checked("evaluate", "steps", optional(positive), steps)
    if is_stream(x):
        told = {"floatx": floatx(), "host": host_of(model), "check": later(model)}
        stream = Stream(x, y, sample_weight, name=names[0], **told)
        feed = StreamFeed(stream, steps, anew=True)
        check(model, feed.first())
        return feed
    table = arrays(
        model._lamina_host(x) if model._lamina_on_host else x, y, sample_weight, names=names, floatx=floatx()
    )
    check(model, table)
    return ArrayFeed(table, batch_size_for(table.rows, batch_size, steps), steps, anew=True)


def host_of(model: Any) -> Any:
    """What makes numbers of the model's raw data, if it has layers for that."""
    return model._lamina_host if model._lamina_on_host else None


def check(model: Any, table: Table, class_weight: Any = None) -> None:
    """All that can be said of the data before the first step."""
    values.finite(table)
    indices.within_tables(model, table.x)
    compiled = model._lamina.compiled
    with restored_on_error(model):  # data that is refused must not settle the shapes
        model._lamina_build((None, *table.x.shape[1:]))
        if isinstance(model.output_shape, list):
            top = model._lamina_chain[-1]
            raise StackError(
                f"{top.name!r} returns {len(model.output_shape)} tensors, and a loss measures one: train "
                "without return_state=True and with a merge_mode; predict takes both."
            )
        _check_targets(model, table, model.output_shape, class_weight)
    compiled.metrics_for(None if table.y is None else table.y.shape, model.output_shape)


def _check_targets(model: Any, table: Table, output: Shape, class_weight: Any = None) -> None:
    compiled = model._lamina.compiled
    if compiled.loss is not None:
        labels.fit_loss(
            compiled.loss,
            table.y,
            output,
            last_activation=_last_activation(model._lamina_chain[-1]),
            metrics=(*compiled.measures, *compiled.weighted_measures),
            class_weight=class_weight,
            sample_weight=table.sample_weight,
        )


def later(model: Any) -> Callable[[Table], None]:
    """What is looked at in each batch of a stream after the first: its values, and where its shapes are new, these."""
    outputs: dict[Any, Any] = {}
    """The shape of the model's output for each set of shapes; that for the first is known to the model."""
    loss = model._lamina.compiled.loss

    def look(table: Table) -> None:
        shapes = tuple(None if array is None else (None, *array.shape[1:]) for array in table[:3])
        if not outputs:  # the first batch goes through `check`
            outputs[shapes] = None
            return
        if shapes not in outputs:
            try:
                output = output_shape(model, shapes[0])  # type: ignore[arg-type]
            except ShapeError as error:
                first = next(iter(outputs))[0]
                raise ShapeError(f"x is {shapes[0]} here, {first} in the first batch: {error}") from None
            _check_targets(model, table, output)
            outputs[shapes] = output
        indices.within_tables(model, table.x)
        values.finite(table._replace(x=table.x[:0]))  # all of x would take too long
        if loss is not None and table.y is not None:
            labels.fit_values(loss, table.y, outputs[shapes] or model.output_shape)

    return look


def _last_activation(layer: Any) -> str | None:
    """The name of the function that the output comes from, where it is known."""
    if isinstance(layer, Softmax):
        return "softmax" if layer.axis == -1 else None
    return getattr(getattr(layer, "activation", None), "__name__", None)


def _unpacked(validation_data: Any) -> tuple[Any, Any, Any]:
    if is_stream(validation_data):
        return validation_data, None, None
    if not isinstance(validation_data, (tuple, list)) or not 1 <= len(validation_data) <= 3:
        raise ArgumentError("validation_data is (x, y), (x, y, sample_weight), or a stream of batches.")
    x, y, weight = (*validation_data, None, None)[:3]
    return x, y, weight
