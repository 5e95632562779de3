"""Settings that stand in configs of Keras, old and new, and are no arguments here: what becomes of each."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from lamina._settings.converters import short
from lamina._settings.plain import plain
from lamina.errors import ArgumentError

ANY = ()
_UNUSED_KERNEL = {f"kernel_{part}": ANY for part in ("initializer", "regularizer", "constraint")}
_RECURRENT = {"implementation": (0, 1, 2), "time_major": (False,)}

IDLE: dict[str, dict[str, tuple[Any, ...]]] = {
    "BatchNormalization": {"fused": ANY, "virtual_batch_size": (None,), "adjustment": (None,)},
    "Cell": _RECURRENT,
    "Dense": {"quantization_config": (None,), "lora_rank": (None,), "lora_alpha": (None,)},
    "_DepthwiseConv": {"groups": (1,), "filters": (None,), **_UNUSED_KERNEL},
    "EinsumDense": {
        "quantization_config": (None,), "lora_rank": (None,), "lora_alpha": (None,),
        "gptq_unpacked_column_size": (None,),
    },
    "Embedding": {"quantization_config": (None,), "lora_rank": (None,), "lora_alpha": (None,), "input_length": ANY},
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
"""By class: the keys, and the values that change nothing; with another value the config is refused."""

RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}, "Optimizer": {"lr": "learning_rate"}}
"""By class: the keys of Keras 2, and their names now."""

VALUES = {"Loss": {"reduction": {"auto": "sum_over_batch_size"}}}
"""By class and key: the values of Keras 2, and those of the same meaning now."""


def of_today(kind: type, config: dict[str, Any], takes: Collection[str]) -> dict[str, Any]:
    """The settings in a config of any Keras as arguments of the class, which takes the names `takes`."""
    if not isinstance(config, dict):
        raise ArgumentError(f"{kind.__name__}: expected its settings by name, got {short(config)}.")
    told = {key: plain(value) for key, value in config.items()}
    if isinstance(axis := told.get("axis"), list) and len(axis) == 1 and kind.__name__ == "BatchNormalization":
        told["axis"] = axis[0]
    for name in (each.__name__ for each in kind.__mro__):
        for old, new in RENAMED.get(name, {}).items():
            if old in told and old not in takes:
                told.setdefault(new, told.pop(old))
        for key, values in VALUES.get(name, {}).items():
            value = told.get(key)
            told |= {key: values[value]} if isinstance(value, str) and value in values else {}
        for key, idle in IDLE.get(name, {}).items():
            if key in told and key not in takes:
                value = told.pop(key)
                if idle and not (isinstance(value, (str, int, float, type(None))) and value in idle):
                    raise ArgumentError(f"{kind.__name__} has no {key}; the config sets it to {short(value)}.")
    return told
