"""Sweeps: trains a stack with many settings, may drop the worst early, and ranks them in a table."""

from __future__ import annotations

import contextvars
import copy
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from typing import Any, TypeGuard

from lamina._data.classes import labels_of
from lamina._data.data_frames import is_frame
from lamina._data.source import arrays, is_stream
from lamina._display.verbosity import verbosity
from lamina._ensembles.halving import Course, Rung
from lamina._ensembles.shared import SharedPrograms
from lamina._ensembles.swept import Settings, Sweep, ranked
from lamina._ensembles.together import at_once, build, keep_busy, on_one_thread, shared_by
from lamina._layer.structure import parts
from lamina._messages.spelling import unknown_argument
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.converters import checked, fixed_seed, integer, one_of, optional, short
from lamina._training.inputs import require_compiled
from lamina._training.model import compiled_of
from lamina._training.request import Callbacks
from lamina.callbacks.callback_list import CallbackList
from lamina.callbacks.monitor import Mode, log_name
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError, NonFiniteError, StackError
from lamina.models.sequential import Sequential
from lamina.random import begin_seeds, next_seed
from lamina.utils.progbar import Progbar


@user_facing
def sweep(
    make_model: Callable[..., Sequential], settings: Mapping[str, Iterable[Any]] | Sequence[Settings], x: Any,
    y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: int | str = "auto",
    callbacks: Callbacks | Callable[[Settings], Callbacks] = None, *, monitor: str = "val_loss",
    mode: Mode = "auto", halving: int | None = None, seed: int | None = None,
    **kwargs: Any,
) -> Sweep:  # fmt: skip
    """Train a model for each setting, one on each core at a time, and rank the models.

    Each model is the same as after `set_random_seed(seed)`, `make_model(**setting)` and `fit`. Settings that differ
    only in numbers share one compiled program: learning rates, dropout rates, strengths of noise and of regularizers,
    momenta, seeds. Other settings, such as `units` or `activation`, need a program for each value. So do a 0 that means
    "none", and numbers in metrics and in layers or optimizers of your own.

    >>> import numpy as np
    >>> from lamina import layers, optimizers
    >>> def make_model(learning_rate, rate):
    ...     model = Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dropout(rate), layers.Dense(1)])
    ...     model.compile(optimizers.Adam(learning_rate), "mse")
    ...     return model
    >>> x = np.random.default_rng(0).normal(size=(200, 4))
    >>> found = sweep(
    ...     make_model, {"learning_rate": [0.1, 0.01, 1e-6], "rate": [0.1, 0.2]}, x, x[:, 0], epochs=4,
    ...     validation_split=0.2, halving=3, seed=1, verbose=0,
    ... )
    >>> found
    <Sweep of 6 settings by val_loss, best: learning_rate=0.1, rate=0.1>
    >>> found.best_model.predict(x, verbose=0).shape
    (200, 1)

    `print(found)` shows the table, and `found.frame()` is a frame of pandas. Ctrl-C ends the sweep, which returns the
    results so far. A setting whose loss becomes NaN is marked in the table, and the others continue.

    Args:
        make_model: a function that takes the names of the settings as keyword arguments, and returns a new, compiled
            Sequential.
        settings: a dict with a list of values for each name, of which all combinations are tried; or a list of dicts,
            one for each combination, for a random search.
        x: arrays or a frame with one row per sample.
        y: the targets.
        batch_size: rows per batch, 32 by default.
        epochs: the number of passes of each model over the data, if it is not dropped.
        verbose: 0 silent, 1 a bar over the settings, 2 one line; with the best value so far.
        callbacks: a `Callback` or a list of them, of which each model gets a copy; or a function from a setting, a
            dict, to such a list.
        monitor: the name in the logs that ranks the models, by its value in the epoch whose weights a model has.
        mode: whether "min" or "max" is better; "auto" decides by the metric.
        halving: 3 repeatedly keeps only the best third: with 60 settings and 27 epochs, 20 are left after epoch 1, 7
            after epoch 3, and 3 after epoch 9 (Jamieson and Talwalkar 2016, "Non-stochastic best arm identification
            and hyperparameter optimization"). None trains all models to the end.
        seed: the seed of each model; drawn by default. To compare seeds, let make_model pass a setting to
            `set_random_seed`.
        kwargs: further arguments of `Sequential.fit`, except `checkpoint`.
    """
    chosen = _combinations(settings)
    if is_stream(x):
        raise DataError(f"a sweep is trained on arrays; x is a {type(x).__name__}, a stream of batches.")
    if "checkpoint" in kwargs:
        raise ArgumentError("a checkpoint keeps the state of one model: train the best one with it.")
    checked("sweep", "monitor", log_name, monitor)
    if monitor.startswith("val_") and not kwargs.get("validation_split") and kwargs.get("validation_data") is None:
        raise ArgumentError(
            f"sweep(monitor={monitor!r}) needs validation: add validation_split=0.2 or validation_data=(x, y), "
            f"or rank by monitor={monitor.removeprefix('val_')!r}."
        )
    checked("sweep", "mode", one_of("auto", "min", "max"), mode)
    share = checked("sweep", "halving", optional(_share), halving)
    seed = checked("sweep", "seed", fixed_seed, next_seed() if seed is None else seed)
    contexts = [contextvars.copy_context() for _ in chosen]
    models = [
        context.run(_made, make_model, setting, x, seed) for context, setting in zip(contexts, chosen, strict=True)
    ]
    _require_apart(models)
    x, y = shared_by(models, x, y, kwargs)
    if not (is_frame(x) or models[0]._lamina_on_host or labels_of(y)):  # once for all of them
        x, y, kwargs["sample_weight"], _ = arrays(x, y, kwargs.get("sample_weight"), floatx=floatx())
    told = [callbacks(each) if _is_function(callbacks) else copy.deepcopy(callbacks) for each in chosen]
    course = Course(models, kwargs.get("initial_epoch", 0), epochs, share, at_once())
    rungs = [Rung(course, number, monitor, mode) for number in range(len(chosen))]
    programs, alone = SharedPrograms(models), not course.drops and keep_busy(len(chosen))

    def fit(number: int) -> None:
        model, watched = models[number], [*CallbackList(told[number]), rungs[number]]
        with ExitStack() as around:
            around.enter_context(course.turn(number))
            around.enter_context(programs.used_by(model))
            around.enter_context(on_one_thread(alone))
            if not course.ended:
                try:
                    model.fit(x, y, batch_size, epochs, 0, watched, **kwargs)
                    course.finish(number)
                except NonFiniteError as error:
                    course.fail(number, str(error).splitlines()[0].rstrip("."))

    _train(course, rungs, lambda number: contexts[number].run(fit, number), verbosity(verbose))
    order, rows = ranked(chosen, models, [list(CallbackList(each)) for each in told], course, rungs)
    ordered = [models[number] for number in order]
    return Sweep([chosen[number] for number in order], rows, ordered, monitor, seed)


def _train(course: Course, rungs: list[Rung], fit: Callable[[int], None], verbose: int) -> None:
    """Run all fits. The first error ends them. So does Ctrl-C, after which the table has the results so far."""
    shown = Progbar(len(rungs), verbose=verbose, unit_name="setting", stateless_metrics=())
    with ThreadPoolExecutor(len(rungs) if course.drops else at_once(), thread_name_prefix="lamina-fit") as pool:
        begun = {pool.submit(fit, number): number for number in range(len(rungs))}
        try:
            for count, done in enumerate(as_completed(begun), 1):
                done.result()
                best = course.best()
                shown.update(count, [] if best is None else [(f"best {rungs[0].monitor}", best)])
        except BaseException as error:
            course.end()
            pool.shutdown(wait=True, cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt) or course.best() is None:
                raise
            warn("the sweep was interrupted, and returns what is known so far.")


def _share(value: object) -> int:
    if integer(value) < 2:
        raise ArgumentError("expected a whole number of at least 2, such as 3 to keep a third, or None.")
    return integer(value)


def _combinations(settings: object) -> list[Settings]:
    """The arguments of make_model, a dict for each model."""
    if isinstance(settings, Mapping):
        values = {name: _values(name, value) for name, value in settings.items()}
        settings = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
        settings = settings if values else []
    if (
        not isinstance(settings, (list, tuple))
        or not settings
        or not all(isinstance(each, Mapping) for each in settings)
    ):
        raise ArgumentError(
            "sweep takes for each name a list of values, {'learning_rate': [0.1, 0.01], 'rate': [0.2, 0.5]}, "
            f"or a list of dicts, one for each model; got {short(settings)}."
        )
    return [dict(each) for each in settings]


def _values(name: str, values: object) -> list[Any]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ArgumentError(f"sweep: {name!r} is {short(values)}, and not a list of values: [{short(values)}].")
    if not (listed := list(values)):
        raise ArgumentError(f"sweep: {name!r} is an empty list, so there is nothing to train. Give it a value.")
    return listed


def _is_function(callbacks: Callbacks | Callable[[Settings], Callbacks]) -> TypeGuard[Callable[[Settings], Callbacks]]:
    return callable(callbacks) and not hasattr(callbacks, "on_epoch_end")


def _made(make_model: Callable[..., Sequential], setting: Settings, x: Any, seed: int) -> Sequential:
    """Make and build the model of a setting, so that its seeds do not depend on which model is trained first."""
    _require_arguments(make_model, setting)
    begin_seeds(seed)
    model = make_model(**setting)
    if not isinstance(model, Sequential):
        raise ArgumentError(f"make_model returned {short(model)}: expected a compiled Sequential: `return model`.")
    require_compiled(model, "make_model returns it")
    if not model._lamina_on_host:
        build([model], arrays(x[:1], floatx=floatx()).x.shape[1:])
    return model


def _require_arguments(make_model: object, setting: Settings) -> None:
    if not callable(make_model) or isinstance(make_model, Sequential):
        raise ArgumentError(
            f"sweep takes a function that makes a compiled model from a setting, got {short(make_model)}:\n"
            "def make_model(learning_rate): ...; model.compile(...); return model"
        )
    signature = inspect.signature(make_model)
    try:
        signature.bind(**setting)
    except TypeError as error:
        unknown = [name for name in setting if name not in signature.parameters]
        if unknown:
            raise unknown_argument("make_model", unknown[0], list(signature.parameters)) from None
        raise ArgumentError(f"make_model: {error}. The settings are: {', '.join(setting)}.") from None


def _require_apart(models: list[Sequential]) -> None:
    """Raise an error if two models would train the same weight or optimizer."""
    known: set[int] = set()
    for model in models:
        own = [*(part.layer for part in parts(model)), compiled_of(model).optimizer]
        for each in own:
            if id(each) in known:
                raise StackError(
                    f"make_model returned {short(each)} twice. Make the model, its layers and its optimizer within "
                    "make_model, so that each setting has its own."
                )
        known |= set(map(id, own))
