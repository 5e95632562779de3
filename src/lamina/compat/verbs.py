"""The methods of Keras 1 and 2 that Keras 3 refuses. They exist while the hook is installed."""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np

from lamina import Sequential
from lamina._files.files import make_folder
from lamina._layer.host import HostLayer, LayerChain
from lamina._layer.layer import Layer
from lamina._layer.structure import parts
from lamina._messages.tracebacks import user_facing, warn
from lamina._saving.paths import FilePath
from lamina._settings.settings import Configured
from lamina._training.request import Callbacks
from lamina.callbacks import Callback, History, ModelCheckpoint
from lamina.callbacks import callback_list as callback_list
from lamina.compat import callbacks, freezing, logs
from lamina.compat.arguments import configured, translate
from lamina.compat.functional import layer_called, show_members, symbolic_input, symbolic_output
from lamina.compat.told import say
from lamina.datasets import imdb, reuters
from lamina.layers import HashedCrossing, Normalization
from lamina.layers.features.adapting import Adapting
from lamina.metrics import Metric
from lamina.models.stack import Stack

STEPS = ("steps_per_epoch", "validation_steps", "steps")
"""Arguments for which programs pass a fraction, `len(x) / batch_size`."""
FILES = (".h5", ".hdf5", ".keras", ".weights.json", ".safetensors")


def _with_old_arguments(verb: Callable[..., Any]) -> Callable[..., Any]:
    @user_facing
    def call(self: Sequential, *args: Any, **kwargs: Any) -> Any:
        given = translate(verb.__name__, [verb.__name__], (), kwargs)
        given |= {name: max(1, int(given[name])) for name in STEPS if isinstance(given.get(name), float)}
        return verb(self, *args, **given)

    return call


def _compile(compile: Callable[..., Any]) -> Callable[..., Any]:
    """Make `compile` accept Keras 2's order, (optimizer, loss, metrics), if the third argument is not a number."""

    @user_facing
    def call(self: Sequential, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 2 and isinstance(args[2], (list, tuple, str)) and "metrics" not in kwargs:
            say("compile(optimizer, loss, metrics) by position is now compile(optimizer, loss, metrics=metrics).")
            kwargs, args = dict(zip(("metrics", "loss_weights"), args[2:], strict=False)) | kwargs, args[:2]
        return compile(self, *args, **kwargs)

    return call


def _save(save: Callable[..., None]) -> Callable[..., None]:
    @user_facing
    def call(self: Sequential, filepath: FilePath, *args: object, **kwargs: object) -> None:
        return save(self, _ending(filepath, "save", ".keras"), *args, **kwargs)

    return call


def _save_weights(save_weights: Callable[..., None]) -> Callable[..., None]:
    @user_facing
    def call(
        self: Sequential, filepath: FilePath, overwrite: bool = True, save_format: object = None, **kwargs: object
    ) -> None:
        name = os.fspath(filepath)
        if name.endswith((".h5", ".hdf5")) and not name.endswith(".weights.h5"):
            say("save_weights('....h5') is now save_weights('....weights.h5'); here the file holds the layers too.")
            return self.save(name, overwrite, include_optimizer=False)
        return save_weights(self, _ending(name, "save_weights", ".weights.h5"), overwrite, **kwargs)

    return call


def _load_weights(load_weights: Callable[..., None]) -> Callable[..., Restored]:
    @user_facing
    def call(self: Sequential, filepath: FilePath, *args: object, **kwargs: object) -> Restored:
        load_weights(self, written_name(filepath, ".weights.h5"), *args, **kwargs)
        return Restored()

    return call


class Restored:
    """The result of TensorFlow's load_weights. Its methods do nothing, because all weights are loaded already."""

    def expect_partial(self) -> Restored:
        return self

    assert_consumed = assert_existing_objects_matched = expect_partial


def _ending(filepath: FilePath, verb: str, ending: str) -> str:
    """The name of a file with the ending that Keras 3 requires. For a name without one, folders are made as well."""
    name: str = os.fspath(filepath)
    if name.endswith(FILES):
        return name
    say(f"{verb} writes a file with {ending!r} behind its name, which has no ending.")
    if os.path.dirname(name.rstrip("/")):
        make_folder(os.path.dirname(name.rstrip("/")))
    return name.rstrip("/") + ending


def written_name(filepath: FilePath, ending: str) -> str:
    """The name under which a file without an ending was written."""
    name: str = os.fspath(filepath)
    written = name.rstrip("/") + ending
    return written if not name.endswith(FILES) and os.path.exists(written) else name


@user_facing
def fit_generator(self: Sequential, generator: Any, *args: Any, **kwargs: Any) -> History:
    """Call `fit` with batches, with Keras 2's order of arguments."""
    say("fit_generator(generator) is now fit(generator).")
    names = "steps_per_epoch epochs verbose callbacks validation_data validation_steps validation_freq class_weight"
    given = dict(zip(names.split(), args, strict=False)) | kwargs
    given["shuffle"] = given.get("shuffle", True)
    if "samples_per_epoch" in given:
        generator, given["samples_per_epoch"] = _steps(generator, given["samples_per_epoch"])
    if "nb_val_samples" in given:
        given["validation_data"], given["nb_val_samples"] = _steps(given["validation_data"], given["nb_val_samples"])
    given = translate("fit_generator", ["fit_generator", "fit"], (), given)
    return self.fit(generator, **given)


@user_facing
def evaluate_generator(
    self: Sequential, generator: Any, steps: int | None = None, callbacks: Callbacks = None, **kwargs: Any
) -> Any:
    """Call `evaluate` with batches."""
    say("evaluate_generator(generator) is now evaluate(generator).")
    if "val_samples" in kwargs:
        generator, steps = _steps(generator, kwargs.pop("val_samples"))
    given = translate("evaluate_generator", ["fit"], (), {"verbose": 0, **kwargs})
    return self.evaluate(generator, steps=steps, callbacks=callbacks, **given)


@user_facing
def predict_generator(
    self: Sequential, generator: Any, steps: int | None = None, callbacks: Callbacks = None, **kwargs: Any
) -> Any:
    """Call `predict` with batches."""
    say("predict_generator(generator) is now predict(generator).")
    if "val_samples" in kwargs:
        generator, steps = _steps(generator, kwargs.pop("val_samples"))
    given = translate("predict_generator", ["fit"], (), {"verbose": 0, **kwargs})
    return self.predict(generator, steps=steps, callbacks=callbacks, **given)


def _steps(generator: Any, samples: int) -> tuple[Any, int]:
    """Convert Keras 1's number of samples to a number of batches. Returns the batches and this number."""
    size = getattr(generator, "batch_size", None)
    if size is None:
        batches: Iterator[Any] = iter(generator)
        first = next(batches)
        size, generator = len(first[0]), itertools.chain([first], batches)
    return generator, max(1, samples // size)


@user_facing
def predict_proba(self: Sequential, x: object, batch_size: int | None = 32, verbose: int | str = 0) -> Any:
    """Call `predict`."""
    say("predict_proba(x) is now predict(x).")
    return self.predict(x, batch_size, verbose)


def reset_states(self: Sequential) -> None:
    """Reset the states of the stateful layers."""
    say("reset_states() of a model is now reset_state() of its layers.")
    for part in parts(self):
        reset = getattr(part.layer, "reset_state", None) or getattr(part.layer, "reset_states", None)
        if reset is not None and not isinstance(part.layer, Sequential) and getattr(part.layer, "stateful", False):
            reset()


def make_predict_function(self: Sequential) -> None:
    """Have no effect: `predict` works in every thread."""


def reset_metric(self: Metric) -> None:
    """Reset the metric."""
    say("reset_states() of a metric is now reset_state().")
    self.reset_state()


def _as_tensor(kept: property) -> property:
    """Make a statistic of a Normalization return a JAX array, which has `.numpy()` here."""

    def read(self: Normalization) -> Any:
        value = kept.__get__(self)
        return jnp.asarray(value) if isinstance(value, np.ndarray) else value

    return property(read)


def to_yaml(self: Sequential, **kwargs: object) -> NoReturn:
    """Refused by Keras since 2.6."""
    warn("to_yaml is to_json now: reading YAML could run code.")
    raise RuntimeError(
        "Keras 3 does not have to_yaml. Write model.to_json(), and read it with keras.models.model_from_json."
    )


def _stateful(self: Sequential) -> bool:
    inside = (part.layer for part in parts(self) if not isinstance(part.layer, Sequential))
    return any(getattr(layer, "stateful", False) for layer in inside)


def _with_nb_words(load: Callable[..., Any]) -> Callable[..., Any]:
    """Make the `load_data` of texts accept `nb_words`, Keras 1's name of `num_words`."""

    def call(*args: object, **kwargs: object) -> Any:
        if "nb_words" in kwargs:
            say("load_data(nb_words=) is now load_data(num_words=).")
            kwargs["num_words"] = kwargs.pop("nb_words")
        return load(*args, **kwargs)

    return call


MISSING = object()
CALLED = (Layer, HostLayer, LayerChain, Adapting, HashedCrossing, Sequential)
"""The classes that define `__call__`."""
PATCHES: list[tuple[Any, str, Callable[[Any], Any]]] = [
    (Configured, "__init__", configured),
    (History, "__init__", logs.history_begins),
    (Callback, "set_model", logs.set_model),
    *((ModelCheckpoint, name, lambda _, member=member: member) for name, member in callbacks.OF_CHECKPOINTS.items()),
    (callback_list, "_plain", logs.plain_logs),
    *((Sequential, name, _with_old_arguments) for name in ("fit", "evaluate", "predict", "compile")),
    *((texts, "load_data", _with_nb_words) for texts in (imdb, reuters)),
    (Sequential, "compile", _compile),
    (Sequential, "compile", freezing.compiling),
    *((Sequential, name, freezing.training) for name in ("fit", "train_on_batch")),
    (Sequential, "save", _save),
    (Sequential, "save_weights", _save_weights),
    (Sequential, "load_weights", _load_weights),
    *((Sequential, verb.__name__, lambda _, verb=verb: verb) for verb in (
        fit_generator, evaluate_generator, predict_generator, predict_proba, reset_states, to_yaml,
    )),
    (Sequential, "_make_predict_function", lambda _: make_predict_function),
    (Metric, "reset_states", lambda _: reset_metric),
    *((Normalization, name, _as_tensor) for name in ("mean", "variance")),
    (Sequential, "stateful", lambda _: property(_stateful)),
    *((owner, "__call__", layer_called) for owner in CALLED),
    *((owner, "input", lambda _: property(symbolic_input)) for owner in (Layer, Stack)),
    *((owner, "input_dtype", lambda _: property(lambda self: self.compute_dtype)) for owner in (Layer, Stack)),
    (Stack, "inputs", lambda _: property(lambda model: [symbolic_input(model)])),
    (Stack, "outputs", lambda _: property(lambda model: [symbolic_output(model)])),
    *((owner, "output", lambda _: property(symbolic_output)) for owner in (Layer, Stack)),
]  # fmt: skip
"""What is patched: a class or module, the name of a member, and the function from the old member to the new one."""
_before: list[tuple[Any, str, Any]] = []


def patch() -> None:
    """Add the members of older releases of Keras to the classes."""
    for owner, name, make in PATCHES:
        old = vars(owner).get(name, MISSING)
        _before.append((owner, name, old))
        new = make(old)
        if callable(old) and inspect.isfunction(new):
            new.__name__, new.__doc__ = name, old.__doc__
            new.__wrapped__ = old  # type: ignore[attr-defined]  # for its signature
        setattr(owner, name, new)
    show_members()


def restore() -> None:
    """Restore the members that `patch` replaced."""
    while _before:
        owner, name, old = _before.pop()
        if old is MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, old)
