"""Optimizers, by name or as objects: how the weights are changed by their gradients."""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Config
from lamina._settings.custom_objects import known
from lamina.errors import ArgumentError
from lamina.optimizers import schedules
from lamina.optimizers.optimizer import Optimizer
from lamina.optimizers.optimizer import registry as _registry

if FOR_TYPES:
    from lamina.optimizers.adaptive import Adadelta, Adafactor, Adagrad, Ftrl, RMSprop
    from lamina.optimizers.gradient_descent import SGD, Lion
    from lamina.optimizers.loss_scale import LossScaleOptimizer
    from lamina.optimizers.moments import Adam, Adamax, AdamW, Lamb, Nadam
    from lamina.optimizers.muon import Muon
    from lamina.optimizers.schedule_free import ScheduleFreeAdamW

__all__ = [
    "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion",
    "LossScaleOptimizer", "Muon", "Nadam", "Optimizer", "RMSprop", "ScheduleFreeAdamW", "deserialize", "get",
    "schedules", "serialize",
]  # fmt: skip


@user_facing
def get(identifier: object) -> Optimizer | None:
    """The optimizer for a name, a class, a config or an object; None stays None.

    >>> get("rmsprop")
    RMSprop()
    """
    found = _registry.get(identifier)
    if found is not None and not isinstance(found, Optimizer):
        kind = type(found)
        raise ArgumentError(
            f"expected an optimizer such as 'adam' or Adam(0.001), got {found!r} ({kind.__module__}.{kind.__name__})."
        )
    return found


@user_facing
def deserialize(config: Config, custom_objects: dict[str, type[Optimizer]] | None = None) -> Optimizer | None:
    """The optimizer for the config from `serialize`; `custom_objects` maps names to your own classes."""
    with known(custom_objects):
        return get(config)


serialize = _registry.serialize


public(__name__, __all__)
