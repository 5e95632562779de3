"""oneDNN, if the optional package lamina-onednn (folder native/) is installed and the device is a CPU.

`LAMINA_KERNELS=xla` turns it off; `LAMINA_KERNELS=onednn` requires it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import ModuleType

import jax

from lamina._arrays import devices
from lamina._messages.tracebacks import warn
from lamina.errors import ArgumentError, MissingPackageError

_portable: ContextVar[bool] = ContextVar("portable", default=False)


@contextmanager
def portable() -> Iterator[None]:
    """Inside the `with` block only XLA's operations are traced, for a program that also runs without lamina-onednn."""
    before = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(before)


def on_cpu() -> bool:
    """Whether the traced program runs on this machine's CPU."""
    return not _portable.get() and jax.default_backend() == "cpu"


def onednn() -> ModuleType | None:
    """The package, or None; called while tracing."""
    chosen = os.environ.get("LAMINA_KERNELS", "")
    if chosen not in ("", "xla", "onednn"):
        raise ArgumentError(f"LAMINA_KERNELS={chosen}: expected xla, onednn, or nothing.")
    # XLA cannot cut oneDNN's calls over several devices: each would compute the whole batch.
    if chosen == "xla" or devices.current() is not None or not on_cpu():
        return None
    return _package(demanded=chosen == "onednn")


@cache
def _package(demanded: bool) -> ModuleType | None:
    try:
        import lamina_onednn
    except (ImportError, OSError) as error:  # an OSError is one of the loader: a library of the system is missing
        if demanded:
            found = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
            raise MissingPackageError(
                f"LAMINA_KERNELS=onednn needs lamina-onednn: pip install ./native{found}"
            ) from error
        if not isinstance(error, ModuleNotFoundError):
            warn(f"lamina-onednn is installed but does not load, so XLA's slower operations are used: {error}")
        return None
    return lamina_onednn
