"""Child processes that are forked: JAX runs in them only if it had not run in their parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NoReturn

import jax
from jax._src import array as jax_array
from jax._src.xla_bridge import backends_are_initialized

from lamina.errors import ProcessError

_jax = {"ran": False, "refused": False}
"""Whether JAX ran before the latest fork, and whether this process is a child of a fork after which it cannot run."""


class DeviceOfParent:
    """The default device in such a child. Any operation of JAX that reads it raises an error instead of hanging."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ProcessError(
            "JAX cannot run in this process, which was forked from one where JAX had run already: start the processes "
            "before any model or metric is made, or with multiprocessing.get_context('spawn')."
        )


def require_jax() -> None:
    """Raise an error before a compiled program runs in such a child, because JAX then reads no default device."""
    if _jax["refused"]:
        raise DeviceOfParent().client


def _before_fork() -> None:
    _jax["ran"] = backends_are_initialized()


def _in_child() -> None:
    if _jax["ran"]:
        _jax["refused"] = True
        jax.config.update("jax_default_device", DeviceOfParent())
        # A pool waits without end for a worker that cannot read its task, so a model is read here, though not used.
        jax_array._reconstruct_array = _as_numpy


def _as_numpy(make: Callable[..., Any], arguments: Any, state: Any, _: Any) -> Any:
    """Unpickle a JAX array as a NumPy array."""
    array = make(*arguments)
    array.__setstate__(state)
    return array


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
