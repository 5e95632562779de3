"""One pass: a copy of the layers in which the arrays of the pass replace the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._layer.inputs import call_build
from lamina._layer.structure import Module, held, is_layer, parts, refill
from lamina._weights.weight import Weight, read, under_way
from lamina.errors import StackError
from lamina.random import Draws

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


class Pass:
    """One pass through layers or metrics: the arrays that replace the weights, and the inputs of the layers.

    Inside `with`, reading or assigning any weight uses the array of this pass. `losses` collects what the layers add
    to the loss.
    """

    def __init__(
        self, values: dict[Weight, Any], *, training: bool | None = False, key: Array | None = None,
        building: bool = False, of_step: bool = False, rows: Array | None = None, draws: Draws | None = None,
    ) -> None:  # fmt: skip
        self.values, self.training, self.key, self.building, self.rows = values, training, key, building, rows
        self.of_step = of_step
        """Whether it is a training or test step, in which each layer or model has its own losses."""
        self.called: dict[int, list[Array]] = {}
        """What the latest direct call of each layer in the step added to the loss, by the id of the layer."""
        self.around = under_way.get()
        self.draws: Draws = draws or (self.around.draws if isinstance(self.around, Pass) else Draws())
        self.losses: list[Array] = []
        self.added: dict[str, tuple[int, int]] = {}
        """The slice of `losses` that a layer and its sublayers added, by the layer's path."""
        self.paths: dict[int, str] = {}
        self.copies: dict[int, tuple[Any, Any]] = {}
        """Each layer or metric and its copy in this pass, by the id of the original."""
        self.kept: dict[int, tuple[Weight, Weight]] = {}
        """Each non-trainable weight and the weight of this pass that replaces it, by the id of the original."""
        self.origins: dict[int, tuple[Array, Any]] = {}
        """Each array and the array it was made from, by the id of the array; the origin of the data is the data."""
        self.replaced: set[Weight] = set()
        self.calls = 0
        """The number of direct calls of layers during this pass."""

    def __enter__(self) -> Self:
        self.before = under_way.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        under_way.reset(self.before)

    def read(self, weight: Weight) -> Array:
        """The array that now replaces a weight. A weight unknown to this pass is looked up in the pass around it."""
        if id(weight) in self.kept:
            return read(self.kept[id(weight)][1])
        known = self.values.get(weight)
        if known is None and self.around is not None:
            return self.around.read(weight)
        array: Array = weight.array if known is None else known
        return array

    def write(self, weight: Weight, value: Array) -> None:
        """Set the value of a weight for the rest of the pass and after it."""
        if id(weight) in self.kept:
            self.kept[id(weight)][1].array = value
        elif weight in self.values:
            self.values[weight] = value
            self.replaced.add(weight)
        elif self.around is None:
            weight.array, weight.shown = value, True
        else:
            self.around.write(weight, value)

    def copy_of(self, module: Any, path: str = "") -> Any:
        """The module's copy in this pass. Every holder of the same module gets the same copy."""
        if id(module) not in self.copies:
            twin = module._lamina_twin()
            self.copies[id(module)] = (module, twin)
            self.paths[id(twin)] = path
            self._refill(module, twin)
        return self.copies[id(module)][1]

    def _refill(self, module: Any, twin: Any) -> None:
        path = self.paths[id(twin)]

        def change(leaf: object, place: str, known: bool = False) -> Any:
            if known and is_layer(leaf) and id(leaf) not in self.copies:
                return leaf
            return self._stand_in(leaf, module, f"{path}.{place}")

        refill(twin, module, change)
        twin._lamina.running = self

    def build(self, twin: Layer, shapes: dict[str, Any]) -> None:
        """Build the layer that `twin` is a copy of, when `call` first uses it, for inputs of these shapes."""
        layer = next((layer for layer, copied in self.copies.values() if copied is twin), None)
        if layer is None or not self.building:
            raise StackError(
                f"{type(twin).__name__} has no weights yet. Make the layers that a custom layer uses in its "
                "__init__ or build, and keep them as attributes."
            )
        with jax.ensure_compile_time_eval():
            call_build(layer, shapes)
        for part in parts(layer):
            if id(part.layer) in self.copies:
                self._refill(*self.copies[id(part.layer)])

    def _stand_in(self, leaf: object, owner: Any, path: str) -> Any:
        if isinstance(leaf, Weight):
            array = self.read(leaf)
            if not leaf.trainable:
                return self._kept(leaf, array)
            if not (owner.autocast and leaf.autocast and jnp.issubdtype(array.dtype, jnp.floating)):
                return array
            cast = jnp.asarray(array, owner.compute_dtype)
            self.origins[id(cast)] = cast, array
            return cast
        return self.copy_of(leaf, path) if isinstance(leaf, Module) else leaf

    def _kept(self, weight: Weight, array: Array) -> Weight:
        """The weight of this pass that replaces a non-trainable weight, and that may be assigned to."""
        if id(weight) not in self.kept:
            twin = Weight(array, name=weight.name, path=weight.path, trainable=False)
            twin.of_pass, twin.first = True, twin.array
            self.kept[id(weight)] = (weight, twin)
        return self.kept[id(weight)][1]

    def replace(self, twin: Layer, name: str, change: Callable[[Array], Array]) -> None:
        """Set the weight `twin.name` to `change(value)`, for the rest of the pass and after it.

        This is how a layer assigns to a trainable weight, which is a plain array during a pass. The value has the
        dtype of the weight, not the compute dtype.
        """
        owner = next(module for module, copied in self.copies.values() if copied is twin)
        weight = getattr(owner, name)
        self.values[weight] = change(self.read(weight)).astype(weight.dtype)
        self.replaced.add(weight)
        stand_in = self._stand_in(weight, owner, "")
        setattr(twin, name, stand_in.assign(self.values[weight]) if isinstance(stand_in, Weight) else stand_in)

    def changed(self) -> Iterator[tuple[Weight, Array]]:
        """The non-trainable and the replaced weights, each with its array after the pass."""
        yield from ((weight, self.values[weight]) for weight in self.replaced)
        for weight, kept in self.kept.values():
            yield weight, jnp.asarray(kept.array, weight.array.dtype)
        for module, twin in self.copies.values():
            after = dict(held(twin))
            for place, leaf in held(module):
                now = after.get(place)  # an array if `self.moving_mean = ...` replaced the weight
                if isinstance(leaf, Weight) and not leaf.trainable and not (now is None or isinstance(now, Weight)):
                    yield leaf, jnp.asarray(now, leaf.array.dtype)
