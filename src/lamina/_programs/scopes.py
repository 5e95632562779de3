"""Keras's functions around a part of a program: where it runs, how it is called in a profile, what it keeps."""

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
    """What is computed `with device("cpu:0"):` runs there.

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
    """What is computed `with name_scope("encoder"):` is called so in a profile; names of layers and weights stay.

    Args:
        caller, deduplicate, override_parent: accepted as in Keras, without an effect.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ArgumentError(f"name_scope takes a name without a slash, got {name!r}.")
    return jax.named_scope(name)


def remat(f: Function) -> Function:
    """The function, whose inner results are computed anew for its gradient, which needs less memory."""

    @functools.wraps(f)
    def rematerialized(*args: Any, **kwargs: Any) -> Any:
        # a new function each time: of one that it knows, JAX keeps the values that it read when it was first called
        return jax.checkpoint(lambda *args, **kwargs: f(*args, **kwargs))(*args, **kwargs)

    return cast(Function, rematerialized)
