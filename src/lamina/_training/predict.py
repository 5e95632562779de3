"""Prediction: one compiled program for pieces of the data that fit the CPU cache, with little overhead."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax
import numpy as np

from lamina._arrays import devices
from lamina._arrays.arrays import HostArray, as_array
from lamina._arrays.shapes import Shape
from lamina._checks import indices
from lamina._data.arrays import is_mapped, read
from lamina._data.raw_table import RawTable, raw_table
from lamina._data.row_sources import given
from lamina._data.source import Table, arrays, is_stream
from lamina._data.stream import Stream
from lamina._display.verbosity import verbosity
from lamina._layer.forward import hand_out
from lamina._layer.host import takes_frames
from lamina._layer.keys import next_call
from lamina._layer.masks import mask_of, with_mask
from lamina._layer.structure import Snapshot, parts
from lamina._programs import programs
from lamina._settings.converters import positive
from lamina._settings.run_limits import limited_steps, say_out_of_data
from lamina._training import steps as train
from lamina._training.feeds import batch_size_for, given_batch_size
from lamina._training.inputs import host_of, say_own_size
from lamina._training.model import Model
from lamina._training.request import DataRequest, RunPlan
from lamina._training.spec import ProgramSpec
from lamina._training.together import together
from lamina._weights.turns import Reading, making
from lamina.callbacks import CallbackList
from lamina.dtypes import floatx

CACHED = 2**21
"""The most numbers in the largest array between two layers, so that the array stays in the CPU cache."""
ROWS = 8, 2048
"""The fewest and the most rows in one piece, if batch_size is not given."""
ENCODED = 2**13
"""How many rows of a table are encoded at once at least, since each column takes some time for itself."""
POLLS = 600
"""The number of checks for a ready output, 0.3 µs each, before the thread sleeps; waking up takes 50 to 100 µs. For one
row, this reduces the time of the census stack from 140 to 45 µs, and of the dense MNIST stack from 190 to 75.
"""
LATE, AGAIN = 5, 100
"""After this number of late outputs, calls sleep at once, until the hundredth: while a program uses all cores, a thread
that checks for the output takes time from it.
"""


class Predictor:
    """The programs that map input rows to output rows, for the present stack."""

    def __init__(self, model: Model) -> None:
        self.spec, self.placement = ProgramSpec(model), devices.current()
        self.eager = model._lamina.compiled is not None and model._lamina.compiled.eager
        self.ready: dict[Hashable, programs.Program] = {}
        self.reader = indices.reader(model)
        """The layer that reads the data as indices, if there is one."""
        self.fills = not (self.spec.carried or self.spec.draws)  # a state has one row for each row of x
        """Whether a batch may be filled with rows that are dropped later, or split differently."""
        self.regularized = any(part.layer.activity_regularizer is not None for part in parts(model))
        """Whether layers add losses that depend on all rows of a batch."""
        self.late: dict[Hashable, int] = {}
        """The number of consecutive late outputs of each program."""
        self.at_once: dict[Shape, int] = {}
        """A cache of the number of rows in one piece, by shape, since each call needs it."""
        self.call: Any = jax.device_put(np.zeros(2, np.uint32))
        self.losses: list[Any] = []
        """The losses that layers added in the latest call."""
        devices.holders.add(self)
        self.place()

    @property
    def busy(self) -> bool:
        """Whether the model is trained now."""
        return self.spec.model._lamina.busy

    def place(self) -> None:
        """Move the weights to the devices where the programs take them."""
        devices.place((weight, weight.path) for weight in (self.spec.trained | self.spec.fixed).values())

    def reading(self) -> Reading:
        """Return the arrays for one call of `predict`, which may run while another thread trains."""
        return Reading(self.spec.trained, self.spec.fixed)

    def __call__(
        self, x: HostArray, size: int | None = None, fills: bool = True, reading: Reading | None = None
    ) -> Any:
        """Return the output for the rows of `x`, on the device.  (n, ...) -> (n, ...)

        The rows are filled up to a power of two, or to `size`, the number of rows of most calls.
        """
        rows = x.shape[0]
        padded = (size or 1 << (rows - 1).bit_length()) if self.fills and fills else rows
        if padded != rows:
            x = np.concatenate([x, np.zeros((padded - rows, *x.shape[1:]), x.dtype)])
        whole = len(x)
        if self.placement is not None:
            x = self.placement.filled_up(x)
        reading = reading or self.reading()
        params, state = reading()
        call = next_call(self.spec.model) if self.spec.draws else self.call
        kind = whole, x.shape, x.dtype
        program = self.ready.get(kind)
        if program is None:
            future = programs.compiled(
                self.spec.key and ("predict", self.spec.key, whole - len(x)), train.predict(self.spec, whole),
                (params, state, x, call), eager=self.eager, shardings=self._shardings(),
            )  # fmt: skip
            program = self.ready[kind] = future.result()
        y, mask, carried, self.losses = program(params, state, x, call)
        if self.losses and not self.spec.added:  # the program was compiled for an equal model
            jax.eval_shape(train.predict(self.spec, whole), params, state, x, call)
        if not self.eager:
            self._await(y, kind)
        if carried:
            reading.put(carried)
        if padded != rows:
            y = each(lambda y: np.asarray(y)[:rows], y)
        if mask is not None:
            with_mask(y, mask[:rows])
        return y

    def _shardings(self) -> devices.Shardings | None:
        """How a program takes the arrays of `__call__` on several devices, of which each returns the whole output."""
        if (placement := self.placement) is None:
            return None
        weights = placement.of_each(self.spec.trained), placement.of_each(self.spec.fixed)
        return devices.Shardings((*weights, placement.rows, placement.whole), placement.whole, placement.whole)

    def _await(self, y: Any, kind: Hashable) -> None:
        """Wait without sleeping for an output that will be ready soon."""
        late, last = self.late.get(kind, 0), y[-1] if isinstance(y, tuple) else y
        if late < LATE and any(last.is_ready() for _ in range(POLLS)):
            self.late[kind] = 0
        else:
            self.late[kind] = (late + 1) % AGAIN

    def rows_at_once(self, shape: Shape) -> int:
        """Return the power of two for which the largest array between two layers still fits the CPU cache."""
        if shape[1:] not in self.at_once:
            built = [part.layer for part in parts(self.spec.model) if part.layer._lamina.shapes]
            outputs = [layer._lamina.shapes[1] for layer in built if not getattr(layer, "_lamina_in_next_loop", False)]
            shapes = [each for one in outputs for each in (one if isinstance(one, list) else [one])]
            largest = max(math.prod(int(n or shape[1] or 1) for n in each[1:]) for each in (shape, *shapes))
            self.at_once[shape[1:]] = 1 << int(np.clip(CACHED // max(largest, 1), *ROWS)).bit_length() - 1
        return self.at_once[shape[1:]]


def each(function: Callable[[Any], Any], y: Any) -> Any:
    """Apply `function` to the output, or to each output if the top layer has several."""
    return tuple(map(function, y)) if isinstance(y, tuple) else function(y)


def own(y: Any) -> Any:
    """Return the output as an array that the user may change."""
    return each(np.array, y)


class Outputs:
    """Collects the outputs of the pieces in one array, which is made once if the number of rows is known."""

    def __init__(self, rows: int | None) -> None:
        self.rows, self.filled = rows, 0
        self.whole: list[HostArray] = []
        self.pieces: list[Any] = []

    def add(self, y: Any, rows: int) -> Any:
        """Convert the output of a piece of `rows` rows to the form in which it is kept."""
        parts = list(map(np.asarray, y if isinstance(y, tuple) else (y,)))
        if any(part.shape[:1] != (rows,) for part in parts):  # a custom layer has changed the number of rows
            self.rows = None
        if self.rows is None:
            self.pieces.append(own(y))
            return self.pieces[-1]
        self.whole = self.whole or [np.empty((self.rows, *part.shape[1:]), part.dtype) for part in parts]
        start, self.filled = self.filled, self.filled + len(parts[0])
        for array, part in zip(self.whole, parts, strict=True):
            array[start : self.filled] = part
        views = tuple(array[start : self.filled] for array in self.whole)
        return views if isinstance(y, tuple) else views[0]

    def result(self) -> Any:
        if self.rows is not None:
            # A callback may have stopped the prediction, so the array is cut to the rows that were computed.
            whole = [array if len(array) == self.filled else array[: self.filled].copy() for array in self.whole]
            return tuple(whole) if len(whole) > 1 else whole[0]
        if isinstance(self.pieces[0], tuple):
            return tuple(map(np.concatenate, zip(*self.pieces, strict=True)))
        return np.concatenate(self.pieces)


def predictor_for(model: Model) -> Predictor:
    """Return the model's predictor; it is made again if a layer has changed."""
    kept: tuple[Snapshot, Predictor] | None = model._lamina.kept.get("predictor")
    if kept is None or not kept[0].is_current():
        with making:
            kept = model._lamina.kept.get("predictor")
            if kept is None or not kept[0].is_current():
                kept = model._lamina.kept["predictor"] = Snapshot(model), Predictor(model)
    return kept[1]


def forward(model: Model, x: object) -> Any:
    """Call the model, `model(x)`, and return the output as a JAX array."""
    with together("model(x)"):
        rows, predictor = _ready(model, x)
        given = predictor(rows, fills=not predictor.regularized)
    hand_out(model, predictor.losses, predictor.spec.added)
    y = each(as_array, given)
    with_mask(y, mask_of(given))
    return y


def predict_on_batch(model: Model, x: object) -> Any:
    """Return the output for all rows, computed at once."""
    with together("predict_on_batch"):
        rows, predictor = _ready(model, x)
        return own(predictor(rows))


def _ready(model: Model, x: Any) -> tuple[HostArray, Predictor]:
    """Convert the data to an array for the stack, build the stack if necessary, and return both with its predictor."""
    if model._lamina_on_host:
        x = model._lamina_host(x)
    known = type(x) is np.ndarray and x.ndim and x.dtype == floatx()
    table = Table(x) if known and len(x) else arrays(x, floatx=floatx(), none=True, trained=model._lamina.columns)
    return table.x, _fitting(model, table.x)


def _fitting(model: Model, rows: HostArray, first: int = 0) -> Predictor:
    """Build the stack for these rows, check them and return the predictor; `first` is the number of the first row."""
    if not model.built or rows.shape[1:] != model._lamina.entry.batch_shape[1:]:
        model._lamina_build(rows.shape)
    predictor = predictor_for(model)
    if predictor.reader is not None:
        indices.check(rows, predictor.reader, np.arange(first, first + len(rows)) if first else None)
    return predictor


def predict(model: Model, data: DataRequest, plan: RunPlan) -> Any:
    """The output for all rows, as `Sequential.predict` says."""
    with together("predict"):
        return _predict(model, data, plan)


def _predict(model: Model, data: DataRequest, plan: RunPlan) -> Any:
    data = data._replace(x=given(data.x, None, batch_size=data.batch_size, predicts=True)[0])
    if is_stream(data.x):
        stream = Stream(data.x, floatx=floatx(), host=host_of(model), check=lambda table: _fitting(model, table.x))
        stream.columns = model._lamina.columns
        steps = limited_steps(data.steps, stream.steps)
        batches = _batches(stream, steps, data)
        return _batch_by_batch(model, batches, plan, steps=stream.steps if steps is None else steps)
    x: HostArray | RawTable
    if is_mapped(data.x) and not model._lamina_on_host:
        x, predictor = data.x, _fitting(model, read(data.x, slice(1), floatx()))
    elif takes_frames(model) and len(x := raw_table(data.x)) > ENCODED:
        predictor = _fitting(model, model._lamina_host(x[:1]))
    else:
        x, predictor = _ready(model, data.x)
    size, steps = data.batch_size, data.steps
    if size is None:  # then these steps take all rows, and callbacks see as many batches as in Keras
        told = batch_size_for(len(x) or 1, None, None if steps is None else positive(steps))
        if steps:
            _say_if_fewer(x, told, steps)
        told = told if steps else model._lamina.entry.batch_size or told
        size = predictor.rows_at_once(x.shape) if predictor.fills and not plan.callbacks else told
        steps = None
    size = given_batch_size(size)
    steps = limited_steps(steps, -(-len(x) // size))
    if steps is not None:
        _say_if_fewer(x, size, positive(steps))
        x = x[: steps * size]
    if len(x) <= size and not plan.callbacks and plan.verbose in ("auto", 0):
        return own(predictor(next(_pieces(model, x, size))))
    return _batch_by_batch(model, x, plan, size)


def _batches(stream: Stream, steps: int | None, data: DataRequest) -> Iterator[HostArray]:
    for number, table in enumerate(stream.epoch(steps, anew=True)):
        if number == 0:
            say_own_size(stream, table, data)
        yield table.x


def _say_if_fewer(x: HostArray | RawTable, size: int, steps: int) -> None:
    if steps > (whole := -(-len(x) // size)):
        say_out_of_data("x", whole, steps)


def _pieces(model: Model, x: HostArray | RawTable, size: int) -> Iterator[HostArray]:
    if isinstance(x, RawTable):
        many = size * -(-ENCODED // size)
        for start in range(0, len(x), many):
            yield from _pieces(model, model._lamina_host(x[start : start + many]), size)
        return
    for start in range(0, len(x) or 1, size):  # without rows there is one empty piece
        part = read(x, slice(start, start + size), floatx())
        if is_mapped(x):  # data in memory was checked before
            _fitting(model, part, start)
        yield part


def _batch_by_batch(model: Model, data: Any, plan: RunPlan, size: int | None = None, steps: int | None = None) -> Any:
    """Predict `steps` batches of a stream, or the rows of an array in batches of `size`."""
    rows, batches = None, data
    if size is not None:
        rows, steps, batches = len(data), -(-(len(data) or 1) // size), _pieces(model, data, size)
    verbose, outputs = verbosity(plan.verbose), Outputs(rows)
    reading = before = None
    with CallbackList(
        plan.callbacks, add_progbar=verbose != 0, model=model, verbose=verbose, epochs=1, steps=steps
    ) as callbacks:
        model.stop_predicting = False
        callbacks.on_predict_begin()
        for step, batch in enumerate(batches):
            callbacks.on_predict_batch_begin(step)
            predictor = predictor_for(model)
            if reading is None or predictor is not before:
                reading, before = predictor.reading(), predictor
            kept = outputs.add(predictor(batch, size, reading=reading), len(batch))
            callbacks.on_predict_batch_end(step, {"outputs": kept})
            if model.stop_predicting:
                break
        callbacks.on_predict_end()
    return outputs.result()
