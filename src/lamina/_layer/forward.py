"""One pass: a copy of the layers in which the pass's own arrays stand where the weights stood."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from lamina._base.shapes import Shape, shape_of
from lamina._base.weight import Array, Weight
from lamina._layer.structure import Tree
from lamina.errors import StackError
from lamina.random import key_of


class Pass:
    """One pass through layers: the arrays that stand for the weights, what is told, and what comes back."""

    def __init__(self, values: dict[Weight, Any], *, training: bool, key: Any, building: bool = False) -> None:
        self.values, self.training, self.key, self.building = values, training, key, building
        self.losses: list[Array] = []
        self.paths: dict[int, str] = {}
        self.copies: dict[int, tuple[Any, Any]] = {}

    def copy_of(self, layer: Any, path: str = "") -> Any:
        if id(layer) not in self.copies:
            twin = copy.copy(layer)
            self.copies[id(layer)] = (layer, twin)
            self.paths[id(twin)] = path
            self._hand(layer, twin)
        return self.copies[id(layer)][1]

    def _hand(self, layer: Any, twin: Any) -> None:
        for attribute, value in vars(layer).items():
            if attribute not in layer.left_out:
                vars(twin)[attribute] = self._stand_in(value, layer, f"{self.paths[id(twin)]}.{attribute}")
        twin._pass = self

    def build(self, twin: Any, shape: Shape) -> None:
        """Build the layer that `twin` is a copy of, where `call` first reaches it."""
        layer = next((layer for layer, copied in self.copies.values() if copied is twin), None)
        if layer is None or not self.building:
            raise StackError(
                f"{type(twin).__name__} has no weights yet. Make the layers that a custom layer uses in its "
                "__init__ or build, and keep them as attributes."
            )
        with jax.ensure_compile_time_eval():
            layer.build((None, *shape[1:]))
        for part in layer.walk():
            if id(part.layer) in self.copies:
                self._hand(*self.copies[id(part.layer)])

    def _stand_in(self, value: Any, owner: Any, path: str) -> Any:
        if isinstance(value, Weight):
            array = self.values.get(value, value.value)
            if not value.trainable:
                return Weight(array, name=value.name, trainable=False)
            cast = owner.autocast and value.autocast and jnp.issubdtype(array.dtype, jnp.floating)
            return jnp.asarray(array, owner.compute_dtype) if cast else array
        if isinstance(value, Tree):
            return self.copy_of(value, path)
        if isinstance(value, (list, tuple)) and value:
            items = [self._stand_in(item, owner, f"{path}.{i}") for i, item in enumerate(value)]
            return items if isinstance(value, list) else tuple(items) if type(value) is tuple else value
        if isinstance(value, dict):
            return {key: self._stand_in(item, owner, f"{path}.{key}") for key, item in value.items()}
        return value

    def changed(self) -> Iterator[tuple[Weight, Any]]:
        """The non-trainable weights, each with the array that it holds after the pass."""
        for layer, twin in self.copies.values():
            for attribute, value in vars(layer).items():
                yield from _after(value, vars(twin).get(attribute))


def _after(before: Any, after: Any) -> Iterator[tuple[Weight, Any]]:
    if isinstance(before, Weight) and not before.trainable:
        yield before, jnp.asarray(after.value if isinstance(after, Weight) else after, before.value.dtype)
    elif isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        for old, new in zip(before, after, strict=False):
            yield from _after(old, new)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key, old in before.items():
            yield from _after(old, after.get(key))


@functools.lru_cache(256)
def _symbolic(names: str) -> tuple[Any, ...]:
    """Sizes by name, the same objects for the same names: JAX would keep a trace for each new one."""
    return tuple(export.symbolic_shape(names))


def output_shape(layer: Any, shape: Shape) -> Any:
    """The shape of a layer's output, or of each where it has several, from an abstract pass.

    Sizes are symbolic where `shape` has None.
    """
    values = {weight: weight.value for weight in layer.weights}

    def output(*sizes: Any) -> Any:
        def forward(x: Any) -> Any:
            return Pass(dict(values), training=False, key=key_of(0), building=True).copy_of(layer)._run(x)

        return jax.eval_shape(forward, jax.ShapeDtypeStruct(sizes, layer.compute_dtype))

    if None not in shape:
        return jax.tree.map(shape_of, output(*shape))
    names = ",".join("batch" if axis == 0 else str(n) if n else f"n{axis}" for axis, n in enumerate(shape))
    try:
        return jax.tree.map(shape_of, output(*_symbolic(names)))
    except Exception as error:
        # Python in `call` may need real numbers; what differs between two guesses depends on the batch.
        try:
            small, large = (output(*(guess if n is None else n for n in shape)) for guess in (12, 24))
        except Exception as reason:
            symbolic = isinstance(error, jax.errors.InconclusiveDimensionOperation) or "_DimExpr" in str(error)
            raise (reason if symbolic else error) from None
        return jax.tree.map(
            lambda one, other: tuple(a if a == b else None for a, b in zip(one.shape, other.shape, strict=True)),
            small,
            large,
        )
