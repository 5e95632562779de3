"""Keras's functions for a part of a program: its device, its name in a profile, and what its gradient stores."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Any, cast

import jax

from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Function
from lamina.errors import ArgumentError


@user_facing
def device(device_name: str | jax.Device) -> AbstractContextManager[object]:
    """Operations inside `with device("cpu:0"):` run on this device.

    Args:
        device_name: "cpu", "gpu:1" and the like, or one of `jax.devices()`.
    """
    if isinstance(device_name, jax.Device):
        found = device_name
    elif not isinstance(device_name, str):
        raise ArgumentError(f"device takes a name such as 'gpu:0', or one of jax.devices(), got {device_name!r}.")
    else:
        kind, _, number = device_name.lower().partition(":")
        try:
            found = jax.devices(kind)[int(number or 0)]
        except (RuntimeError, ValueError, IndexError):
            there = ", ".join(f"{each.platform}:{each.id}" for each in jax.devices())
            raise ArgumentError(f"there is no device {device_name!r}. There are: {there}.") from None
    here: AbstractContextManager[object] = jax.default_device(found)
    return here


@user_facing
def name_scope(
    name: str, caller: object = None, deduplicate: bool = True, override_parent: str | None = None
) -> AbstractContextManager[object]:
    """Operations inside `with name_scope("encoder"):` have this name in a profile. Layers and weights keep their names.

    Args:
        caller, deduplicate, override_parent: accepted as in Keras, but without effect.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ArgumentError(f"name_scope takes a name without a slash, got {name!r}.")
    return jax.named_scope(name)


def remat(f: Function) -> Function:
    """Wraps a function: its gradient computes intermediate results again instead of storing them, to save memory."""

    @functools.wraps(f)
    def rematerialized(*args: Any, **kwargs: Any) -> Any:
        # Each call makes a new function, because JAX reuses a function's first trace, with the values it read then.
        return jax.checkpoint(lambda *args, **kwargs: f(*args, **kwargs))(*args, **kwargs)

    return cast(Function, rematerialized)
