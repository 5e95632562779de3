"""Devices in a grid with named axes, and the axes over which arrays are cut."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from lamina._arrays.arrays import Array, HostArray
from lamina._arrays.devices import Axes, layout_of
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import short
from lamina.errors import ArgumentError


@user_facing
def list_devices(device_type: str | None = None) -> list[str]:
    """The names of the devices, those of all processes of a job.

    >>> list_devices("cpu")[0]
    'cpu:0'

    Args:
        device_type: "cpu", "gpu" or "tpu"; None for the kind that JAX uses.

    Raises:
        ArgumentError: there is no device of that type.
    """
    try:
        return list(map(name_of, jax.devices(device_type and device_type.lower())))
    except RuntimeError:
        known = ", ".join(map(name_of, jax.devices()))
        raise ArgumentError(f"list_devices({device_type!r}): there is none. The devices are {known}.") from None


@user_facing
def get_device_count(device_type: str | None = None) -> int:
    """The number of devices that `list_devices` lists."""
    return len(list_devices(device_type))


def name_of(device: jax.Device) -> str:
    """The name of a device, such as 'gpu:1'."""
    return f"{'gpu' if device.platform in ('cuda', 'rocm') else device.platform}:{device.id}"


def _found(device: Any) -> jax.Device:
    """The device of a name; one of JAX's devices stands for itself."""
    if isinstance(device, jax.Device):
        return device
    kind = str(device).lower().partition(":")[0]
    try:
        return next(each for each in jax.devices(kind) if name_of(each) == str(device).lower())
    except (RuntimeError, StopIteration):
        known = ", ".join(list_devices())
        raise ArgumentError(f"devices: there is no device {short(device)}. The devices are {known}.") from None


class MeshState(NamedTuple):
    """What a mesh was made of, and JAX's devices."""

    shape: Sequence[int]
    axis_names: Sequence[str]
    names: HostArray
    devices: list[jax.Device]


class DeviceMesh:
    """Devices in a grid whose axes have names.

    >>> mesh = DeviceMesh((1,), ["batch"], devices=["cpu:0"])
    >>> mesh
    <DeviceMesh shape=(1,), axis_names=['batch']>

    Args:
        shape: the number of devices along each axis: `(8,)`, or `(2, 4)` to divide batches by 2 and weights by 4.
        axis_names: a name for each axis.
        devices: names as `list_devices` gives them, or JAX's devices; None for all of them.

    Raises:
        ArgumentError: shape, axis_names and devices do not fit together.
    """

    @user_facing
    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None) -> None:
        given = f"DeviceMesh(shape={short(shape)}, axis_names={short(axis_names)})"
        if not shape or not axis_names or len(shape) != len(axis_names):
            raise ArgumentError(f"{given}: expected a size and a name for each axis.")
        if len(set(axis_names)) < len(axis_names):
            raise ArgumentError(f"{given}: two axes have the same name.")
        grid = np.array(list_devices() if devices is None else devices, object)
        if math.prod(shape) != grid.size:
            raise ArgumentError(
                f"{given} is for {math.prod(shape)} devices, got {grid.size}: {short(list(grid.flat))}."
            )
        found = [_found(each) for each in grid.flat]
        if len(set(found)) < len(found):
            raise ArgumentError(f"{given}: the same device stands twice in devices={short(list(grid.flat))}.")
        self._lamina = MeshState(shape, axis_names, grid.reshape(tuple(shape)), found)

    @property
    def shape(self) -> Sequence[int]:
        """The number of devices along each axis."""
        return self._lamina.shape

    @property
    def axis_names(self) -> Sequence[str]:
        """The names of the axes."""
        return self._lamina.axis_names

    @property
    def devices(self) -> HostArray:
        """The devices, in an array of the mesh's shape."""
        return self._lamina.names

    @property
    def backend_mesh(self) -> Mesh:
        """JAX's mesh of the same devices."""
        grid = np.array(self._lamina.devices, object)
        return Mesh(grid.reshape(tuple(self.shape)), tuple(self.axis_names))

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


class TensorLayout:
    """The axes of a mesh over which the axes of an array are cut.

    >>> TensorLayout([None, "model"]).axes
    (None, 'model')

    Args:
        axes: for each axis of the array, the name of an axis of the mesh; None where each device has all of it.
        device_mesh: the mesh; it can be set later, once.

    Raises:
        ArgumentError: the mesh has no axis of that name, or `device_mesh` is set a second time.
    """

    @user_facing
    def __init__(self, axes: Axes, device_mesh: DeviceMesh | None = None) -> None:
        self._lamina: tuple[tuple[str | None, ...], DeviceMesh | None] = tuple(axes), None
        if device_mesh is not None:
            self.device_mesh = device_mesh

    @property
    def axes(self) -> tuple[str | None, ...]:
        """The name of an axis of the mesh, or None, for each axis of the array."""
        return self._lamina[0]

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh, or None while it is not known."""
        return self._lamina[1]

    @device_mesh.setter
    @user_facing
    def device_mesh(self, device_mesh: DeviceMesh) -> None:
        if self.device_mesh is not None:
            raise ArgumentError(f"{self}: the mesh is set already. Make a new TensorLayout for another mesh.")
        names = [*device_mesh.axis_names, None]
        if unknown := [axis for axis in self.axes if axis not in names]:
            raise ArgumentError(
                f"TensorLayout(axes={self.axes}): {device_mesh} has no axis {unknown[0]!r}. "
                f"Its axes are {', '.join(map(repr, device_mesh.axis_names))}."
            )
        self._lamina = self.axes, device_mesh

    @property
    def backend_layout(self) -> NamedSharding:
        """JAX's sharding with the same meaning.

        Raises:
            ArgumentError: the layout has no mesh yet.
        """
        if self.device_mesh is None:
            raise ArgumentError(f"{self} has no mesh: set its device_mesh first.")
        return layout_of(self.device_mesh.backend_mesh, self.axes)

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self.device_mesh}>"


class LayoutMap(MutableMapping[str, TensorLayout]):
    """Layouts of weights by their paths. A key is a path, or a regular expression that matches whole paths.

    >>> layouts = LayoutMap(DeviceMesh((1, 1), ["batch", "model"], devices=["cpu:0"]))
    >>> layouts[".*dense.*/kernel"] = None, "model"
    >>> layouts["sequential/dense_1/kernel"].axes
    (None, 'model')
    >>> layouts["sequential/dense_1/bias"] is None
    True

    Args:
        device_mesh: the mesh of the layouts.

    Raises:
        ArgumentError: a key is set twice, a value is no layout, or several keys match a path.
    """

    def __init__(self, device_mesh: DeviceMesh) -> None:
        self._lamina: tuple[DeviceMesh, dict[str, TensorLayout]] = device_mesh, {}

    @property
    def device_mesh(self) -> DeviceMesh:
        """The mesh of the layouts."""
        return self._lamina[0]

    @user_facing
    def __getitem__(self, key: str) -> TensorLayout:
        """The layout of a path; None if no key matches it."""
        layouts = self._lamina[1]
        keys = [key] if key in layouts else [each for each in layouts if re.fullmatch(each, key)]
        if len(keys) > 1:
            raise ArgumentError(
                f"LayoutMap: the path {key!r} matches {' and '.join(map(repr, keys))}. Each path may match one key."
            )
        return layouts[keys[0]] if keys else None  # type: ignore[return-value]

    @user_facing
    def __setitem__(self, key: str, layout: TensorLayout | Axes) -> None:
        """Set the layout of the paths that `key` matches. A tuple of axes stands for a `TensorLayout`."""
        if key in self._lamina[1]:
            raise ArgumentError(f"LayoutMap: {key!r} is set already. Delete it first: del layout_map[{key!r}].")
        if isinstance(layout, tuple):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ArgumentError(
                f"layout_map[{key!r}]: expected a TensorLayout or a tuple of axes such as (None, 'model'), "
                f"got {short(layout)}."
            )
        if layout.device_mesh is None:
            layout.device_mesh = self.device_mesh
        self._lamina[1][key] = layout

    def __delitem__(self, key: str) -> None:
        del self._lamina[1][key]

    def __len__(self) -> int:
        return len(self._lamina[1])

    def __iter__(self) -> Iterator[str]:
        return iter(self._lamina[1])


@user_facing
def distribute_tensor(tensor: Any, layout: TensorLayout | jax.sharding.Sharding) -> Array:
    """The tensor with another layout, in a compiled function too.

    >>> layout = TensorLayout(["batch", None], DeviceMesh((1,), ["batch"], devices=["cpu:0"]))
    >>> distribute_tensor(np.ones((4, 2), "float32"), layout).shape
    (4, 2)

    Args:
        tensor: an array of any shape.
        layout: the layout, or one of JAX's shardings.
    """
    sharding = layout.backend_layout if isinstance(layout, TensorLayout) else layout
    placed: Array = jax.lax.with_sharding_constraint(tensor, sharding)
    return placed
