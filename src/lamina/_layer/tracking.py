"""The weights of a layer and of its sublayers, as users read and set them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import HostArray
from lamina._layer.inputs import build_config
from lamina._layer.keys import own_seed_states, seed_of
from lamina._layer.structure import Module, adopt, inner_modules, parts, weights_by_path
from lamina._messages.spelling import free_name
from lamina._messages.tracebacks import user_facing
from lamina._settings.settings import setting
from lamina._weights.turns import this_thread
from lamina._weights.weight import Weight, assign_all, read_all
from lamina.errors import ArgumentError, NotBuiltError, ShapeError

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


class WithWeights(Module):
    """The part of a layer's interface that gives access to its weights."""

    built: bool = setting(default=False, init=False)

    @property
    @user_facing
    def weights(self) -> list[Weight]:
        """All weights, including those of sublayers. The states of stateful layers are not included."""
        return [weight for weight, _ in weights_by_path(self).values() if not weight.carried]

    @property
    @user_facing
    def variables(self) -> list[Weight]:
        """All weights; the weights of each layer are followed by its random state, if it draws random numbers."""
        return list(_variables(self))

    @property
    @user_facing
    def trainable_weights(self) -> list[Weight]:
        """The weights that training changes."""
        return [weight for weight, trained in weights_by_path(self).values() if trained]

    trainable_variables = trainable_weights

    @property
    @user_facing
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training does not change, but that `call` may assign to."""
        return [weight for weight, trained in weights_by_path(self).values() if not trained and not weight.carried]

    @property
    @user_facing
    def non_trainable_variables(self) -> list[Weight]:
        """The weights that training does not change, and the random states, which `stateless_call` takes and
        returns."""
        return [variable for variable, trained in _variables(self).items() if not trained]

    @property
    def metrics(self) -> list[Any]:
        """The metrics that this layer and its sublayers hold in their attributes."""
        held = [each for part in parts(self) for each in inner_modules(part.layer, Module).values()]
        return [each for each in dict.fromkeys(held) if not hasattr(each._lamina, "trainable")]

    @property
    def metrics_variables(self) -> list[Weight]:
        """The weights of the metrics."""
        return [weight for metric in self.metrics for weight in metric.variables]

    @user_facing
    def get_weights(self) -> list[HostArray]:
        """Returns the values of `weights` as copies in NumPy arrays."""
        return [np.array(array) for array in read_all(self.weights)]

    @user_facing
    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Assign a list like that of `get_weights`. If any array does not fit, nothing is assigned."""
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
        with this_thread():
            for weight, value in zip(self.weights, weights, strict=True):
                weight.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Put what a file keeps of this layer into `store`, a dict of arrays; sublayers have their own.

        Override it together with `load_own_variables` if the file must keep more than the weights.
        """
        store.update((str(number), weight) for number, weight in enumerate(own_weights(self)))

    @user_facing
    def load_own_variables(self, store: Any) -> None:
        """Assign what `save_own_variables` put into `store`. If any array does not fit, nothing is assigned."""
        assign_all(own_weights(self), store, self.name)

    def _lamina_in_file(self, own: list[Weight]) -> list[Weight]:
        """The arrays in a file for the weights that the layer itself made."""
        return own

    @user_facing
    def count_params(self) -> int:
        """Returns the number of parameters of all weights."""
        require_built(self, "count_params()")
        return sum(int(np.prod(weight.shape)) for weight in self.weights)


def _variables(layer: Layer | WithWeights) -> dict[Weight, bool]:
    """The variables in Keras's order, and whether each is trained now."""
    trained = dict(weights_by_path(layer).values())
    found: dict[Weight, bool] = {}
    for part in parts(layer):
        own = [weight for weight in part.layer._lamina.weights if not weight.carried]
        for weight in (*own, *own_seed_states(part.layer)):
            found.setdefault(weight, trained.get(weight, False))
    return found


def own_weights(layer: WithWeights) -> list[Weight]:
    """The weights that the layer made itself, as Keras's files have them and in the order there."""
    adopt(layer)
    return layer._lamina_in_file([weight for weight in layer._lamina.weights if not weight.carried])


def require_built(layer: WithWeights, what: str) -> None:
    """Raise an error if the layer has no weights yet."""
    if not layer.built:
        raise NotBuiltError(
            f"{what}: {layer.name!r} has no weights yet, they are made when its input shape is known.\n"
            "Put Input(shape) first, or call the model on data, or build((None, ...))."
        )


def named_after(build: Callable[..., None]) -> Callable[..., None]:
    """Wraps a layer's `build` so that the weights then have names and paths, also if the user calls it."""

    @user_facing
    @functools.wraps(build)
    def build_and_name(self: Layer, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        built(self, build_config(self, build, args, kwargs))

    return build_and_name


def built(layer: Layer, config: dict[str, Any] | None) -> None:
    """Record that `build` was called, and name the weights that it made.

    Args:
        config: what `build_from_config` needs to repeat the call; None if it cannot be repeated.
    """
    layer.built, layer._lamina.built_for = True, config
    adopt(layer)
    seed_of(layer)  # draw the seed now at the latest, so that copies of the layer share it and its random states
    list(own_seed_states(layer))
    for attribute, value in vars(layer).items():
        if isinstance(value, Weight) and not value.name:
            value.name = attribute
    taken: set[str] = set()
    for number, weight in enumerate(layer._lamina.weights):
        weight.name = free_name(weight.name or f"variable_{number}", taken)
        weight.path = f"{layer.name}/{weight.name}"
        taken.add(weight.name)
