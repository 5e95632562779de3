"""Settings of Keras, old and new, that are not arguments here, by class: how they are handled in configs and calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lamina._messages.tracebacks import warn
from lamina._settings.converters import T, short
from lamina._settings.plain import plain
from lamina.errors import ArgumentError

ANY = ()
_UNUSED_KERNEL = {f"kernel_{part}": ANY for part in ("initializer", "regularizer", "constraint")}
_RECURRENT = {"implementation": (0, 1, 2), "time_major": (False,)}

IDLE: dict[str, dict[str, tuple[Any, ...]]] = {
    "BatchNormalization": {"fused": ANY, "virtual_batch_size": (None,), "adjustment": (None,)},
    "Cell": _RECURRENT,
    "Dense": {"quantization_config": (None,)},
    "_DepthwiseConv": {"groups": (1,), "filters": (None,), **_UNUSED_KERNEL},
    "EinsumDense": {
        "quantization_config": (None,),
        "gptq_unpacked_column_size": (None,),
    },
    "Embedding": {"quantization_config": (None,), "input_length": ANY},
    "Initializer": {"dtype": ANY},
    "InputLayer": {"type_spec": (None,), "trainable": ANY},
    "Lambda": {"function_type": ANY, "module": ANY, "output_shape_type": ANY, "output_shape_module": ANY},
    "Lookup": {"vocabulary_size": ANY, "vocabulary_dtype": ANY},
    "Loss": {"fn": ANY},
    "Nadam": {"schedule_decay": ANY},
    "Optimizer": {"decay": (0, None), "is_legacy_optimizer": ANY, "jit_compile": ANY},
    "Recurrent": _RECURRENT,
    "_SeparableConv": {"groups": (1,), **_UNUSED_KERNEL},
    "SpatialDropout": {"noise_shape": (None,)},
    "StringLookup": {"oov_method": ("floormod",)},
    "TextVectorization": {"vocabulary_size": ANY},
    "Transposed": {"groups": (1,)},
}  # fmt: skip
"""By class: the keys, and the values that have no effect; a config with another value is refused."""

RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}, "Optimizer": {"lr": "learning_rate"}}
"""By class: the keys of Keras 2, and their names now."""

VALUES = {"Loss": {"reduction": {"auto": "sum_over_batch_size"}}}
"""By class and key: the values of Keras 2, and the present values with the same meaning."""


RENAMED_ARGUMENTS = {"LeakyReLU": {"alpha": "negative_slope"}}
"""Arguments of Keras 2 that Keras still accepts, and their present names."""

_IMPLEMENTATION = {"implementation": ""}
IDLE_ARGUMENTS = {
    "GRU": _IMPLEMENTATION, "GRUCell": _IMPLEMENTATION, "LSTM": _IMPLEMENTATION, "LSTMCell": _IMPLEMENTATION,
    "Optimizer": {
        "decay": "decay has no effect, as in Keras 3. "
        "Type learning_rate=optimizers.schedules.InverseTimeDecay(0.01, decay_steps=1, decay_rate=...), "
        "or weight_decay= if the weights should decay.",
    },
}  # fmt: skip
"""Arguments of Keras 2 that Keras still accepts and ignores, and the warning for each, if there is one."""

INSTEAD = {
    "ModelCheckpoint": {
        "period": 'Write save_freq="epoch", or the number of batches between two files.',
        "options": "Leave it out: there is one way to save.",
    },
    "Optimizer": {"lr": "Type learning_rate= for it."},
    "Recurrent": {"input_length": "Write Input((length, features)) before the layer."},
    "TensorBoard": {
        "batch_size": "Leave it out: fit knows it.",
        "embeddings_data": "Leave it out: the weights of the Embeddings are shown.",
        "embeddings_layer_names": "Leave it out: all Embeddings are shown.",
        "write_grads": "Leave it out: gradients do not leave the compiled step.",
    },
}
"""Arguments that Keras no longer accepts, and for each a sentence that says what to type now."""


def _facts(table: Mapping[str, dict[str, T]], kind: type) -> dict[str, T]:
    """Return the entries of a table for a class and its bases."""
    return {key: fact for each in kind.__mro__ for key, fact in table.get(each.__name__, {}).items()}


def arguments_of_today(kind: type, given: dict[str, Any]) -> dict[str, Any]:
    """Replace or remove the arguments of Keras 2 in a call, with a warning for each."""
    for old, new in _facts(RENAMED_ARGUMENTS, kind).items():
        if old in given and new not in given:
            warn(f"{kind.__name__}: {old} is Keras 2's name of {new}, which it sets.")
            given[new] = given.pop(old)
    for old, said in _facts(IDLE_ARGUMENTS, kind).items():
        if given.pop(old, None) and said:
            warn(f"{kind.__name__}: {said}")
    return given


def instead_of(kind: type, argument: str) -> str:
    """Return the sentence that says what to type instead of a removed argument; "" if there is none."""
    return _facts(INSTEAD, kind).get(argument, "")


def of_today(kind: type, config: dict[str, Any], takes: Collection[str]) -> dict[str, Any]:
    """Convert the settings in a config of any version of Keras to arguments of the class; `takes` lists these."""
    if not isinstance(config, dict):
        raise ArgumentError(f"{kind.__name__}: expected its settings by name, got {short(config)}.")
    told = {key: plain(value) for key, value in config.items()}
    if isinstance(axis := told.get("axis"), list) and len(axis) == 1 and kind.__name__ == "BatchNormalization":
        told["axis"] = axis[0]
    for old, new in _facts(RENAMED, kind).items():
        if old in told and old not in takes:
            told.setdefault(new, told.pop(old))
    for key, values in _facts(VALUES, kind).items():
        value = told.get(key)
        told |= {key: values[value]} if isinstance(value, str) and value in values else {}
    for key, idle in _facts(IDLE, kind).items():
        if key in told and key not in takes:
            value = told.pop(key)
            if idle and not (isinstance(value, (str, int, float, type(None))) and value in idle):
                raise ArgumentError(f"{kind.__name__} has no {key}; the config sets it to {short(value)}.")
    return told
