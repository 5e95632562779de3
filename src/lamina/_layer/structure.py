"""What a layer holds, to any depth: its weights, and layers that have weights of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from lamina._base.frames import user_facing
from lamina._base.settings import Configured, setting
from lamina._base.spelling import free_name, to_snake_case
from lamina._base.weight import Weight
from lamina.errors import ArgumentError, NotBuiltError, ShapeError


class Part(NamedTuple):
    """A layer within a layer."""

    layer: Any
    path: str
    """The attributes that lead to it, `stack.0.inner`; no layer's name is in it."""
    names: str
    """The names of the layers that lead to it, `sequential/dense`, told apart by numbers where they are equal."""
    trained: bool
    """Whether it and the whole may be trained; what stands between was told of it by `trainable = ...`."""


class Tree(Configured):
    """An object with weights, and with parts that have weights."""

    name: Any = setting(default=None, kw_only=True)

    left_out: ClassVar[frozenset[str]] = frozenset({"_arguments", "_beside"})
    """The attributes that a pass and a compiled program do without."""

    on_host: ClassVar[bool] = False
    """Whether it works on the user's raw data, before the compiled program; see host.py."""

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

    def walk(self) -> Iterator[Part]:
        """This layer and all that it holds, each once."""
        seen: set[int] = set()

        def visit(part: Part) -> Iterator[Part]:
            if id(part.layer) not in seen:
                seen.add(id(part.layer))
                yield part
                taken: set[str] = set()
                for attribute, inner in part.layer.sublayers().items():
                    path = f"{part.path}.{attribute}" if part.path else attribute
                    taken.add(name := free_name(inner.name, taken))
                    trained = self._trainable and inner._trainable
                    yield from visit(Part(inner, path, f"{part.names}/{name}", trained))

        return visit(Part(self, "", self.name, self._trainable))

    def require_adapted(self) -> None:
        """Refuse to run while something that it holds has not seen the data that it learns from."""
        for part in self.walk():
            if part.layer is not self:
                part.layer.require_adapted()

    @contextmanager
    def unchanged_on_error(self) -> Iterator[None]:
        """Give this layer and all that it holds their attributes back if what stands inside fails."""
        before = [(part.layer, dict(vars(part.layer))) for part in self.walk()]
        try:
            yield
        except BaseException:
            for layer, attributes in before:
                vars(layer).clear()
                vars(layer).update(attributes)
            raise

    def weights_by_path(self) -> dict[str, tuple[Weight, bool]]:
        """Every weight, and whether it is trained now, by a path that does not depend on any layer's name.

        Also those that batches hand on to each other, which `weights` leaves out.
        """
        found: dict[str, tuple[Weight, bool]] = {}
        for layer, path, _, trained in self.walk():
            for number, weight in enumerate(sorted(layer._weights, key=lambda weight: not weight.trainable)):
                place = f"{path}.{weight.name}".lstrip(".")
                found[f"{place}.{number}" if place in found else place] = (weight, weight.trainable and trained)
        return found

    @property
    @user_facing
    def weights(self) -> list[Weight]:
        return [weight for weight, _ in self.weights_by_path().values() if not weight.carried]

    variables = weights

    @property
    @user_facing
    def trainable_weights(self) -> list[Weight]:
        return [weight for weight, trained in self.weights_by_path().values() if trained]

    trainable_variables = trainable_weights

    @property
    @user_facing
    def non_trainable_weights(self) -> list[Weight]:
        return [weight for weight, trained in self.weights_by_path().values() if not trained and not weight.carried]

    non_trainable_variables = non_trainable_weights

    @user_facing
    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The values of `weights`, as NumPy arrays of their own."""
        return [weight.numpy() for weight in self.weights]

    @user_facing
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign a list like that of `get_weights`; nothing is assigned unless all of it fits."""
        if not isinstance(weights, (list, tuple)):
            raise ArgumentError(f"set_weights takes a list like that of get_weights, got {type(weights).__name__}.")
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


def followed_by(build: Callable[..., None], finish: Callable[..., None]) -> Callable[..., None]:
    """A layer's `build` with `finish` after it, also where the user calls it."""

    @user_facing
    @functools.wraps(build)
    def run(self: Tree, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        finish(self, ())

    return run
