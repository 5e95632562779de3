"""Converts the data of `fit` and `evaluate` to feeds, and checks it against the model before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from lamina._arrays import devices
from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina._checks import indices, labels
from lamina._data.arrays import is_mapped
from lamina._data.classes import weights_by_number
from lamina._data.data_frames import Names, named
from lamina._data.raw_stream import first_rows
from lamina._data.raw_table import raw_table
from lamina._data.sample_weights import class_weighted, first_of, split
from lamina._data.source import Table, arrays, is_stream
from lamina._data.stream import Stream
from lamina._layer.host import adapt_on, needs_adapting, takes_frames
from lamina._layer.inputs import one_output
from lamina._layer.keys import seed_of
from lamina._layer.structure import restored_on_error
from lamina._messages.tracebacks import warn
from lamina._settings.strictness import strictness
from lamina._training import gaps, own_steps
from lamina._training.feeds import ArrayFeed, Chunk, Key, batch_size_for, given_batch_size
from lamina._training.model import Model, compiled_of, output_of
from lamina._training.request import DataRequest, RunPlan
from lamina._training.resume import recall
from lamina._training.stream_feed import Feed, StreamFeed
from lamina._training.targets import forgotten_on_error, last_activation, numbers_of, target_of
from lamina._training.trainer import trainer_for
from lamina._weights.turns import making
from lamina.dtypes import floatx
from lamina.errors import LaminaError, NotCompiledError, ShapeError, StackError


def require_compiled(model: Model, verb: str) -> None:
    """Raise an error if `compile` was not called."""
    if model._lamina.compiled is None:
        raise NotCompiledError(f"call compile before {verb}: model.compile('adam', loss='mse').")
    model._lamina_require_layers()


def key_of(model: Model) -> Key:
    """Return the key that decides the order of the rows in an epoch that begins now."""
    return seed_of(model), model._lamina.steps_trained


def training_feeds(model: Model, data: DataRequest, plan: RunPlan) -> tuple[Feed, Feed | None]:
    """Make the feed that `fit` trains on, and the feed that it validates on, if any."""
    with forgotten_on_error(model):
        return _training_feeds(model, data, plan)


def _training_feeds(model: Model, data: DataRequest, plan: RunPlan) -> tuple[Feed, Feed | None]:
    held_out, before = None, model._lamina.columns if model._lamina.steps_trained else None
    validation = plan.validation._replace(batch_size=plan.validation.batch_size or data.batch_size)
    feed: Feed
    recall(model, plan.store)
    if is_stream(data.x):
        if needs_adapting(model):
            first, x = first_rows(data.x)
            data = data._replace(x=x)
            adapt_on(model, first)
            print(f"{model.layers[0].name!r} is adapted to the first {len(first):,} rows of the stream.")
        stream = _stream(model, data, before)
        stream.noting = plan.store is not None
        feed = streamed = StreamFeed(stream, data.steps, data.shuffle)
        stream.expect(plan.epochs - plan.initial_epoch, streamed.asked)
        table = streamed.first(key_of(model))
        say_own_size(stream, table, data)
        check(model, table, data)
        stream.check, stream.columns = check_for_later_batches(model, data, table), named(table.columns)
    else:
        data = numbers_of(model, data, learns=True)
        data = data._replace(x=adapted_to(model, data.x, plan.validation_split))
        table = _table(model, data, mapped=True, trained=before)
        check(model, table, data)
        if plan.validation_split:
            table, held_out = split(table, plan.validation_split)
        table = class_weighted(table, data.class_weight)  # validation rows get no class weights, as in Keras
        data = data._replace(batch_size=batch_size_for(table.rows, data.batch_size, data.steps))
        feed = _array_feed(model, table, data, training=True)
    measured: Feed | None = held_out and _measured(model, held_out, validation)
    trained = named(table.columns)
    if validation.x is not None:
        measured = measuring_feed(model, plan.validation if is_stream(validation.x) else validation, trained)
    model._lamina.columns = trained
    return feed, measured


def adapted_to(model: Model, x: Any, validation_split: float) -> Any:
    """Open the table of a model that takes tables, and adapt the model to the rows that train, if it never was."""
    if not takes_frames(model):
        return x
    table = raw_table(x)
    if needs_adapting(model):
        adapt_on(model, table[: first_of(len(table), validation_split) if validation_split else None])
    return table


def measuring_feed(model: Model, data: DataRequest, trained: Names | None) -> Feed:
    """Make the feed of `evaluate` or of a validation; check its data against the model and the columns of training."""
    if is_stream(data.x):
        feed = StreamFeed(_stream(model, data, trained), data.steps, anew=True)
        first = feed.first(key_of(model))
        say_own_size(feed.stream, first, data)
        with _said_of(data):
            check(model, first, data)
        feed.stream.check = check_for_later_batches(model, data, first)
        return feed
    with _said_of(data):
        data = numbers_of(model, data)
        table = _table(model, data, mapped=True, trained=trained)
        check(model, table, data)
    return _measured(model, table, data)


@contextmanager
def _said_of(data: DataRequest) -> Iterator[None]:
    """An error in the data of a validation begins with `validation_data`."""
    try:
        yield
    except LaminaError as error:
        if data.name == "x":
            raise
        raise type(error)(f"{data.name}: {error}") from None


def _measured(model: Model, table: Table, data: DataRequest) -> ArrayFeed:
    return _array_feed(model, table, data._replace(batch_size=batch_size_for(table.rows, data.batch_size, data.steps)))


def _array_feed(model: Model, table: Table, data: DataRequest, training: bool = False) -> ArrayFeed:
    return ArrayFeed(
        table, data.batch_size or 32, data.steps, data.shuffle, anew=not training,
        fill=trainer_for(model).fills[training], look=_look(model, data) if is_mapped(table.x) else None,
    )  # fmt: skip


def _look(model: Model, data: DataRequest) -> Callable[[HostArray, HostArray], None]:
    """Make the function that checks the rows of an x in a file when they are read."""

    def look(x: HostArray, rows: HostArray) -> None:
        if data.finite:
            gaps.check(model, Table(x), rows)
        indices.within_tables(model, x, rows)

    return look


def whole_batch(model: Model, data: DataRequest) -> Chunk:
    """Make one batch of all rows, for `train_on_batch` and `test_on_batch`. NumPy arrays start the program sooner."""
    data = numbers_of(model, data)
    table = _table(model, data)
    check(model, table, data)
    table = class_weighted(table, data.class_weight)
    batch = {name: array[None] for name, array in table.named.items()}
    placement = devices.current()
    return Chunk(devices.batches(batch, placement) if placement else batch, table.rows, 0, 1)


def _stream(model: Model, data: DataRequest, trained: Names | None) -> Stream:
    stream = Stream(
        data.x, data.y, data.sample_weight, class_weight=weights_by_number(data.class_weight, model._lamina.classes),
        name=data.name, floatx=floatx(), host=host_of(model), target=target_of(model),
    )  # fmt: skip
    stream.columns = trained
    return stream


def say_own_size(stream: Stream, first: Table, data: DataRequest) -> None:
    """Warn if the `batch_size` of a call differs from that of a stream, which `first` is the first batch of."""
    size = getattr(stream.source, "batch_size", None) or first.rows
    if data.batch_size is not None and given_batch_size(data.batch_size) != size:
        given = "batch_size" if data.name == "x" else "validation_batch_size"
        warn(f"{given}={data.batch_size} has no effect: the batches of {data.name} have {size} rows of their own.")


def _table(
    model: Model, data: DataRequest, mapped: bool = False, trained: Names | None = None
) -> Table:  # fmt: skip
    x = model._lamina_host(data.x) if model._lamina_on_host else data.x
    return arrays(x, data.y, data.sample_weight, floatx=floatx(), mapped=mapped, trained=trained)


def host_of(model: Model) -> Callable[[Any], HostArray] | None:
    """Return the function that converts raw data to numbers, if the model has layers that do this on the host."""
    return model._lamina_host if model._lamina_on_host else None


def check(model: Model, table: Table, data: DataRequest) -> None:
    """Check the data before the first step: indices, weights, shapes, NaN, targets."""
    seen = table._replace(x=table.x[:0]) if is_mapped(table.x) else table  # a mapped x is checked when it is read
    indices.within_tables(model, seen.x)
    _say_negative(model, table.sample_weight)
    compiled = compiled_of(model)
    with (
        making,
        nullcontext() if model.built else restored_on_error(model),
    ):  # refused data must not decide the model's input shape
        try:
            output = output_of(model, (None, *table.x.shape[1:]))
        except ShapeError as error:
            if not model.built or table.y is None or table.y.shape[1:] != model._lamina_body_shape[1:]:
                raise
            raise ShapeError(f"{error}\nThe given y has the shape of an input: pass x first, then y.") from None
        if data.finite:
            gaps.check(model, seen)
        if isinstance(output, list):
            top = model._lamina_chain[-1]
            raise StackError(
                f"{top.name!r} returns a list of {len(output)}, but a loss takes one tensor. {one_output(top)}; "
                "predict can return a list."
            )
        _check_targets(model, table, output, data.class_weight)
    if table.y is not None or not own_steps.is_own(model, "train"):
        compiled.metrics_for(None if table.y is None else table.y.shape, output)


def _say_negative(model: Model, weights: HostArray | None) -> None:
    if weights is not None and "negative" not in model._lamina.said and (weights < 0).any():
        model._lamina.said.add("negative")
        row = int((weights < 0).reshape(len(weights), -1).any(axis=1).argmax())
        warn(f"sample_weight[{row}] is negative: training makes the loss of such a row larger, not smaller.")


def _check_targets(model: Model, table: Table, output: Shape, class_weight: object = None) -> None:
    compiled = compiled_of(model)
    if compiled.loss is not None and not model._lamina_own_steps:  # custom steps decide themselves what a target is
        labels.fit_loss(
            compiled.loss, table.y, output, last_activation=last_activation(model._lamina_chain[-1]),
            metrics=(*compiled.measures, *compiled.weighted_measures), class_weight=class_weight,
            sample_weight=table.sample_weight,
        )  # fmt: skip


def check_for_later_batches(model: Model, data: DataRequest, first: Table) -> Callable[[Table], None]:
    """Make the check for each batch of a stream after the first one: its values, and its shapes if they are new."""
    seen = {_shapes(first)}
    loss = compiled_of(model).loss

    def look(table: Table) -> None:
        shapes = _shapes(table)
        output = output_of(model, (None, *table.x.shape[1:]))
        if shapes not in seen:
            _check_targets(model, table, output)
            seen.add(shapes)
        indices.within_tables(model, table.x)
        if data.finite and strictness["non_finite"] == "raise":  # otherwise the check of the loss finds it
            gaps.check(model, table._replace(x=table.x[:0]))  # all of x would take too long
        if loss is not None and table.y is not None:
            labels.fit_values(loss, table.y, output)

    return look


def _shapes(table: Table) -> tuple[Shape | None, ...]:
    """The shapes of a row of x, y and sample_weight."""
    return tuple(None if array is None else array.shape[1:] for array in table[:3])
