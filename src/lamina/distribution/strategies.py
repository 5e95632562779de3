"""The distributions: data alone, or data and weights, divided among devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax

from lamina._arrays import devices
from lamina._arrays.devices import Placement
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.converters import short
from lamina.distribution.layouts import DeviceMesh, LayoutMap, TensorLayout, list_devices
from lamina.errors import ArgumentError


@dataclass
class DistributionState:
    """What a distribution was made of, and its placement once it was used."""

    device_mesh: DeviceMesh
    batch_dim_name: str | None
    auto_shard_dataset: bool
    layout_map: LayoutMap | None = None
    placement: Placement | None = None


class Distribution:
    """The base class: a mesh, and the axis over which the rows of a batch are cut. Use one of its subclasses.

    A program computes what it would on one device, apart from rounding: losses, metrics, batch normalization and
    clipping see the whole batch, of `batch_size` rows on all devices together, and dropout draws the same numbers. A
    batch may have any number of rows.

    Args:
        device_mesh: the devices.
        batch_dim_name: the axis of the mesh over which the rows are cut.
        auto_shard_dataset: whether the processes of a job are all given the same data, of which each takes its part.
            False is refused in a job of several processes.
    """

    def __init__(
        self, device_mesh: DeviceMesh, batch_dim_name: str | None = None, auto_shard_dataset: bool = True
    ) -> None:
        self._lamina = DistributionState(device_mesh, batch_dim_name, auto_shard_dataset)

    @property
    def device_mesh(self) -> DeviceMesh:
        """The devices."""
        return self._lamina.device_mesh

    @property
    def batch_dim_name(self) -> str | None:
        """The axis of the mesh over which the rows of a batch are cut."""
        return self._lamina.batch_dim_name

    @property
    def auto_shard_dataset(self) -> bool:
        """Whether all processes are given the same data."""
        return self._lamina.auto_shard_dataset

    @auto_shard_dataset.setter
    def auto_shard_dataset(self, auto_shard_dataset: bool) -> None:
        self._lamina.auto_shard_dataset = auto_shard_dataset

    @property
    def num_processes(self) -> int:
        """The number of processes of the job."""
        return int(jax.process_count())

    @property
    def num_model_replicas(self) -> int:
        """The number of parts into which a batch is cut."""
        raise NotImplementedError(f"{type(self).__name__} cuts no batch: use DataParallel or ModelParallel.")

    @property
    def data_shard_id(self) -> int:
        """The number of this process's part of a batch."""
        return int(jax.process_index()) // max(self.num_processes // self.num_model_replicas, 1)

    def get_data_layout(self, data_shape: Sequence[int | None]) -> TensorLayout:
        """The layout of a batch: its first axis is cut."""
        return TensorLayout([self.batch_dim_name, *[None] * (len(data_shape) - 1)], self.device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout of a weight."""
        layout = self.get_tensor_layout(variable.path)
        return layout or TensorLayout([None] * len(variable.shape), self.device_mesh)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of a weight, or of the output of a layer, by its path; None if nothing decides it."""
        return None

    def distribute_dataset(self, dataset: Any) -> Any:
        """The dataset as it is: `fit`, `evaluate` and `predict` divide the rows of each batch."""
        return dataset

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Inside `with distribution.scope():` models compute on these devices."""
        before = distribution()
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(before)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"


class DataParallel(Distribution):
    """Each device computes a part of the rows of every batch, and has all of the weights.

    A model may be built before or after. `batch_size` is the number of rows on all devices together, so that training
    gives the same numbers as on one device, apart from rounding.

    >>> data_parallel = DataParallel(devices=["cpu:0"])
    >>> with data_parallel.scope():
    ...     distribution() is data_parallel
    True

    Args:
        device_mesh: a mesh of one axis. None makes one of `devices`.
        devices: names as `list_devices` gives them; None for all devices.
        auto_shard_dataset: whether the processes of a job are all given the same data, of which each takes its part.
            False is refused in a job of several processes.

    Raises:
        ArgumentError: `device_mesh` is no DeviceMesh, or there is no such device.
    """

    @user_facing
    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None, auto_shard_dataset: bool = True
    ) -> None:
        if device_mesh is None:
            names = list_devices() if devices is None else list(devices)
            device_mesh = DeviceMesh((len(names),), ["batch"], names)
        if not isinstance(device_mesh, DeviceMesh):
            raise ArgumentError(
                f"DataParallel(device_mesh={short(device_mesh)}): expected a DeviceMesh. For a list of devices type "
                "DataParallel(devices=[...])."
            )
        if len(device_mesh.shape) > 1:
            warn(
                f"DataParallel cuts batches over the first axis of {device_mesh} alone, {device_mesh.axis_names[0]!r}."
            )
        super().__init__(device_mesh, device_mesh.axis_names[0], auto_shard_dataset)

    @property
    def num_model_replicas(self) -> int:
        """The number of devices."""
        return int(self.device_mesh.devices.size)


class ModelParallel(Distribution):
    """Each device has the parts of the weights that `layout_map` says, and computes a part of the rows.

    >>> mesh = DeviceMesh((1, 1), ["batch", "model"], devices=["cpu:0"])
    >>> layouts = LayoutMap(mesh)
    >>> layouts[".*dense.*/kernel"] = None, "model"
    >>> ModelParallel(layout_map=layouts, batch_dim_name="batch").num_model_replicas
    1

    Args:
        layout_map: the layouts of the weights whose paths match; each device has all of the other weights. The moments
            of an optimizer are cut like their weights.
        batch_dim_name: the axis of the mesh over which the rows are cut; None for the first one.
        auto_shard_dataset: whether the processes of a job are all given the same data, of which each takes its part.
            False is refused in a job of several processes.

    Raises:
        ArgumentError: `layout_map` is no LayoutMap, or its mesh has no such axis.
    """

    @user_facing
    def __init__(
        self, *, layout_map: LayoutMap | None = None, batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True, device_mesh: DeviceMesh | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(layout_map, LayoutMap):
            raise ArgumentError(f"ModelParallel(layout_map={short(layout_map)}): expected a LayoutMap.")
        mesh = layout_map.device_mesh
        if batch_dim_name is not None and batch_dim_name not in mesh.axis_names:
            raise ArgumentError(
                f"ModelParallel(batch_dim_name={batch_dim_name!r}): the axes of {mesh} are "
                f"{', '.join(map(repr, mesh.axis_names))}."
            )
        super().__init__(mesh, batch_dim_name or mesh.axis_names[0], auto_shard_dataset)
        self._lamina.layout_map = layout_map

    @property
    def num_model_replicas(self) -> int:
        """The number of parts into which a batch is cut."""
        return self.device_mesh.shape[list(self.device_mesh.axis_names).index(str(self.batch_dim_name))]

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of a weight, or of the output of a layer, by its path; None if no key matches it."""
        return None if self._lamina.layout_map is None else self._lamina.layout_map[path]


def distribution() -> Distribution | None:
    """The distribution that `set_distribution` set; None where models compute on one device."""
    placement = devices.chosen()
    return None if placement is None else placement.distribution


@user_facing
def set_distribution(value: Distribution | None) -> None:
    """Let models compute on the devices of a distribution; None means one device, as before.

    The weights of a model move there when it is used next. None brings all weights back to one device.

    Args:
        value: the distribution.

    Raises:
        ArgumentError: `value` is no distribution, or a model is trained now.
    """
    if value is not None and not isinstance(value, Distribution):
        raise ArgumentError(f"set_distribution({short(value)}): expected a DataParallel or a ModelParallel, or None.")
    if value is not None:
        _require_known(value)
    devices.use(None if value is None else _placement(value))


def _require_known(value: Distribution) -> None:
    """Refuse what is not there yet."""
    outputs = [key for key in value._lamina.layout_map or () if key.endswith("/output")]
    if outputs:
        raise ArgumentError(
            f"set_distribution(ModelParallel(...)): layouts of outputs are not there yet. Delete {outputs[0]!r} from "
            "the LayoutMap, or call keras.distribution.distribute_tensor within a custom layer."
        )
    if value.num_processes == 1:
        return
    if isinstance(value, ModelParallel):
        raise ArgumentError(
            "set_distribution(ModelParallel(...)): weights can be cut over the devices of one process, and this job "
            f"has {value.num_processes} processes. Use DataParallel()."
        )
    if not value.auto_shard_dataset:
        raise ArgumentError(
            f"set_distribution({type(value).__name__}(auto_shard_dataset=False)): the processes of a job cannot have "
            "data of their own yet. Give each process the same data, and leave auto_shard_dataset=True."
        )


def _placement(value: Distribution) -> Placement:
    """How arrays lie under a distribution: the same object each time, so that its programs are compiled once."""
    if value._lamina.placement is None:
        axis = value.batch_dim_name or value.device_mesh.axis_names[0]
        value._lamina.placement = Placement(value.device_mesh.backend_mesh, axis, value)
    return value._lamina.placement
