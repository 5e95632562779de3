"""Hands the data and the progress of `fit`, and the data of `model.check`, to the checks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from lamina import _diagnosis as diagnosis
from lamina._data.arrays import is_mapped
from lamina._data.data_frames import named
from lamina._data.source import Table, is_stream
from lamina._diagnosis import findings
from lamina._diagnosis.findings import ROWS, Finding, Findings
from lamina._layer.host import columns_of
from lamina._training.feeds import ArrayFeed
from lamina._training.inputs import require_compiled, training_feeds
from lamina._training.model import Model, compiled_of
from lamina._training.request import DataRequest, RunPlan, fit_request
from lamina._training.stream_feed import Feed
from lamina._training.trainer import followed
from lamina.callbacks.callback_list import CallbackList
from lamina.callbacks.history import History
from lamina.callbacks.learning_rate import LearningRateScheduler
from lamina.errors import DataError

if TYPE_CHECKING:
    from lamina._diagnosis.case import Case


def case_of(model: Model, table: Table, validation: Feed | None) -> Case:
    """The data and the stack for the checks. x is the output of the layers that run on the host."""
    compiled = compiled_of(model)
    held_out = validation.table.x if isinstance(validation, ArrayFeed) else None
    other = None if is_mapped(held_out) else held_out
    weighted = table.sample_weight is not None
    columns = table.columns if named(table.columns) else columns_of(model)
    case = diagnosis.case.Case(
        table.x, table.y, model._lamina_body, compiled.loss, columns, other, compiled.names, weighted
    )
    drop = getattr(columns, "drop", "FeatureSpace.from_frame(x, features=dict.fromkeys({}))")
    return replace(case, drop=drop) if columns else case


class RunChecks:
    """The checks of one `fit`. It holds the case, and whether the model was seen to learn; it lives for that call."""

    def __init__(self, model: Model, feed: Feed, validation: Feed | None) -> None:
        self.model = model
        self.case: Case | None = None
        self.before, self.looked = model._lamina.steps_trained, False
        """The steps of earlier calls, and whether the loss was looked at."""
        self.losses: list[float] = []
        """The loss of each epoch."""
        table = feed.table if isinstance(feed, ArrayFeed) else None
        if table is not None and table.rows >= ROWS and not is_mapped(table.x) and findings.wanted():
            self.case = case_of(model, table, validation)
            findings.say(diagnosis.data.quick(self.case))

    @property
    def steps(self) -> int:
        return self.model._lamina.steps_trained - self.before

    def end_epoch(self, loss: float | None, callbacks: CallbackList) -> None:
        """Look once whether the model has learned anything: after 100 steps, when the loss no longer falls."""
        if self.case is None or self.looked or loss is None:
            return
        self.losses.append(loss)
        if self.steps < diagnosis.runs.STEPS or loss < 0.99 * min(self.losses[:-1], default=-math.inf):
            return
        self.looked = True
        optimizer, own = compiled_of(self.model).optimizer, self.model._lamina_own_steps
        if own or followed(optimizer) is not None or any(isinstance(c, LearningRateScheduler) for c in callbacks):
            return
        findings.say(diagnosis.runs.nothing_learned(self.case, loss, float(optimizer.learning_rate), self.steps))

    def end(self, history: History, callbacks: CallbackList) -> None:
        """Look at the whole run."""
        if self.case is None or self.model._lamina_own_steps:
            return
        found: Iterator[Finding] = diagnosis.runs.overfitting(history.history, [*callbacks])
        if self.steps:
            found = chain(found, diagnosis.runs.not_settled(self.case, self.model._lamina.steps_trained))
        findings.say(found)


def check(model: Model, data: DataRequest, validation_data: object) -> Findings:
    """The findings of the checks in all rows, as `Sequential.check` describes."""
    require_compiled(model, "check")
    request, plan = fit_request(data, RunPlan(validation=DataRequest(validation_data)))
    if is_stream(data.x):
        raise DataError("check compares all rows, so it takes arrays or a frame: give it some thousand rows.")
    trained = model._lamina.columns
    feed, validation = training_feeds(model, request, plan)
    model._lamina.columns = trained
    assert isinstance(feed, ArrayFeed)
    case = case_of(model, feed.table, validation)
    return Findings(diagnosis.data.findings(case), f"{feed.table.rows} rows")
