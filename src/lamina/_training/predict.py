"""Predicting: one compiled program whose batch is padded to a power of two, and as little as possible around it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from lamina._base.converters import positive
from lamina._checks import indices
from lamina._data.source import arrays, is_stream
from lamina._data.stream import Stream
from lamina._display.verbosity import verbosity
from lamina._layer.masks import mask_of, with_mask
from lamina._layer.structure import Snapshot
from lamina._training import programs
from lamina._training import steps as train
from lamina._training.feeds import given_batch_size
from lamina._training.inputs import host_of
from lamina._training.model import Model
from lamina._training.request import DataRequest, RunPlan
from lamina._training.steps import ProgramSpec
from lamina.callbacks import CallbackList
from lamina.dtypes import floatx

ELEMENTS = 2**20
"""How many input numbers go through the stack at once, unless batch_size says otherwise."""


class Predictor:
    """The programs that map input rows to output rows, for the stack as it is now."""

    def __init__(self, model: Model) -> None:
        self.spec = ProgramSpec(model)
        self.eager = model._lamina.compiled is not None and model._lamina.compiled.eager
        self.ready: dict[Any, Any] = {}
        self.reader = indices.reader(model)
        """The layer that reads the data as indices, if there is one."""

    def __call__(self, x: Any) -> Any:
        """The output for the rows of `x`, on the device.  (n, ...) -> (n, ...)"""
        rows = x.shape[0]
        padded = rows if self.spec.carried else 1 << (rows - 1).bit_length()  # a state has a row for each of x
        if padded != rows:
            x = np.concatenate([x, np.zeros((padded - rows, *x.shape[1:]), x.dtype)])
        params = {path: weight.array for path, weight in self.spec.trained.items()}
        state = {path: weight.array for path, weight in self.spec.fixed.items()}
        program = self.ready.get((x.shape, x.dtype))
        if program is None:
            key = self.spec.key and ("predict", self.spec.key)
            future = programs.compiled(key, train.predict(self.spec), (params, state, x), eager=self.eager)
            program = self.ready[x.shape, x.dtype] = future.result()
        y, mask, carried = program(params, state, x)
        for path, value in carried.items():
            self.spec.fixed[path].array = value
        if padded != rows:
            y = each(lambda y: np.asarray(y)[:rows], y)
        if mask is not None:
            with_mask(y, mask[:rows])
        return y


def each(function: Any, y: Any) -> Any:
    """`function` of the output, or of each where the top layer has several."""
    return tuple(map(function, y)) if isinstance(y, tuple) else function(y)


def predictor_for(model: Model) -> Predictor:
    """The model's predictor, made anew when a layer was changed."""
    kept = model._lamina.kept.get("predictor")
    if kept is None or not kept[0].is_current():
        kept = model._lamina.kept["predictor"] = Snapshot(model), Predictor(model)
    predictor: Predictor = kept[1]
    return predictor


def forward(model: Model, x: Any) -> Any:
    """`model(x)`: the output as a JAX array."""
    rows, predictor = _ready(model, x)
    given = predictor(rows)
    y = each(jax.numpy.asarray, given)
    with_mask(y, mask_of(given))
    return y


def predict_on_batch(model: Model, x: Any) -> Any:
    """The output for all rows at once."""
    rows, predictor = _ready(model, x)
    return each(np.asarray, predictor(rows))


def _ready(model: Model, x: Any) -> tuple[np.ndarray[Any, Any], Predictor]:
    """The data as an array that the stack takes, and the predictor of the stack, which is built if need be."""
    if model._lamina_on_host:
        x = model._lamina_host(x)
    known = type(x) is np.ndarray and x.ndim and x.dtype == floatx()
    rows: np.ndarray[Any, Any] = x if known and len(x) else arrays(x, floatx=floatx()).x
    return rows, _fitting(model, rows)


def _fitting(model: Model, rows: np.ndarray[Any, Any]) -> Predictor:
    """The predictor, once the stack is built for these rows and takes all of their values."""
    if not model.built or rows.shape[1:] != model._lamina.entry.shape:
        model._lamina_build(rows.shape)
    predictor = predictor_for(model)
    if predictor.reader is not None:
        indices.check(rows, predictor.reader)
    return predictor


def predict(model: Model, data: DataRequest, plan: RunPlan) -> Any:
    """The output for all rows, as `Sequential.predict` says."""
    if is_stream(data.x):
        stream = Stream(data.x, floatx=floatx(), host=host_of(model), check=lambda table: _fitting(model, table.x))
        return _batch_by_batch(model, (table.x for table in stream.epoch(data.steps, anew=True)), plan)
    x, predictor = _ready(model, data.x)
    size = model._lamina.entry.batch_size if predictor.spec.carried and data.batch_size is None else data.batch_size
    size = min(max(ELEMENTS // max(x[:1].size, 1), 32), 4096) if size is None else given_batch_size(size)
    if data.steps is not None:
        x = x[: positive(data.steps) * size]
    if len(x) <= size and not plan.callbacks and plan.verbose in ("auto", 0):
        return each(np.asarray, predictor(x))
    return _batch_by_batch(model, [x[start : start + size] for start in range(0, len(x), size)], plan)


def _batch_by_batch(model: Model, batches: Any, plan: RunPlan) -> Any:
    total = len(batches) if isinstance(batches, list) else None
    verbose = verbosity(plan.verbose)
    outputs = []
    with CallbackList(
        plan.callbacks, add_progbar=verbose != 0, model=model, verbose=verbose, epochs=1, steps=total
    ) as callbacks:
        callbacks.on_predict_begin()
        for step, batch in enumerate(batches):
            callbacks.on_predict_batch_begin(step)
            outputs.append(each(np.asarray, predictor_for(model)(batch)))
            callbacks.on_predict_batch_end(step, {"outputs": outputs[-1]})
        callbacks.on_predict_end()
    if isinstance(outputs[0], tuple):
        return tuple(map(np.concatenate, zip(*outputs, strict=True)))
    return np.concatenate(outputs)
