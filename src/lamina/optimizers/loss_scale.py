"""Training in float16: the loss is multiplied by a scale, so that small gradients do not become 0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._messages.spelling import did_you_mean, to_snake_case
from lamina._messages.tracebacks import warn
from lamina._settings.arguments import Config
from lamina._settings.converters import above_zero, positive
from lamina._settings.settings import serialize
from lamina._weights.weight import Weight
from lamina.dtypes import wide
from lamina.errors import ArgumentError, LaminaError
from lamina.optimizers.optimizer import Arrays, Optimizer, registry
from lamina.optimizers.overwriting import overwritten
from lamina.optimizers.state import Rate, follow
from lamina.optimizers.variables import State, Variables, put


@registry.add()
class LossScaleOptimizer(Optimizer):
    """Multiplies the loss by a scale, divides the gradients by it, and lets `inner_optimizer` make the step.

    If a gradient is not finite, the step is skipped and the scale is halved; after `dynamic_growth_steps` finite steps
    it is doubled (Micikevicius et al. 2018, "Mixed precision training"). `compile` puts it around the
    optimizer of a `mixed_float16` model. All other settings are the inner optimizer's.

    >>> LossScaleOptimizer("adam", initial_scale=1024.0)
    LossScaleOptimizer(inner_optimizer=Adam(), initial_scale=1024.0)

    Args:
        inner_optimizer: an optimizer, or the name or config of one.
        initial_scale: the scale before the first step.
        dynamic_growth_steps: after so many finite steps the scale is doubled.
        base: arguments of older files, with their defaults; `dynamic=True`, as in Keras 2.
    """

    def __init__(
        self,
        inner_optimizer: str | Optimizer | Config,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **base: object,
    ) -> None:
        if not base.pop("dynamic", True):
            raise ArgumentError(
                "LossScaleOptimizer(dynamic=False): a fixed scale is an argument of the optimizer itself, such as "
                "Adam(loss_scale_factor=1024)."
            )
        for argument, value in base.items():
            if argument not in self._lamina_fields:
                hint = did_you_mean(argument, ["initial_scale", "dynamic_growth_steps", *self._lamina_fields])
                raise ArgumentError(f"LossScaleOptimizer has no argument {argument!r}. {hint}")
            if (
                value != self._lamina_fields[argument].default
            ):  # older files of Keras have all of them, with their defaults
                raise ArgumentError(f"LossScaleOptimizer takes no {argument}: give it to the inner optimizer.")
        try:
            inner = registry.get(inner_optimizer)
            self.initial_scale, self.dynamic_growth_steps = above_zero(initial_scale), positive(dynamic_growth_steps)
        except LaminaError as error:
            raise type(error)(f"LossScaleOptimizer: {error}") from None
        if not isinstance(inner, Optimizer) or isinstance(inner, LossScaleOptimizer):
            raise ArgumentError(f"LossScaleOptimizer: expected an optimizer to wrap, got {inner!r}.")
        if inner.loss_scale_factor is not None:
            warn("LossScaleOptimizer sets the inner optimizer's loss_scale_factor to None: the scale is its own.")
            inner.loss_scale_factor = None
        self.inner_optimizer = inner
        self.name = name or to_snake_case(type(self).__name__)

    def _lamina_without_arrays(self, names: dict[str, str]) -> Self:
        twin = super()._lamina_without_arrays(names)
        twin.inner_optimizer = self.inner_optimizer._lamina_without_arrays(names)
        return twin

    def _lamina_with(self, arrays: State) -> Self:
        own, rest = _parted(arrays)
        twin = super()._lamina_with(own)
        twin.inner_optimizer = self.inner_optimizer._lamina_with(rest)
        return twin

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    def build(self, variables: Iterable[Weight]) -> None:
        variables = list(variables)
        self.inner_optimizer.build(variables)
        self._lamina.weights = tuple(variables)
        if not self._lamina.variables:
            put(self, self._lamina.variables, self._own())

    def _lamina_init(self, params: Arrays) -> State:
        return {**self.inner_optimizer._lamina_init(params), **self._own()}

    def _own(self) -> State:
        counter, scale = jnp.zeros((), jnp.int32), jnp.array(self.initial_scale, jnp.float32)
        return {"step_counter": counter, "dynamic_scale": scale}

    def _lamina_scale(self, loss: Array, state: State) -> Array:
        scale: Array = state.get("dynamic_scale", jnp.float32(self.initial_scale))
        return loss.astype(wide(loss.dtype)) * scale.astype(wide(loss.dtype))

    def _lamina_update(
        self, grads: Arrays, params: Arrays, state: State, decay: dict[str, bool] | None = None
    ) -> tuple[Arrays, State]:
        scale = state["dynamic_scale"]
        kept = overwritten(self.inner_optimizer._lamina)
        grads = {path: g if path in kept else g.astype(wide(g.dtype)) for path, g in grads.items()}
        grads = {path: g if path in kept else g / scale.astype(g.dtype) for path, g in grads.items()}
        finite = jnp.isfinite(
            sum(jnp.sum(g).astype(scale.dtype) for g in grads.values())
        )  # a sum takes half the time of `all`
        params, state = lax.cond(
            finite,
            lambda: self.inner_optimizer._lamina_update(grads, params, state, decay),
            lambda: (params, state),
        )
        count = state["step_counter"] + 1
        full = count == self.dynamic_growth_steps
        state["dynamic_scale"] = scale * jnp.where(finite, jnp.where(full, 2.0, 1.0), 0.5).astype(scale.dtype)
        state["step_counter"] = jnp.where(finite & ~full, count, 0)
        return params, state

    # The variables are those of the inner optimizer and two more.

    @property
    def _lamina_variables(self) -> Variables:
        return {**self.inner_optimizer._lamina_variables, **self._lamina.variables}

    @property
    def _lamina_arrays(self) -> State | None:
        follow(self.inner_optimizer)
        return super()._lamina_arrays

    @_lamina_arrays.setter
    def _lamina_arrays(self, arrays: State | None) -> None:
        own, rest = _parted(arrays or {})
        put(self, self._lamina.variables, own)
        self.inner_optimizer._lamina_arrays = rest or None
        if arrays is None:
            self._lamina.variables, self._lamina.weights = {}, ()

    @property
    def learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> Any:
        return self.inner_optimizer.iterations

    @property
    def dynamic_scale(self) -> Any:
        """The number that the loss is multiplied by now, () float32."""
        return self._lamina.variables.get("dynamic_scale", jnp.float32(self.initial_scale))

    @property
    def variables(self) -> list[Weight]:
        own = [
            Weight(jnp.zeros((), dtype), name=name, path=f"{self.name}/{name}", trainable=False)
            for name, dtype in (("iteration", jnp.int32), ("learning_rate", wide()))  # unused, in Keras too
        ]
        return [*own, *self._lamina.variables.values(), *self.inner_optimizer.variables]

    def _lamina_finalize(self, params: Arrays, state: State) -> Arrays:
        return self.inner_optimizer._lamina_finalize(params, state)

    def _lamina_excludes(self, weight_path: str) -> bool:
        return self.inner_optimizer._lamina_excludes(weight_path)

    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)


def _parted(arrays: State) -> tuple[State, State]:
    """The arrays of a LossScaleOptimizer, and those of its inner optimizer."""
    own: State = {name: arrays[name] for name in ("step_counter", "dynamic_scale") if name in arrays}
    return own, {name: array for name, array in arrays.items() if name not in own}
