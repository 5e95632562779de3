"""Translates arguments of Keras 1 and 2 that Keras 3 refuses to those of today."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from lamina._layer.layer import Layer
from lamina._messages.tracebacks import user_facing
from lamina._saving.paths import FilePath
from lamina._settings.settings import Configured, arguments_of, signature_of
from lamina.callbacks import ModelCheckpoint
from lamina.callbacks.callback import Logs
from lamina.compat.callbacks import in_order
from lamina.compat.told import say
from lamina.errors import ArgumentError
from lamina.optimizers import Optimizer

Arguments: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Arguments, Any], str]
"""A function that adds the new arguments for the value of an old one, and returns them in words."""
Became: TypeAlias = str | Change | None
"""How an argument is translated: its new name, a function, or None if it has no effect any more."""


def _decay(arguments: Arguments, decay: Any) -> str:
    """Keras 2's decay: at step t the learning rate is `learning_rate / (1 + decay * t)`."""
    if decay:
        rate = arguments.get("learning_rate", 0.001)
        if callable(rate) or isinstance(rate, str):
            raise ArgumentError("decay= belongs to a learning rate that is a number; the rate here is a schedule.")
        arguments["_decay"] = float(decay)
    return "learning_rate=InverseTimeDecay(learning_rate, 1, decay)" if decay else ""


def _dim_ordering(arguments: Arguments, order: str) -> str:
    arguments["data_format"] = {"tf": "channels_last", "th": "channels_first", "default": None}.get(order, order)
    return "data_format="


def _unit(name: str, place: int, words: str) -> Change:
    """An argument that became one of the two numbers of the argument `name`."""

    def change(arguments: Arguments, value: object) -> str:
        given = list(arguments.get(name, (None, None)))
        given[place] = value
        arguments[name] = tuple(given)
        return words

    return change


def _batch_size(arguments: Arguments, size: object) -> str:
    """Combine the batch size with the input shape of a first layer."""
    shape = arguments.pop("input_shape", None)
    if shape is None and (width := arguments.pop("input_dim", None)) is not None:
        length = arguments.pop("input_length", None)
        shape = (width,) if length is None else (length, width)
    if shape is not None:
        arguments["batch_input_shape"] = (size, *shape)
    return "batch_input_shape="


def _input_length(arguments: Arguments, length: object) -> str:
    arguments["input_shape"] = (length,)
    return "input_shape="


def _epsilon(arguments: Arguments, value: object) -> str:
    arguments["epsilon"] = 1e-7 if value is None else value
    return ""


def _only(allowed: object, instead: str) -> Change:
    """An argument that Keras 3 dropped. Its `allowed` value, the behaviour now, has no effect; others are errors."""

    def change(arguments: Arguments, value: object) -> str:
        if value is not None and value != allowed:
            raise ArgumentError(f"Keras 3 does not take the value {value!r}. {instead}")
        return ""

    return change


def _forget_bias(arguments: Arguments, init: object) -> str:
    arguments["unit_forget_bias"] = init in ("one", "ones")
    return "unit_forget_bias="


def _axis(arguments: Arguments, axis: object) -> str:
    arguments["axis"] = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    return ""


def _reduction(arguments: Arguments, value: object) -> str:
    arguments["reduction"] = "sum_over_batch_size" if value == "auto" else value
    return ""


_KERNEL = {
    "init": "kernel_initializer", "W_regularizer": "kernel_regularizer", "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint", "bias": "use_bias",
}  # fmt: skip
_WINDOW: dict[str, Became] = {"border_mode": "padding", "dim_ordering": _dim_ordering, "stride": "strides"}
_RECURRENT: dict[str, Became] = {
    **_KERNEL, "output_dim": "units", "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation", "U_regularizer": "recurrent_regularizer",
    "U_constraint": "recurrent_constraint", "dropout_W": "dropout", "dropout_U": "recurrent_dropout",
    "consume_less": None, "forget_bias_init": _forget_bias, "implementation": None,
    "time_major": _only(False, "The time is the second axis: transpose the data."),
}  # fmt: skip

OLD: dict[str, dict[str, Became]] = {
    "Layer": {"batch_size": _batch_size},
    "Dense": {**_KERNEL, "output_dim": "units"},
    "Embedding": {
        "init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer", "dropout": None,
        "W_constraint": "embeddings_constraint", "input_length": _input_length,
    },
    "Sliding": {
        **_KERNEL, **_WINDOW, "nb_filter": "filters", "filter_length": "kernel_size", "subsample": "strides",
        "subsample_length": "strides", "atrous_rate": "dilation_rate",
        "nb_row": _unit("kernel_size", 0, "kernel_size="), "nb_col": _unit("kernel_size", 1, "kernel_size="),
    },
    "Pooling": {**_WINDOW, "pool_length": "pool_size"},
    "GlobalPooling": {"dim_ordering": _dim_ordering},
    "ZeroPadding": {"dim_ordering": _dim_ordering},
    "UpSampling": {"dim_ordering": _dim_ordering, "length": "size"},
    "Flatten": {"dim_ordering": _dim_ordering},
    "Recurrent": _RECURRENT,
    "Cell": _RECURRENT,
    "BatchNormalization": {
        "mode": _only(0, "Write LayerNormalization() for each row by itself (mode=1)."), "fused": None, "axis": _axis,
        "virtual_batch_size": _only(None, "Write the batch_size of fit."), "adjustment": _only(None, "Leave it out."),
        "beta_init": "beta_initializer", "gamma_init": "gamma_initializer",
    },
    "Dropout": {"p": "rate"},
    "SpatialDropout": {"p": "rate", "dim_ordering": None},
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "RepeatVector": {},
    "PReLU": {"init": "alpha_initializer"},
    "TimeDistributed": {},
    "Optimizer": {"lr": "learning_rate", "decay": _decay, "epsilon": _epsilon, "schedule_decay": None},
    "Loss": {"reduction": _reduction},
    "ModelCheckpoint": {"options": None},
    "ReduceLROnPlateau": {"epsilon": "min_delta"},
    "TensorBoard": {"write_grads": None, "batch_size": None, "embeddings_layer_names": None, "embeddings_data": None},
    "MaxNorm": {"m": "max_value"},
    "fit": {"nb_epoch": "epochs", "show_accuracy": None, "workers": None, "use_multiprocessing": None,
            "max_queue_size": None, "max_q_size": None, "nb_worker": None, "pickle_safe": None},
    "evaluate": {"show_accuracy": None, "workers": None, "use_multiprocessing": None, "max_queue_size": None},
    "predict": {"workers": None, "use_multiprocessing": None, "max_queue_size": None},
    "compile": {"sample_weight_mode": None, "class_mode": None, "distribute": None,
                "target_tensors": _only(None, "Give y to fit."), "experimental_run_tf_function": None},
    "fit_generator": {
        "samples_per_epoch": "steps_per_epoch", "nb_val_samples": "validation_steps", "val_samples": "steps",
    },
}  # fmt: skip
"""The old arguments of each class or method."""

KEPT = {"axis", "epsilon", "reduction"}
"""Arguments that still exist, but some values were renamed. Only these are reported."""
FORCED = KEPT | {"input_length"}
"""Arguments that are translated even if the class still takes them."""


def translate(called: str, families: Collection[str], takes: Collection[str], given: Arguments) -> Arguments:
    """Translate the old arguments of a call. Each translation is printed once.

    Args:
        called: the name of the class or function.
        families: the names in `OLD` whose arguments it has.
        takes: the names of its present arguments, which are not translated.
        given: the arguments of the call.
    """
    given = dict(given)
    for family in families:
        for old, became in OLD.get(family, {}).items():
            if old not in given or (old in takes and not (old in FORCED and callable(became))):
                continue
            value = given.pop(old)
            if callable(became):
                words = became(given, value)
            elif became is None:
                words = ""
            else:
                given.setdefault(became, value)
                words = f"{became}="
            if old in KEPT and callable(became):
                words, old = f"{old}={given.get(old)!r}", f"{old}={value!r}"
            else:
                old += "="
            if words != old:
                say(f"{called}({old}) is now {called}({words})." if words else f"{called}({old}) has no effect now.")
    return given


def configured(init: Callable[..., None]) -> Callable[..., None]:
    """Make `Configured.__init__` accept the old arguments."""

    @user_facing
    def __init__(self: Configured, *args: Any, **kwargs: Any) -> None:
        kind, later, given = type(self), {}, kwargs
        names = [name for name, field in signature_of(kind).parameters.items() if field.kind is not field.KEYWORD_ONLY]
        names = in_order(kind, names, args)
        if len(args) <= len(names) and not given.keys() & set(names[: len(args)]):
            args, given = (), dict(zip(names, args, strict=False)) | given
        given = translate(kind.__name__, [each.__name__ for each in kind.__mro__], arguments_of(kind), given)
        for name in AFTERWARDS:
            if name in given and name not in arguments_of(kind) and isinstance(self, AFTERWARDS[name][0]):
                later[name] = given.pop(name)
        if isinstance(self, ModelCheckpoint) and "filepath" in given:
            later["filepath"], given["filepath"] = given["filepath"], _with_ending(given)
        init(self, *args, **given)
        for name, value in later.items():
            AFTERWARDS[name][1](self, value)

    return __init__


def _with_ending(given: Arguments) -> str:
    """Change the file's name to one that ModelCheckpoint accepts. `verbs.py` does this for `save` itself."""
    name: str = os.fspath(given["filepath"])
    ends = (".weights.h5",) if given.get("save_weights_only") else (".keras", ".h5")
    return name if name.endswith(ends) else name + ends[0]


def _write_to(checkpoint: ModelCheckpoint, filepath: FilePath) -> None:
    checkpoint.filepath = os.fspath(filepath)


def _begin_with(layer: Any, weights: Sequence[Any]) -> None:
    """Make a layer set these weights when it is built."""
    say(f"{type(layer).__name__}(weights=) is now layer.set_weights(weights), once the layer is built.")

    def build(input_shape: object) -> None:
        del layer.build
        layer.build(input_shape)
        layer.set_weights(weights)

    layer.build = build


def _every(checkpoint: Any, period: int) -> None:
    """Make a checkpoint save only after every `period` epochs."""
    saves = type(checkpoint).on_epoch_end

    def on_epoch_end(epoch: int, logs: Logs = None) -> None:
        if (epoch + 1) % period == 0:
            saves(checkpoint, epoch, logs)

    checkpoint.on_epoch_end = on_epoch_end
    if period != 1:
        say("ModelCheckpoint(period=) is now save_freq=, the number of batches between two files.")


def _fall(optimizer: Optimizer, decay: float) -> None:
    """Reduce the learning rate in each step, while callbacks and programs can still set it to a number."""
    optimizer._lamina.decay = decay


AFTERWARDS: dict[str, tuple[type, Callable[[Any, Any], None]]] = {
    "weights": (Layer, _begin_with), "period": (ModelCheckpoint, _every), "filepath": (ModelCheckpoint, _write_to),
    "_decay": (Optimizer, _fall),
}  # fmt: skip
"""Arguments that are applied after the object was made, with the functions that apply them."""
