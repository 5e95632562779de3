"""The list of devices, as TensorFlow returns it."""

from __future__ import annotations

import sys
from typing import NamedTuple

import jax

from lamina._messages.tracebacks import warn
from lamina.compat.tensorflow.stand_in import namespace

__all__ = [
    "experimental", "functions_run_eagerly", "get_visible_devices", "list_local_devices", "list_logical_devices",
    "list_physical_devices",
    "run_functions_eagerly", "set_memory_growth", "set_soft_device_placement", "set_visible_devices", "threading",
]  # fmt: skip

experimental = sys.modules[__name__]
"""Older programs use the same functions under this name."""


class PhysicalDevice(NamedTuple):
    """One device of this machine."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices that JAX sees, of one type ("CPU", "GPU" or "TPU") or of all.

    >>> list_physical_devices("CPU")[0]
    PhysicalDevice(name='/physical_device:CPU:0', device_type='CPU')
    """
    devices = jax.devices("cpu") + [device for device in jax.devices() if device.platform != "cpu"]
    found = [PhysicalDevice(f"/physical_device:{d.platform.upper()}:{d.id}", d.platform.upper()) for d in devices]
    return [device for device in found if device_type in (None, device.device_type)]


list_logical_devices = get_visible_devices = list_local_devices = list_physical_devices


def set_memory_growth(device: PhysicalDevice, enable: bool) -> None:
    """Warns that JAX reads this setting from the environment when the program starts."""
    warn(f"set_memory_growth has no effect here. Start with XLA_PYTHON_CLIENT_PREALLOCATE={str(not enable).lower()}.")


def set_visible_devices(devices: object, device_type: str | None = None) -> None:
    """Warns that JAX reads this setting from the environment when the program starts."""
    warn("set_visible_devices has no effect here. Start with CUDA_VISIBLE_DEVICES=0, or JAX_PLATFORMS=cpu for none.")


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Warns that a model's own setting does this."""
    if run_eagerly:
        warn("run_functions_eagerly has no effect here. Write model.compile(..., run_eagerly=True).")


def functions_run_eagerly() -> bool:
    """False: a function of `tf.function` runs as Python does, and a model is compiled."""
    return False


def set_soft_device_placement(enabled: bool) -> None:
    """Have no effect: JAX places arrays by itself."""


def _threads(num_threads: int) -> None:
    """Warns that XLA reads this setting from the environment when the program starts."""
    warn("the number of threads is XLA's matter: start with XLA_FLAGS=--xla_cpu_multi_thread_eigen=false for one.")


threading = namespace(
    "threading", __name__, set_intra_op_parallelism_threads=_threads, set_inter_op_parallelism_threads=_threads
)
