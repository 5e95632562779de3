"""The base of all optimizers: maps the formula for one array over a model's, with clipping, decay and averages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina._base import settings
from lamina._base.converters import above_zero, flag, integer, not_negative, optional, positive, rate
from lamina._base.frames import user_facing, warn
from lamina._base.registry import Registry
from lamina._base.settings import Configured, setting
from lamina._base.spelling import to_snake_case
from lamina._base.weight import Array, Weight
from lamina.dtypes import wide
from lamina.errors import ArgumentError, ShapeError
from lamina.optimizers.state import OptimizerState, State, Stateful, learning_rate

Arrays = dict[str, Array]

registry = Registry("optimizer")


def _several(value: Any) -> int:
    if integer(value) < 2:
        raise ArgumentError(f"expected a whole number of at least 2, or None, got {value!r}.")
    return integer(value)


def _sum_of_squares(g: Array) -> Array:
    return jnp.sum(g * g)


class Optimizer(Stateful, Configured):
    """Subclass it and write `step` for one array, and `slots` if the formula remembers anything.

    In `step` all arrays are of one dtype, at least float32, whatever dtype the weights have; so are the slots.

    >>> class SignDescent(Optimizer):
    ...     def step(self, g, p, slots, lr, t):
    ...         return p - lr * jnp.sign(g), slots
    >>> sign = SignDescent(learning_rate=0.5)
    >>> params = {"w": jnp.array([1.0, -1.0])}
    >>> params, state = sign.update({"w": jnp.array([3.0, -2.0])}, params, sign.init(params))
    >>> print(params["w"])
    [ 0.5 -0.5]

    Args:
        learning_rate: a number, a schedule, or a function of the step.
        weight_decay: the share of a weight, times the learning rate, that is taken off it before each update.
        clipnorm: the largest norm that the gradient of one weight may have; a larger one is scaled down to it.
        clipvalue: the largest size of each number in a gradient.
        global_clipnorm: the largest norm of all gradients together.
        use_ema: average the weights over time, and take the averages for weights at the end of `fit`.
        ema_momentum: the weight of the old average: `average = ema_momentum * average + (1 - ema_momentum) * weight`.
        ema_overwrite_frequency: take the averages for weights every so many steps as well.
        loss_scale_factor: the loss is multiplied by it, and gradients divided, so that float16 does not lose them.
        gradient_accumulation_steps: update only every so many steps, with the mean of their gradients.
    """

    learning_rate: Any = setting(learning_rate, default=0.001)
    weight_decay: float | None = setting(optional(not_negative), default=None, kw_only=True)
    clipnorm: float | None = setting(optional(not_negative), default=None, kw_only=True)
    clipvalue: float | None = setting(optional(not_negative), default=None, kw_only=True)
    global_clipnorm: float | None = setting(optional(not_negative), default=None, kw_only=True)
    use_ema: bool = setting(flag, default=False, kw_only=True)
    ema_momentum: float = setting(rate, default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = setting(optional(positive), default=None, kw_only=True)
    loss_scale_factor: float | None = setting(optional(above_zero), default=None, kw_only=True)
    gradient_accumulation_steps: int | None = setting(optional(_several), default=None, kw_only=True)
    name: Any = setting(default=None, kw_only=True)

    _lamina_module: ClassVar[str | None] = "keras.optimizers"
    _lamina: OptimizerState = setting(init=False)
    _lamina_state: ClassVar[type[settings.State]] = OptimizerState
    _lamina_instead: ClassVar[dict[str, str]] = {
        "lr": "Type learning_rate= for it.",
        "decay": "Type learning_rate=optimizers.schedules.InverseTimeDecay(0.01, decay_steps=1, decay_rate=...), "
        "or weight_decay= if it is the weights that should decay.",
    }

    def __post_init__(self) -> None:
        clips = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(clips) > 1:
            raise ArgumentError(
                f"{type(self).__name__}: only one of clipnorm, clipvalue and global_clipnorm can be used, "
                f"got {' and '.join(clips)}."
            )
        if self.ema_overwrite_frequency is not None and not self.use_ema:
            warn(f"{type(self).__name__}(ema_overwrite_frequency=...) has no effect without use_ema=True.")
        self.name = self.name or to_snake_case(type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "learning_rate": self.rate_config()} if "learning_rate" in config else config

    def __repr__(self) -> str:
        usual = {name: field.default for name, field in self._lamina_fields.items()}
        usual |= {"name": to_snake_case(type(self).__name__)}
        given = self._lamina.arguments or usual
        shown = {name: getattr(self, name, value) for name, value in given.items()}
        if "learning_rate" in shown:
            shown["learning_rate"] = self._lamina.schedule or self._lamina.source or float(f"{self.rate_config():.7g}")
        changed = [f"{name}={value!r}" for name, value in shown.items() if name not in usual or usual[name] != value]
        return f"{type(self).__name__}({', '.join(changed)})"

    # What an optimizer's author writes.

    def slots(self, p: Array) -> Arrays:
        """What the formula remembers of one array at the start, by name. `p` is of the dtype that `step` sees."""
        return {}

    def step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        """One array and its slots after step `t` (1, 2, ...), from its gradient `g` and the learning rate `lr`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method step(self, g, p, slots, lr, t).")

    # Pure functions, for use inside a compiled program.

    def init(self, params: Arrays) -> State:
        """The state before the first step, for arrays by path."""
        state: State = {"iteration": jnp.zeros((), jnp.int32)}
        if self._lamina.schedule is None:
            state["learning_rate"] = jnp.array(self.learning_rate, wide())
        params = {path: p.astype(wide(p.dtype)) for path, p in params.items()}  # 16 bits would round means to nothing
        state["slots"] = {path: self.slots(p) for path, p in params.items()}
        if self.use_ema:
            state["average"] = {path: jnp.zeros_like(p) for path, p in params.items()}
        if self.gradient_accumulation_steps:
            state["accumulator"] = {path: jnp.zeros_like(p) for path, p in params.items()}
        return state

    def scale(self, loss: Array, state: State) -> Array:
        """The loss times what `update` divides the gradients by."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def update(
        self, grads: Arrays, params: Arrays, state: State, decay: dict[str, bool] | None = None
    ) -> tuple[Arrays, State]:
        """One step: the new parameters and the new state.

        In this order: unscale, accumulate, clip, decay, the optimizer's own formula, average.

        Args:
            decay: which weights decay; all but those of `exclude_from_weight_decay` unless given.
        """
        step, every = state["iteration"], self.gradient_accumulation_steps
        after = {**state, "iteration": step + 1}
        lr, t = self._rate(state), step // every if every else step
        decay = {path: not self.excludes(path) for path in params} if decay is None else decay
        grads = {path: g.astype(wide(g.dtype)) for path, g in grads.items()}
        if self.loss_scale_factor is not None:
            grads = {path: g / self.loss_scale_factor for path, g in grads.items()}

        def move(grads: Arrays) -> tuple[Arrays, Any]:
            return self._moved(self._clipped(grads), params, state["slots"], lr, t + 1, decay)

        if every:
            total = {path: g + state["accumulator"][path] for path, g in grads.items()}
            held = {**state["accumulator"], **total}
            params, after["slots"], after["accumulator"] = lax.cond(
                (step + 1) % every == 0,
                lambda: (*move({path: g / every for path, g in total.items()}), jax.tree.map(jnp.zeros_like, held)),
                lambda: (params, state["slots"], held),
            )
        else:
            params, after["slots"] = move(grads)
        if self.use_ema:
            params, average = self._averaged(params, state["average"], t)
            after["average"] = {**state["average"], **average}
        return params, after

    def finalize(self, params: Arrays, state: State) -> Arrays:
        """The parameters at the end of training: with `use_ema` their averages, as copies."""
        if not self.use_ema:
            return params
        return {path: jnp.array(state["average"][path], p.dtype, copy=True) for path, p in params.items()}

    def excludes(self, weight_path: str) -> bool:
        """Whether `exclude_from_weight_decay` named this weight."""
        named = self._lamina.excluding is not None and self._lamina.excluding.search(weight_path) is not None
        return named or weight_path in self._lamina.excluded

    def _clipped(self, grads: Arrays) -> Arrays:
        if self.clipnorm:
            norms = {path: jnp.sqrt(_sum_of_squares(g)) for path, g in grads.items()}
            return {path: g * (self.clipnorm / jnp.maximum(norms[path], self.clipnorm)) for path, g in grads.items()}
        if self.global_clipnorm:
            widest = max((g.dtype for g in grads.values()), key=lambda dtype: dtype.itemsize)
            norm = jnp.sqrt(sum(_sum_of_squares(g).astype(widest) for g in grads.values()))
            share = self.global_clipnorm / jnp.maximum(norm, self.global_clipnorm)
            share = jnp.where(jnp.isfinite(norm), share, jnp.nan)  # nothing of a broken step may look sound
            return {path: g * share.astype(g.dtype) for path, g in grads.items()}
        if self.clipvalue:
            return {path: jnp.clip(g, -self.clipvalue, self.clipvalue) for path, g in grads.items()}
        return grads

    def _moved(
        self, grads: Arrays, params: Arrays, slots: dict[str, Arrays], lr: Array, t: Array, decay: dict[str, bool]
    ) -> tuple[Arrays, dict[str, Arrays]]:
        """Each array that has a gradient after its decay and its step, in the dtype that it had."""
        params, slots = dict(params), dict(slots)
        for path, g in grads.items():
            stored, dtype = params[path], g.dtype
            p, rate = stored.astype(dtype), lr.astype(dtype)
            if self.weight_decay and decay.get(path, True):
                p = p - p * (self.weight_decay * rate)
            p, slots[path] = self.step(g, p, slots[path], rate, t.astype(dtype))
            params[path] = p.astype(stored.dtype)
        return params, slots

    def _averaged(self, params: Arrays, average: Arrays, t: Array) -> tuple[Arrays, Arrays]:
        momentum = jnp.where(t == 0, 0.0, self.ema_momentum)  # the first step's weights start the average
        new = {}
        for path, p in params.items():
            share = momentum.astype(average[path].dtype)
            new[path] = share * average[path] + (1 - share) * p.astype(share.dtype)
        if self.ema_overwrite_frequency:
            due = (t + 1) % self.ema_overwrite_frequency == 0
            params = {path: jnp.where(due, new[path].astype(p.dtype), p) for path, p in params.items()}
        return params, new

    # For the user's own training loop, on weights.

    @user_facing
    def build(self, variables: Iterable[Weight]) -> None:
        """Make the state for these weights, if there is none yet."""
        weights = _by_path(variables)
        self._lamina.weights = tuple(weights.values())
        if not self.built:
            self.state = self.init({path: weight.value for path, weight in weights.items()})

    @user_facing
    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Weight] | None = None) -> None:
        """Update weights, in place, by their gradients, None for a weight that has none; then apply constraints.

        >>> from lamina.optimizers import SGD
        >>> w = Weight(jnp.ones(2), name="w")
        >>> SGD(0.5).apply([jnp.array([1.0, 0.0])], [w])
        >>> print(w.numpy())
        [0.5 1. ]
        """
        weights = _by_path(self._lamina.weights if trainable_variables is None else trainable_variables)
        arrays = _gradients(list(grads), weights)
        if not self.built or not self._lamina.weights:
            self.build(weights.values())
        unknown = [path for path in weights if path not in self._lamina.arrays["slots"]]
        if unknown:
            raise ArgumentError(
                f"this {type(self).__name__} was built for other weights, and does not know {unknown[0]!r}. Make a new "
                "optimizer for a new set of weights."
            )
        params = {path: weight.value for path, weight in weights.items()}
        if self._lamina.compiled is None:
            self._lamina.compiled = jax.jit(self.update)
        params, self.state = self._lamina.compiled(arrays, params, self.state)
        for path, weight in weights.items():
            weight.value = params[path] if weight.constraint is None else weight.constraint(params[path])

    @user_facing
    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Weight]]) -> Any:
        """`apply` for pairs of a gradient and a weight; returns `iterations`."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [weight for _, weight in pairs])
        return self.iterations

    def scale_loss(self, loss: Array) -> Array:
        """The loss to take gradients of, for `apply`."""
        return self.scale(loss, self._lamina.arrays)

    @user_facing
    def finalize_variable_values(self, var_list: Iterable[Weight]) -> None:
        """With `use_ema`, set weights to their averages."""
        weights = _by_path(var_list)
        for path, value in self.finalize({path: w.value for path, w in weights.items()}, self._lamina.arrays).items():
            weights[path].value = value

    @user_facing
    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Let some weights not decay; from the next `fit` on.

        >>> from lamina.optimizers import AdamW
        >>> adam = AdamW()
        >>> adam.exclude_from_weight_decay(var_names=["bias", "gamma|beta"])
        >>> adam.excludes("dense/bias"), adam.excludes("dense/kernel")
        (True, False)

        Args:
            var_names: patterns that are looked for in a weight's path, which is its layer's name and its own.
        """
        if isinstance(var_names, str):
            raise ArgumentError(f"var_names: expected a list of names, got {var_names!r}; type [{var_names!r}].")
        self._lamina.excluded = tuple(weight.path for weight in var_list or ())
        self._lamina.excluding = re.compile("|".join(var_names)) if var_names else None


def _by_path(weights: Iterable[Weight]) -> dict[str, Weight]:
    weights = list(weights)
    found = {weight.path: weight for weight in weights}
    if len(found) < len(weights):
        paths = [weight.path for weight in weights]
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ArgumentError(f"two weights are called {twice!r}: an optimizer tells weights apart by their paths.")
    return found


def _gradients(given: list[Any], weights: dict[str, Weight]) -> Arrays:
    """The gradients that there are, by path, checked against their weights."""
    if len(given) != len(weights):
        raise ArgumentError(f"expected a gradient for each of {len(weights)} weights, got {len(given)}.")
    grads = {path: jnp.asarray(g) for path, g in zip(weights, given, strict=True) if g is not None}
    missing = [path for path in weights if path not in grads]
    if not grads:
        raise ArgumentError(f"all {len(weights)} gradients are None: the loss does not depend on these weights.")
    if missing:
        warn(f"no gradient for {', '.join(missing)}: the loss does not depend on them.")
    for path, g in grads.items():
        if g.shape != weights[path].shape:
            raise ShapeError(f"the gradient of {path!r} has shape {g.shape}, the weight {weights[path].shape}.")
    return grads
