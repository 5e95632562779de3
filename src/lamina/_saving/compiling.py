"""Converts the arguments of `compile` to a config, and compiles a model from such a config."""

from __future__ import annotations

from typing import Any

from lamina._messages.tracebacks import warn
from lamina._saving.config import FAMILIES, several
from lamina._settings.converters import short
from lamina._settings.custom_objects import LeftOutError, Opening, known
from lamina._settings.origin import of_library
from lamina._settings.settings import serialize
from lamina._training.model import Model
from lamina.errors import ArgumentError

ARGUMENTS = {
    "optimizer": "keras.optimizers", "loss": "keras.losses", "metrics": "keras.metrics",
    "weighted_metrics": "keras.metrics",
}  # fmt: skip
"""The arguments of `compile` that are objects, with the module of each in a config."""
NUMBERS = ("loss_weights", "run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss")


def get_compile_config(model: Model) -> dict[str, Any]:
    """Return the arguments of `compile`: names as they were given, objects as configs."""
    compiled = model._lamina.compiled
    if compiled is None:
        return {}
    optimizer: Any = compiled.optimizer
    if compiled.scales:  # compile adds the LossScaleOptimizer again
        optimizer = optimizer.inner_optimizer
    config: dict[str, Any] = serialize({"optimizer": optimizer, **compiled.told})
    return config | {"jit_compile": not compiled.eager}


def compile_from_config(model: Model, config: dict[str, Any]) -> None:
    """Compile the model as before. `skip` may leave out metrics or losses; without an optimizer it stays uncompiled."""
    if not of_library(type(model).compile, "lamina"):
        warn(
            f"{type(model).__name__} has a compile of its own with unknown arguments, so it is not called. Call it, "
            "or write get_compile_config and compile_from_config."
        )
        return
    if not isinstance(config, dict):
        raise ArgumentError(f"compile_from_config takes what get_compile_config returned, got {short(config)}.")
    if unknown := [name for name in config if name not in ARGUMENTS and name not in NUMBERS]:
        names = ", ".join((*ARGUMENTS, *NUMBERS))
        raise ArgumentError(f"compile has no argument {short(unknown[0])}; its arguments are {names}.")
    told = {name: value for name, value in config.items() if name in NUMBERS}
    with known(None) as now:
        for name in ARGUMENTS:
            try:
                told[name] = _without_left_out(name, config.get(name), now)
            except LeftOutError as error:
                if name == "optimizer":
                    now.left_out.append(f"{name}: {error} Without it the model is not compiled: call compile.")
                    return
                now.left_out.append(f"{name}: {error}")
    model.compile(**{name: value for name, value in told.items() if value is not None})
    if model.built and model.optimizer is not None:
        model.optimizer.build(model.trainable_variables)


def _without_left_out(argument: str, config: object, now: Opening) -> Any:
    """Make the objects of an argument of `compile`. In a list, missing objects are left out."""
    if not isinstance(config, list):
        return several(config, FAMILIES[ARGUMENTS[argument]])
    made = []
    for each in config:
        try:
            made.append(_without_left_out(argument, each, now))
        except LeftOutError as error:
            now.left_out.append(f"{argument}: {error}")
    return made
