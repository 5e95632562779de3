"""How arrays lie on several devices. Only this module and `lamina.distribution` know `jax.sharding`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple
from weakref import WeakSet

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from lamina._arrays.arrays import HostArray, as_array
from lamina._process.job import ALONE, Alone, started
from lamina.errors import ArgumentError

Axes = Sequence[str | None]
"""For each axis of an array, the axis of the mesh over which it is cut; None where each device has all of it."""


def layout_of(mesh: Mesh, axes: Axes) -> NamedSharding:
    """JAX's sharding of an array whose axes are cut over these axes of a mesh."""
    return NamedSharding(mesh, PartitionSpec(*axes))


class Shardings(NamedTuple):
    """How a compiled program takes its arguments and returns its results: trees of shardings, or one for a whole tree.

    It lives as long as the program.
    """

    inside: tuple[Any, ...]
    outside: Any
    whole: NamedSharding
    """The sharding of an array of which each device has all."""

    @property
    def key(self) -> tuple[str, ...]:
        """What a program depends on, equal in each process."""
        mesh = self.whole.mesh
        places = [f"{each.platform}:{each.id}" for each in mesh.devices.flat]
        return (str(mesh.shape), *places, *(str(each.spec) for each in jax.tree.leaves((self.inside, self.outside))))

    @property
    def of_arguments(self) -> tuple[Any, ...]:
        """How the arguments lie, those that the weights of other models hold first."""
        return (self.whole, *self.inside)

    def of_call(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """The compiled program, which moves its arguments to the devices where it takes them."""
        return lambda *given: run(*(on(each, lie) for each, lie in zip(given, self.of_arguments, strict=True)))


class Placement:
    """Cuts batches over one axis of a mesh, and weights as their distribution says.

    `lamina.distribution` makes it. It lives as long as its distribution.

    Args:
        axis: the axis of the mesh over which the rows of a batch are cut.
        distribution: its `get_tensor_layout(path)` gives the layout of a weight; None where each device has all of it.
    """

    def __init__(self, mesh: Mesh, axis: str, distribution: Any) -> None:
        self.mesh, self.distribution = mesh, distribution
        self.job = (started() if jax.process_count() > 1 else None) or ALONE
        self.parts: int = mesh.shape[axis]
        self.whole, self.rows, self.batches = (layout_of(mesh, axes) for axes in ((), (axis,), (None, axis)))

    def of(self, path: str, array: Any) -> NamedSharding:
        """The sharding of an array that belongs to the weight of that path; "" means that it belongs to none.

        What an optimizer keeps for a weight is cut like the weight if it has as many axes.
        """
        layout = self.distribution.get_tensor_layout(path) if path else None
        if layout is None or len(axes := layout.axes) != array.ndim:
            return self.whole
        for number, axis in enumerate(axes):
            if axis is not None and array.shape[number] % self.mesh.shape[axis]:
                raise ArgumentError(
                    f"{path!r} has the shape {array.shape}, and its layout cuts axis {number} into "
                    f"{self.mesh.shape[axis]} equal parts. Give this path another layout in the LayoutMap."
                )
        return layout_of(self.mesh, axes)

    def of_each(self, weights: Mapping[str, Any]) -> dict[str, NamedSharding]:
        """The shardings of weights, by their names in a program."""
        return {name: self.of(weight.path, weight.array) for name, weight in weights.items()}

    def filled_up(self, rows: HostArray, axis: int = 0) -> HostArray:
        """The rows with zeros behind them, which no program reads, up to a multiple of the devices."""
        missing = -rows.shape[axis] % self.parts
        around = [(0, missing if place == axis else 0) for place in range(rows.ndim)]
        return np.pad(rows, around) if missing else rows


_state: dict[str, Placement | None] = {"placement": None}
_one_device: ContextVar[bool] = ContextVar("one_device", default=False)
holders: WeakSet[Any] = WeakSet()
"""The objects that compute with weights. `place` moves these to the devices of the placement of now, and `busy` says
whether they are trained now."""


def current() -> Placement | None:
    """How arrays lie now; None where each program runs on one device."""
    return None if _one_device.get() else _state["placement"]


def chosen() -> Placement | None:
    """How arrays lie apart from `one_device`."""
    return _state["placement"]


def use(placement: Placement | None) -> None:
    """Let models compute on these devices from now on; None brings the weights of models back to one device.

    A model's weights move to new devices when the model is used next.

    Raises:
        ArgumentError: a model is trained now.
    """
    if any(holder.busy for holder in holders):
        raise ArgumentError("set_distribution: a model is trained now. Set the distribution before or after fit.")
    _state["placement"] = placement
    for holder in list(holders) if placement is None else ():
        holder.place()


def alone() -> bool:
    """Whether this thread runs its programs on one device, whatever the distribution."""
    return _one_device.get()


def job() -> Alone:
    """The processes that compute together with this one."""
    placement = current()
    return ALONE if placement is None else placement.job


@contextmanager
def one_device() -> Iterator[None]:
    """Within it, the programs of this thread run on one device each."""
    token = _one_device.set(True)
    try:
        yield
    finally:
        _one_device.reset(token)


def batches(data: Mapping[str, HostArray], placement: Placement | None) -> Mapping[str, Any]:
    """Batches on the devices, each of which gets its part of the rows.  (batches, rows, ...)"""
    if placement is None:
        return jax.device_put(dict(data))  # type: ignore[no-any-return]
    return {name: on(placement.filled_up(rows, 1), placement.batches) for name, rows in data.items()}


def on(tree: Any, shardings: Any) -> Any:
    """The arrays of a tree with these shardings; those that have them stay as they are."""
    if isinstance(shardings, Sharding):
        return jax.tree.map(functools.partial(_on, sharding=shardings), tree)
    return jax.tree.map(lambda sharding, part: on(part, sharding), shardings, tree)


def _on(array: Any, sharding: Sharding) -> Any:
    if isinstance(array, jax.Array) and array.sharding == sharding:
        return array
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, host.__getitem__)


def place(weights: Iterable[tuple[Any, str]]) -> None:
    """Move the arrays of weights to where they belong now. Each comes with the path of the weight that decides it."""
    placement = current()
    for weight, path in weights:
        if placement is not None:
            weight.array = _on(weight.array, placement.of(path, weight.array))
        elif isinstance(weight.array, jax.Array) and isinstance(weight.array.sharding, NamedSharding):
            weight.array = as_array(np.array(weight.array))
