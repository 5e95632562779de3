"""What a layer holds, to any depth: its weights, and layers that have weights of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from lamina.errors import NotBuiltError, ShapeError, user_facing
from lamina.registry import to_snake_case
from lamina.settings import Configured, setting
from lamina.weight import Weight


class Tree(Configured):
    """An object with weights, and with parts that have weights."""

    name: Any = setting(default=None, kw_only=True)

    left_out: ClassVar[frozenset[str]] = frozenset({"_arguments"})
    """The attributes that a pass and a compiled program do without."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        tree = super().__new__(cls)
        tree.prepare()
        return tree

    def prepare(self) -> None:
        """Set the attributes that are there before `__init__` runs, so that a user's own may come in any order."""
        self.name = to_snake_case(type(self).__name__)
        self.built = False
        self._weights: tuple[Weight, ...] = ()
        self._trainable = True

    def sublayers(self) -> dict[str, Tree]:
        """The layers that this one holds in its attributes, lists and dicts, by where they stand."""
        found: dict[str, Tree] = {}

        def look(value: Any, path: str) -> None:
            if isinstance(value, Tree):
                found[path] = value
            elif isinstance(value, (list, tuple)):
                for index, item in enumerate(value):
                    look(item, f"{path}.{index}")
            elif isinstance(value, dict):
                for key, item in value.items():
                    look(item, f"{path}.{key}")

        for attribute, value in vars(self).items():
            if attribute != "_pass" and attribute not in self.left_out:
                look(value, attribute)
        return found

    def walk(self, path: str = "") -> Iterator[tuple[str, Tree]]:
        """This layer and all that it holds, each once, with its path from here."""
        seen: set[int] = set()

        def visit(layer: Tree, path: str) -> Iterator[tuple[str, Tree]]:
            if id(layer) not in seen:
                seen.add(id(layer))
                yield path, layer
                for name, inner in layer.sublayers().items():
                    yield from visit(inner, f"{path}.{name}" if path else name)

        return visit(self, path)

    def weights_by_path(self) -> dict[str, tuple[Weight, bool]]:
        """Every weight, and whether it is trained now, by a path that does not depend on any layer's name."""
        found: dict[str, tuple[Weight, bool]] = {}
        for path, layer in self.walk():
            own = sorted(layer._weights, key=lambda weight: not weight.trainable)
            for weight in own:
                found[f"{path}.{weight.name}".lstrip(".")] = (weight, weight.trainable and layer._trainable)
        return found

    @property
    def weights(self) -> list[Weight]:
        return [weight for weight, _ in self.weights_by_path().values()]

    variables = weights

    @property
    def trainable_weights(self) -> list[Weight]:
        return [weight for weight, trained in self.weights_by_path().values() if trained]

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Weight]:
        return [weight for weight, trained in self.weights_by_path().values() if not trained]

    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The values of `weights`, as NumPy arrays of their own."""
        return [weight.numpy() for weight in self.weights]

    @user_facing
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign a list like that of `get_weights`; nothing is assigned unless all of it fits."""
        if len(weights) != len(self.weights):
            raise ShapeError(
                f"{self.name} has {len(self.weights)} weights, and got {len(weights)}. "
                f"Its weights: {', '.join(f'{w.path} {w.shape}' for w in self.weights) or 'none, it is not built'}."
            )
        for weight, value in zip(self.weights, weights, strict=True):
            if np.shape(value) != weight.shape:
                raise ShapeError(f"weight {weight.path} has shape {weight.shape}, and got {np.shape(value)}.")
        for weight, value in zip(self.weights, weights, strict=True):
            weight.assign(value)

    @user_facing
    def count_params(self) -> int:
        """How many numbers the weights hold."""
        self._require_built("count_params()")
        return sum(int(np.prod(weight.shape)) for weight in self.weights)

    def _require_built(self, what: str) -> None:
        if not self.built:
            raise NotBuiltError(
                f"{what}: {self.name!r} has no weights yet, they are made when its input shape is known.\n"
                "Put Input(shape) first, or call the model on data, or build((None, ...))."
            )
