"""Adam and the optimizers like it: a running mean of the gradient, divided by a running mean of its size."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array
from lamina._settings.converters import flag, not_negative, rate
from lamina._settings.settings import setting
from lamina._weights.weight import Weight
from lamina.dtypes import wide
from lamina.optimizers.built_in import BuiltIn
from lamina.optimizers.optimizer import Arrays, Optimizer, registry
from lamina.optimizers.state import filled


def _toward(mean: Array, value: Array, beta: float | Array) -> Array:
    """Return the running mean after one more value."""
    return mean + (value - mean) * (1 - beta)


def adam_step(
    g: Array, p: Array, slots: Arrays, lr: Array, t: Array, beta_1: float, beta_2: float, epsilon: float
) -> tuple[Array, Arrays]:
    """Return one array and its slots after a step of Adam; with `amsgrad` there is a third slot."""
    m, v = _toward(slots["momentum"], g, beta_1), _toward(slots["velocity"], g * g, beta_2)
    after = {"momentum": m, "velocity": v}
    if "velocity_hat" in slots:
        after["velocity_hat"] = v = jnp.maximum(slots["velocity_hat"], v)
    alpha = lr * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return p - m * alpha / (jnp.sqrt(v) + epsilon), after


class _Moments(Optimizer):
    beta_1: float = setting(rate, default=0.9)
    beta_2: float = setting(rate, default=0.999)
    epsilon: float = setting(not_negative, default=1e-7)


class Moments(BuiltIn, _Moments):
    """The arguments that Adam and the optimizers like it share, and two slots, which start at 0.

    Args:
        beta_1: the share of the old value in the running mean of the gradients: `m = beta_1 * m + (1 - beta_1) * g`.
        beta_2: the same for the squares of the gradients, or for their largest absolute value in `Adamax`.
        epsilon: a small number in the divisor, so that nothing is divided by 0.
    """

    _lamina_order: ClassVar[tuple[tuple[str, ...], ...]] = (("momentum", "velocity"),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        return {name: filled(p) for name in self._lamina_order[0]}


class _Adam(_Moments):
    amsgrad: bool = setting(flag, default=False)


@registry.add()
class Adam(Moments, _Adam):
    """`p -= lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)`, with `m` and `v` running means of
    `g` and `g**2` (Kingma and Ba 2014).

    >>> Adam(0.01)
    Adam(learning_rate=0.01)

    Args:
        amsgrad: divide by the largest `v` so far (Reddi et al. 2018, "On the convergence of Adam and beyond").
    """

    _lamina_order = (("momentum", "velocity"), ("velocity_hat",))

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        return super()._lamina_slots(p, path) | ({"velocity_hat": filled(p)} if self.amsgrad else {})

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        return adam_step(g, p, slots, lr, t, self.beta_1, self.beta_2, self.epsilon)


class _AdamW(Optimizer):
    _lamina_decay: float | None = setting(not_negative, default=0.004, alias="weight_decay")


@registry.add()
class AdamW(Adam, _AdamW):
    """`Adam` whose weights decay: `p -= lr * weight_decay * p` before each step (Loshchilov and Hutter 2017).

    >>> AdamW(weight_decay=0.01)
    AdamW(weight_decay=0.01)

    Args:
        weight_decay: the share of a weight, times the learning rate, that is subtracted from it before each step.
    """

    _lamina_decay: float = setting(not_negative, default=0.004, alias="weight_decay")


@registry.add()
class Adamax(Moments):
    """`p -= lr / (1 - beta_1**t) * m / (u + epsilon)`, with `m` a running mean of `g` and `u = max(beta_2 * u, |g|)`
    (Kingma and Ba 2014, section 7).

    >>> Adamax(beta_1=0.95)
    Adamax(beta_1=0.95)
    """

    _lamina_order = (("momentum", "norm"),)

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        m = _toward(slots["momentum"], g, self.beta_1)
        u = jnp.maximum(self.beta_2 * slots["norm"], jnp.abs(g))
        return p - lr * m / ((1 - self.beta_1**t) * (u + self.epsilon)), {"momentum": m, "norm": u}


WARM = np.cumprod([1, *(1 - 0.5 * 0.96 ** np.arange(1, 512))])
"""The product of the factors of Nadam's warm-up up to each step, from step 0 on; after 511 steps it stays."""


def _product(beta_1: float, t: Array) -> Array:
    """`u(1) ... u(t)` of Nadam."""
    warm: Array = jnp.asarray(WARM, t.dtype)
    return beta_1**t * warm[jnp.minimum(t, len(WARM) - 1).astype(jnp.int32)]


@registry.add()
class Nadam(Moments):
    """`Adam` with Nesterov momentum: `p -= lr * m_hat / (sqrt(v / (1 - beta_2**t)) + epsilon)`, where `m_hat` is the
    momentum that the next step would have (Dozat 2015).

    Momentum warms up: `u(t) = beta_1 * (1 - 0.5 * 0.96**t)`, and `m_hat = u(t + 1) * m / (1 - u(1) ... u(t + 1)) +
    (1 - u(t)) * g / (1 - u(1) ... u(t))`.

    >>> Nadam(0.002)
    Nadam(learning_rate=0.002)
    """

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        beta_1, beta_2 = jnp.asarray(self.beta_1, t.dtype), jnp.asarray(self.beta_2, t.dtype)
        m, v = _toward(slots["momentum"], g, beta_1), _toward(slots["velocity"], g * g, beta_2)
        now, ahead = (beta_1 * (1 - 0.5 * 0.96**step) for step in (t, t + 1))
        product = _product(self.beta_1, t)
        m_hat = ahead * m / (1 - product * ahead) + (1 - now) * g / (1 - product)
        v_hat = v / (1 - beta_2**t)
        return p - m_hat * lr / (jnp.sqrt(v_hat) + self.epsilon), {"momentum": m, "velocity": v}

    @property
    def variables(self) -> list[Weight]:
        """The last variable is the product of all `u`, computed from the iteration."""
        product = _product(self.beta_1, jnp.asarray(self.iterations, wide()))
        return [*super().variables, Weight(product, name="u_product", path=f"{self.name}/u_product", trainable=False)]


@registry.add()
class Lamb(Moments):
    """`p -= lr * |p| / |r| * r`, with `r` the step that `Adam` would take for `lr = 1`, and 1 for the quotient if a
    norm is 0 (You et al. 2019, "Large batch optimization for deep learning").

    >>> Lamb(epsilon=1e-6)
    Lamb(epsilon=1e-06)
    """

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        m, v = _toward(slots["momentum"], g, self.beta_1), _toward(slots["velocity"], g * g, self.beta_2)
        r = m / (1 - self.beta_1**t) / (jnp.sqrt(v / (1 - self.beta_2**t)) + self.epsilon)
        size, length = jnp.sqrt(jnp.sum(p * p)), jnp.sqrt(jnp.sum(r * r))
        trust = jnp.where((size > 0) & (length > 0), size / length, 1)
        return p - trust * lr * r, {"momentum": m, "velocity": v}
