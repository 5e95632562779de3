"""The list of devices, as TensorFlow returns it."""

from __future__ import annotations

import sys
from typing import NamedTuple

import jax

from lamina._base.frames import warn

__all__ = ["experimental", "list_logical_devices", "list_physical_devices", "set_memory_growth"]

experimental = sys.modules[__name__]
"""Older programs use the same functions by this name."""


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


list_logical_devices = list_physical_devices


def set_memory_growth(device: PhysicalDevice, enable: bool) -> None:
    """Warns that JAX reads this setting from the environment when the program starts."""
    warn(f"set_memory_growth has no effect here. Start with XLA_PYTHON_CLIENT_PREALLOCATE={str(not enable).lower()}.")
