"""Converts objects to Keras's configs, which are plain data for JSON, and makes objects from configs.

Names in a config are looked up in one closed table: the built-in classes and functions, those that the caller gives
in this call, and those that are registered or in a scope. A config never imports a module, reads an attribute by name
or runs code.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from lamina import activations, constraints, dtypes, regularizers
from lamina._layer.layers_by_name import registry as layers
from lamina._messages.tracebacks import user_facing, warn
from lamina._saving.guard import check_layers
from lamina._settings import settings
from lamina._settings.converters import checked, short
from lamina._settings.custom_objects import known
from lamina._settings.plain import PLAIN, plain
from lamina._settings.registry import Registry
from lamina._weights.weight import initializers as initializers
from lamina.errors import ArgumentError, FileError, LaminaError, UnknownNameError
from lamina.losses.loss import registry as losses
from lamina.metrics.metric import registry as metrics
from lamina.optimizers import schedules
from lamina.optimizers.optimizer import registry as optimizers

FAMILIES: dict[str, Registry] = {
    "keras": layers,
    "keras.models": layers,
    "keras.layers": layers,
    "keras.utils": layers,
    "keras.activations": activations._registry,
    "keras.losses": losses,
    "keras.metrics": metrics,
    "keras.optimizers": optimizers,
    "keras.optimizers.schedules": schedules._registry,
    "keras.initializers": initializers,
    "keras.regularizers": regularizers._registry,
    "keras.constraints": constraints._registry,
}
"""The closed tables of the built-in classes and functions, by the module that a config names."""

_classes, _functions = Registry("object"), Registry("function")
"""The tables for configs without such a module: those of Keras 2, and those of the user's own classes."""
_classes.also = list(FAMILIES.values())
_functions.also = [activations._registry, *FAMILIES.values()]


def load_families() -> None:
    """Import all built-in classes before a config is read, so that no config decides what is imported."""
    for family in FAMILIES.values():
        family.load()


def serialized(thing: object) -> Any:
    """Convert an object to a config of plain data; an error names the part that JSON cannot hold."""
    _require_plain(config := settings.serialize(thing), "")
    return config


@user_facing
def deserialized(
    config: object,
    custom_objects: dict[str, Any] | None = None,
    *,
    where: str = "",
    skip: Collection[str] = (),
    left_out: list[str] | None = None,
) -> Any:
    """Make the object that a config describes; plain data is returned unchanged.

    Args:
        custom_objects: the user's own classes and functions by name.
        where: the file and its member, for messages. If it is given, errors are `FileError`s.
        skip: names of classes, functions and layers that may be missing.
        left_out: a list that gets a line for each missing name, with the reason.
    """
    load_families()
    if where:
        check_layers(config, where)
    try:
        with known(custom_objects, [skip] if isinstance(skip, str) else skip, left_out):
            return _object(config)
    except RecursionError:
        error: Exception = ArgumentError("the config is nested too deep.")
    except (MemoryError, OverflowError) as too_large:
        error = ArgumentError(f"the config asks for arrays that do not fit into memory: {too_large}.")
    except NotImplementedError as bare:
        error = ArgumentError(f"the config names a class without a formula: {bare}")
    except UnknownNameError as missing:
        rest = "\nTo open the rest without it, give its name in skip=[...]." if where else ""
        error = UnknownNameError(f"{missing}{rest}")
    except LaminaError as refused:
        error = refused
    raise (FileError(f"{where}: {error}") if where else error) from None


def warn_of_safe_mode(safe_mode: bool) -> None:
    """Warn that `safe_mode=False` has no effect."""
    if safe_mode is False:
        warn(
            "safe_mode=False has no effect: no file can run code here. Pass the functions that the file names, and the "
            "function of a Lambda under the layer's name: custom_objects={'name': function}."
        )


def several(config: object, family: Registry) -> Any:
    """Make the objects in nested lists and dicts of configs; configs without a module belong to this family."""
    return _object(config, family)


def _object(config: object, family: Registry | None = None) -> Any:
    if isinstance(config, (list, tuple)):
        return [_object(each, family) for each in config]
    if not isinstance(config, dict):
        return config
    if "class_name" not in config:
        return {name: _object(each, family) for name, each in config.items()}
    if not isinstance(config["class_name"], str):
        raise ArgumentError(f"a class has a name; got {short(config['class_name'])}.")
    if config["class_name"] in PLAIN:
        return plain(config)
    if config["class_name"] in dtypes.POLICIES:
        return checked("deserialize", "dtype", dtypes.get, config)
    usual = family or (_functions if config["class_name"] == "function" else _classes)
    made = FAMILIES.get(str(config.get("module")), usual).get(config)
    if (compiled := config.get("compile_config")) and hasattr(made, "compile_from_config"):
        made.compile_from_config(compiled)
    return made


def _require_plain(value: object, place: str) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(name, str):
                raise ArgumentError(f"a config has only text as keys; {place or 'it'} has {short(name)}.")
            _require_plain(each, f"{place}.{name}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            _require_plain(each, f"{place}[{number}]")
    elif value is not None and not isinstance(value, (str, int, float, bool)):
        raise ArgumentError(
            f"{place or 'the object'} is {short(value)} ({type(value).__name__}), which a config cannot hold. Give its "
            "class a method get_config, which returns the arguments as numbers, strings, lists and dicts."
        )
