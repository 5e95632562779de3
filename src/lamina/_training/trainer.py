"""Between the model and the compiled programs: hands the arrays in, runs chunks of data, hands the arrays back."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np

from lamina._arrays.arrays import Array, copied, on_host
from lamina._checks.rows import stay_apart
from lamina._layer.keys import seed_of
from lamina._layer.structure import Snapshot, parts, weights_beside, weights_by_path
from lamina._messages.tracebacks import warn
from lamina._programs import programs
from lamina._training import own_steps
from lamina._training import steps as train
from lamina._training.claims import states_of
from lamina._training.compilation import Compiled
from lamina._training.feeds import Chunk, Feed
from lamina._training.fingerprint import fingerprint
from lamina._training.model import Model, compiled_of
from lamina._training.non_finite import NonFinite
from lamina._training.own_steps import Arrays, Sums
from lamina._training.steps import ProgramSpec, Steps, TrainState
from lamina._weights.turns import Reading, busy_elsewhere, lock, making, this_thread
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError
from lamina.losses.loss import Loss
from lamina.metrics.exact import completed, places, with_room
from lamina.metrics.metric import start_of, state_of
from lamina.optimizers.optimizer import Optimizer, extend
from lamina.optimizers.state import take_back
from lamina.random import key_of

GOOD = -1
"""The value of `TrainState.bad` while the loss is finite."""
BACKUP_BYTES = 2**26
"""The most memory that the copy of an epoch's start may take."""


class Trainer:
    """Runs one model with one set of loss, optimizer and metrics, and one pattern of layers that are trained."""

    def __init__(self, model: Model, compiled: Compiled) -> None:
        self.model, self.optimizer, self.eager = model, compiled.optimizer, compiled.eager
        _claim(self.optimizer, model)
        weights = weights_by_path(model).values()
        built = set(self.optimizer._lamina.weights)  # which it may also be built for, for a step of the user's own
        every = [*(weight for weight, _ in weights), *(w for w in weights_beside(model).values() if w in built)]
        extend(self.optimizer, [weight for weight, trained in weights if trained], every)
        self.spec = ProgramSpec(model, compiled)
        self.trained, self.fixed = self.spec.trained, self.spec.fixed
        self.weights = [*self.trained.values(), *self.fixed.values()]
        self.metrics = self.spec.measures
        self.measured = [state_of(metric) for metric in self.metrics]
        self.growing = places(self.metrics)
        self.own = own_steps.is_own(model, "train")
        self.schedule = followed(self.optimizer)
        self.optimizers = own_steps.optimizers_of(model) if self.own else [self.optimizer]
        self.claims = [model._lamina, *self.weights, *states_of(self.optimizers)]
        """All that a training changes."""
        self.starts: Sums = [start_of(metric) for metric in self.metrics]
        """The metrics before the first batch."""
        self.key = key_of(seed_of(model))
        self.step: tuple[int, Array | np.int32] = (-1, np.int32(-1))
        """How many steps the model had been trained when its arrays were handed back, also as it is on the device."""
        known = (self.spec.key or fingerprint([model, compiled.loss, compiled.metrics])) is not None
        self.fills = {training: known and _takes_more_rows(model, compiled, training) for training in (False, True)}
        """Whether a batch may get rows that do not count; not where nobody can tell what the user's own code does."""
        self.warned, self.undoes = False, True
        self.ready: dict[Hashable, Future[programs.Program]] = {}
        self.non_finite = NonFinite()

    def open(self, sums: Sums | None = None) -> TrainState:
        """The arrays that the layers, the optimizer and, unless `sums` are given, the metrics hold now.

        The programs overwrite what they are given: copies stand for those that the user may hold as well.
        """
        if not (self.trained or self.own or self.warned):
            self.warned = True
            warn(f"no weight of {self.model.name!r} is trainable, so nothing is learned: set layer.trainable = True.")
        with lock:
            this_thread().read = False
            for weight in self.weights:
                if weight.shown:
                    weight.array, weight.shown = copied(weight.array), False
            for optimizer in self.optimizers:
                take_back(optimizer)
        params, state = self._arrays()
        moments: list[Any] = [optimizer._lamina_arrays for optimizer in self.optimizers]
        if not self.own:  # the user's own step reads them as they are
            moments = [self.spec.order.taken(moments[0])]
        sums = sums or [[weight.array for weight in weights] for weights in self.measured]
        trained = self.model._lamina.steps_trained
        step = self.step[1] if self.step[0] == trained else _scalar(trained)
        goes_on = _scalar(self.non_finite.does == "warn", "bool")
        return TrainState(params, state, moments, sums, self.key, step, _scalar(GOOD), goes_on)

    def begin(self, non_finite: NonFinite, fits: bool) -> None:
        """Say what a loss that is not finite does. A step with one is undone, but where `fit` has a copy of the epoch's
        start: to undo it takes a twelfth of a small step.
        """
        self.non_finite = non_finite
        self.undoes = non_finite.does == "stop" or (non_finite.does == "raise" and not (fits and self.small))

    @functools.cached_property
    def small(self) -> bool:
        """Whether a copy of all arrays would not fill the memory."""
        return bool(sum(array.nbytes for array in jax.tree.leaves(self.open(self.starts))) <= BACKUP_BYTES)

    def backup(self, state: TrainState) -> TrainState | None:
        """A copy of the state at an epoch's start, in NumPy's arrays, where one is needed and small."""
        return on_host(state) if self.non_finite.does == "raise" and self.small else None

    def by_name(self, state: TrainState) -> TrainState:
        """The state with the optimizer's arrays in a tree, by their names."""
        tree = self.spec.order.inside
        return state if self.own else state._replace(optimizers=[tree.unflatten(state.optimizers[0])])

    def in_order(self, state: TrainState) -> TrainState:
        """The state again of which `by_name` made this one."""
        tree = self.spec.order.inside
        return state if self.own else state._replace(optimizers=[tree.flatten_up_to(state.optimizers[0])])

    def close(self, state: TrainState) -> None:
        """Let the layers, the optimizer and the metrics hold these arrays."""
        with this_thread():
            self._hand_back(state)
        self._count(state)

    def _hand_back(self, state: TrainState) -> None:
        _hand_back(self.trained, state.params)
        _hand_back(self.fixed, state.state)
        for optimizer, arrays in zip(self.optimizers, state.optimizers, strict=True):
            if self.own:
                optimizer._lamina_arrays = arrays
            else:
                self.spec.order.put_back(optimizer._lamina.arrays, arrays)
        self.keep(state.metrics)

    def _count(self, state: TrainState) -> None:
        self.step = int(np.asarray(state.step)), state.step
        self.model._lamina.steps_trained = self.step[0]

    def keep(self, sums: Sums) -> None:
        """Let the metrics hold what was measured; while another thread trains the model, they are for its sums."""
        with lock:
            if busy_elsewhere([self.model._lamina]) is not None:
                return
            for weights, values in zip(self.measured, sums, strict=True):
                for weight, value in zip(weights, values, strict=True):
                    weight.array, weight.shown = value, False

    def finalize(self) -> None:
        """The end of training: where the optimizer keeps averaged weights, they replace the last ones."""
        for optimizer in self.optimizers:
            known = set(optimizer._lamina.weights)  # a set, because == compares the values of weights
            weights = {weight.path: weight for weight in self.weights if weight in known}
            arrays = {path: weight.array for path, weight in weights.items()}
            with this_thread():
                for path, array in optimizer._lamina_finalize(arrays, optimizer._lamina_arrays or {}).items():
                    if array is not arrays[path]:
                        weights[path].value = array

    def train(self, chunk: Chunk, sums: Sums | None = None) -> tuple[dict[str, Any], int | None]:
        """Run a chunk: the logs, and the step of the chunk at which the loss was not finite.

        The metrics go on from `sums`, or from what they hold. To hand the arrays back and to free those before takes
        time, so both are done while the program runs. Other threads that read the weights then wait for the program.
        """
        state = self.open(sums)
        if self.build_optimizers(state, chunk):
            state = self.open(sums)
        metrics = with_room(self.growing, state.metrics, chunk)
        state = state._replace(metrics=metrics)
        run, before = self._train_program(state, chunk).result().ready(), self.model._lamina.steps_trained
        with this_thread() as home:
            if home.read:
                state = self.open(sums)._replace(metrics=metrics)
            after, logs = run(state[:3], state[3:], chunk.data, _scalar(chunk.start), _scalar(chunk.steps))
            del state
            self._hand_back(after)
        bad = int(np.asarray(after.bad))
        self._count(after)
        return self._named(logs), bad - before if bad >= 0 else None

    def build_optimizers(self, state: TrainState, chunk: Chunk) -> bool:
        """Make the state of the optimizers of a step of the user's own, which alone knows what each is for."""
        return self.own and own_steps.build_optimizers(self.optimizers, lambda: self._abstract_step(state, chunk))

    def _abstract_step(self, state: TrainState, chunk: Chunk) -> None:
        batch = {name: jax.ShapeDtypeStruct((chunk.size, *a.shape[1:]), a.dtype) for name, a in chunk.data.items()}
        jax.eval_shape(functools.partial(own_steps.train, self.spec), state, batch)

    def reading(self) -> Reading:
        """The arrays for a measurement, which may run while another thread trains."""
        return Reading(self.trained, self.fixed)

    def test(self, sums: Sums, chunk: Chunk, reading: Reading) -> tuple[Sums, dict[str, Any]]:
        sums = with_room(self.growing, sums, chunk)
        program = self._test_program(sums, chunk).result()
        sums, carried, logs = program(*reading(), sums, chunk.data, _scalar(chunk.start), _scalar(chunk.steps))
        if carried:
            reading.put(carried)
        return sums, self._named(logs)

    def prepare(self, feed: Feed, validation: Feed | None) -> None:
        """Compile in the background what is needed later: the short last batch, and the validation."""
        if self.model._lamina_own_steps:  # they run on the user's own objects, so in this thread alone
            return
        for chunk in feed.examples()[1:]:
            self._train_program(self.open(self.starts), chunk, ahead=True)
        for chunk in validation.examples() if validation else ():
            self._test_program(self.starts, chunk, ahead=True)

    def _named(self, logs: Arrays) -> dict[str, Any]:
        """Logs as Python floats, in the order of `compile`; a metric that is a vector stays an array."""
        host = {name: np.asarray(value) for name, value in logs.items()}
        first = [metric.name for metric in self.metrics if metric.name in host]
        ordered = {name: host[name] for name in first} | host
        return {name: array if array.ndim else float(array) for name, array in ordered.items()}

    def completed(self, logs: dict[str, Any], kind: str, sums: Sums | None = None) -> dict[str, Any]:
        """The logs when all of the data was seen, with the metrics that are computed then, of `sums` or as they are."""
        sums = sums or [[weight.array for weight in weights] for weights in self.measured]
        return logs if own_steps.is_own(self.model, kind) else completed(logs, self.metrics, sums)

    def _arrays(self) -> tuple[Arrays, Arrays]:
        params, state = ({path: weight.array for path, weight in w.items()} for w in (self.trained, self.fixed))
        return params, state

    def _train_program(self, state: TrainState, chunk: Chunk, ahead: bool = False) -> Future[programs.Program]:
        make = functools.partial(train.train, undoes=self.undoes)
        return self._program("train", make, chunk, (state[:3], state[3:], chunk.data), (0,), ahead)

    def _test_program(self, sums: Sums, chunk: Chunk, ahead: bool = False) -> Future[programs.Program]:
        return self._program("test", train.evaluate, chunk, (*self._arrays(), sums, chunk.data), (), ahead)

    def _program(
        self, kind: str, make: Callable[..., Steps], chunk: Chunk, arrays: Any, donate: tuple[int, ...], ahead: bool
    ) -> Future[programs.Program]:
        shapes = [(name, array.shape, array.dtype) for name, array in chunk.data.items()]
        sums = arrays[1][0] if kind == "train" else arrays[2]
        room = [sums[number][scores].shape for number, _, scores in self.growing]
        size = chunk.size, kind == "train" and self.undoes
        place = (kind, *size, *shapes, *room, programs.alone.get())
        if place not in self.ready:
            key = self.spec.key and (kind, self.spec.key, *size)
            arguments = (*arrays, _scalar(chunk.start), _scalar(chunk.steps))
            self.ready[place] = programs.compiled(
                key, make(self.spec, chunk.size), arguments, donate=donate, ahead=ahead, eager=self.eager
            )
        return self.ready[place]


def trainer_for(model: Model) -> Trainer:
    """The model's trainer for the layers that are trained now and for what the learning rate follows; all are made anew
    when a layer was changed."""
    with making:
        kept: tuple[Snapshot, dict[Hashable, Trainer]] | None = model._lamina.kept.get("trainers")
        if kept is None or not kept[0].is_current():
            kept = model._lamina.kept["trainers"] = Snapshot(model), {}
        snapshot, trainers = kept
        compiled = compiled_of(model)
        pattern = snapshot.trained(), followed(compiled.optimizer)
        if pattern not in trainers:
            trainers[pattern] = Trainer(model, compiled)
        return trainers[pattern]


def followed(optimizer: Optimizer) -> Hashable:
    """The function of the step that gives the learning rate, None for a number; it is a part of the program."""
    return getattr(optimizer, "inner_optimizer", optimizer)._lamina.schedule


@functools.lru_cache(1024)
def _scalar(value: int, dtype: str = "int32") -> Array:
    """A number as an array of no axes. Made once, since handing over one of NumPy's takes a tenth of a small step."""
    array: Array = jax.device_put(np.array(value, dtype))  # a third of the time of jnp.asarray
    return array


def _claim(optimizer: Optimizer, model: Model) -> None:
    """Let the optimizer's arrays belong to this model, and to no other."""
    state = optimizer._lamina
    if optimizer.built and state.owner is not None and not state.is_of(model._lamina):
        raise ArgumentError(
            f"this {type(optimizer).__name__} holds the moments of another model's weights. "
            "Give each model an optimizer of its own: compile(optimizers.Adam(...), ...)."
        )
    state.owner = weakref.ref(model._lamina)


def _takes_more_rows(model: Model, compiled: Compiled, training: bool) -> bool:
    """Whether rows that are added to a batch, and do not count themselves, change nothing for the others."""
    measures = [metric for metric, _ in compiled.metrics or ()]
    # With weights, which leave the added rows out, a metric that ignores a class counts otherwise than without.
    ignores = any(getattr(metric, "ignore_class", None) is not None for metric in measures)
    across = any(_looks_across_rows(getattr(each, "_fn", each)) for each in (compiled.loss, *measures))
    # A loss with a `__call__` of its own need not know what a mask is, and of unreduced values all count for the mean.
    loss = compiled.loss
    whole = loss is not None and (type(loss).__call__ is not Loss.__call__ or loss.reduction in (None, "none"))
    # Of one number a row a loss makes one for the batch.
    lone = model._lamina.shapes is not None and len(model._lamina.shapes[1]) < 2
    if ignores or across or whole or lone or not stay_apart(model):
        return False
    return not any(
        layer.activity_regularizer is not None
        or any(weight.carried for weight in layer._lamina.weights)
        or (training and getattr(layer, "_lamina_mixes_rows", False))
        for layer in (part.layer for part in parts(model))
    )


def _looks_across_rows(measure: object) -> bool:
    """Whether a loss or a metric has values that several rows make together."""
    return getattr(measure, "_lamina_mixes_rows", False) or getattr(measure, "axis", -1) != -1


def _hand_back(weights: dict[str, Weight], arrays: Arrays) -> None:
    for path, array in arrays.items():
        weights[path].array, weights[path].shown = array, False
