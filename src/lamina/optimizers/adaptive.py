"""Optimizers with a step size for each number in a weight, which depends on the size of its past gradients."""

from __future__ import annotations

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._settings.converters import above_zero, flag, not_negative, number, rate
from lamina._settings.settings import setting
from lamina.errors import ArgumentError
from lamina.optimizers.built_in import BuiltIn
from lamina.optimizers.optimizer import Arrays, Optimizer, registry
from lamina.optimizers.state import filled


class _RMSprop(Optimizer):
    rho: float = setting(rate, default=0.9)
    momentum: float = setting(rate, default=0.0)
    epsilon: float = setting(not_negative, default=1e-7)
    centered: bool = setting(flag, default=False)


@registry.add()
class RMSprop(BuiltIn, _RMSprop):
    """`p -= lr * g / sqrt(v + epsilon)`, with `v = rho * v + (1 - rho) * g**2` (Tieleman and Hinton 2012).

    >>> RMSprop(momentum=0.9)
    RMSprop(momentum=0.9)

    Args:
        rho: the share of the old value in the running mean `v`.
        momentum: above 0, each step also has a share of the last one: `m = momentum * m + step` and `p -= m`.
        epsilon: a small number in the divisor, so that nothing is divided by 0.
        centered: subtract the square of the gradient's running mean from `v`, which makes it a variance.
    """

    _lamina_order = (("velocity",), ("momentum",), ("average_gradient",))

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        used = {"velocity": True, "momentum": self.momentum > 0, "average_gradient": self.centered}
        return {name: filled(p) for name, is_used in used.items() if is_used}

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        after = {"velocity": self.rho * slots["velocity"] + (1 - self.rho) * g * g}
        v = after["velocity"]
        if self.centered:
            mean = after["average_gradient"] = self.rho * slots["average_gradient"] + (1 - self.rho) * g
            v = v - mean * mean
        move = lr * g / jnp.sqrt(v + self.epsilon)
        if self.momentum > 0:
            move = after["momentum"] = self.momentum * slots["momentum"] + move
        return p - move, after


class _Adagrad(Optimizer):
    initial_accumulator_value: float = setting(not_negative, default=0.1)
    epsilon: float = setting(not_negative, default=1e-7)


@registry.add()
class Adagrad(BuiltIn, _Adagrad):
    """`p -= lr * g / sqrt(a + epsilon)`, with `a` the sum of all `g**2` (Duchi et al. 2011).

    >>> Adagrad(0.1)
    Adagrad(learning_rate=0.1)

    Args:
        initial_accumulator_value: the value of `a` before the first step.
        epsilon: a small number in the divisor, so that nothing is divided by 0.
    """

    _lamina_order = (("accumulator",),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        return {"accumulator": filled(p, self.initial_accumulator_value)}

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        a = slots["accumulator"] + g * g
        return p - lr * g / jnp.sqrt(a + self.epsilon), {"accumulator": a}


class _Adadelta(Optimizer):
    rho: float = setting(rate, default=0.95)
    epsilon: float = setting(not_negative, default=1e-7)


@registry.add()
class Adadelta(BuiltIn, _Adadelta):
    """`p -= lr * d`, with `d = sqrt(x + epsilon) / sqrt(a + epsilon) * g`, and `a` and `x` running means of `g**2` and
    `d**2` (Zeiler 2012). The paper has `lr = 1`.

    >>> Adadelta(1.0)
    Adadelta(learning_rate=1.0)

    Args:
        rho: the share of the old value in the running means.
        epsilon: a small number under both roots, so that nothing is divided by 0.
    """

    _lamina_order = (("accumulated_grad", "accumulated_delta_var"),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        return {"accumulated_grad": filled(p), "accumulated_delta_var": filled(p)}

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        x = slots["accumulated_delta_var"]
        a = self.rho * slots["accumulated_grad"] + (1 - self.rho) * g * g
        d = jnp.sqrt(x + self.epsilon) * g / jnp.sqrt(a + self.epsilon)
        x = self.rho * x + (1 - self.rho) * d * d
        return p - lr * d, {"accumulated_grad": a, "accumulated_delta_var": x}


class _Adafactor(Optimizer):
    beta_2_decay: float = setting(number, default=-0.8)
    epsilon_1: float = setting(not_negative, default=1e-30)
    epsilon_2: float = setting(not_negative, default=0.001)
    clip_threshold: float = setting(above_zero, default=1.0)
    relative_step: bool = setting(flag, default=True)


@registry.add()
class Adafactor(BuiltIn, _Adafactor):
    """`p -= r * max(epsilon_2, rms(p)) * u / max(1, rms(u) / clip_threshold)`, with `r = min(lr, 1 / sqrt(t))` and
    `u = g / sqrt(v)`, where `v` is a running mean of `g**2`; for a matrix only the running means of its rows and of its
    columns are kept (Shazeer and Stern 2018).

    >>> Adafactor(0.01)
    Adafactor(learning_rate=0.01)

    Args:
        beta_2_decay: the share of the old value in the running mean is `1 - t**beta_2_decay`.
        epsilon_1: a small number that is added to `g**2`.
        epsilon_2: the smallest size of a weight, `rms(p)`, that the step is multiplied by.
        clip_threshold: the largest root mean square that `u` may have; a larger one is scaled down to it.
        relative_step: has no effect, as in Keras: `r` is computed as above in both cases.
    """

    _lamina_order = (("r", "c", "velocity"),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        rows, columns = (p.shape[:-1], (*p.shape[:-2], p.shape[-1])) if p.ndim > 1 else ((), ())
        return {"r": jnp.zeros(rows, p.dtype), "c": jnp.zeros(columns, p.dtype), "velocity": filled(p)}

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        past = 1 - t**self.beta_2_decay
        square = g * g + self.epsilon_1
        r, c = slots["r"], slots["c"]
        if p.ndim > 1:
            r = past * r + (1 - past) * square.mean(-1)
            c = past * c + (1 - past) * square.mean(-2)
            v = (r / r.mean(-1, keepdims=True))[..., None] * c[..., None, :]
        else:
            v = past * slots["velocity"] + (1 - past) * square
        u = g / jnp.sqrt(v)
        u = u / jnp.maximum(1, jnp.sqrt(jnp.mean(u * u)) / self.clip_threshold)
        size = jnp.minimum(lr, 1 / jnp.sqrt(t)) * jnp.maximum(self.epsilon_2, jnp.sqrt(jnp.mean(p * p)))
        return p - size * u, {"r": r, "c": c, "velocity": v}


def _not_positive(value: object) -> float:
    if not number(value) <= 0:
        raise ArgumentError(f"expected a number of at most 0, got {value!r}.")
    return number(value)


class _Ftrl(Optimizer):
    learning_rate_power: float = setting(_not_positive, default=-0.5)
    initial_accumulator_value: float = setting(not_negative, default=0.1)
    l1_regularization_strength: float = setting(not_negative, default=0.0)
    l2_regularization_strength: float = setting(not_negative, default=0.0)
    l2_shrinkage_regularization_strength: float = setting(not_negative, default=0.0)
    beta: float = setting(number, default=0.0)


@registry.add()
class Ftrl(BuiltIn, _Ftrl):
    """`p = (clip(z, -l1, l1) - z) / ((n**k + beta) / lr + 2 * l2)`, with `k = -learning_rate_power`, `n` the sum of all
    `g**2`, and `z` the sum of `g - (n_new**k - n**k) / lr * p` (McMahan et al. 2013).

    >>> Ftrl(l1_regularization_strength=0.01)
    Ftrl(l1_regularization_strength=0.01)

    Args:
        learning_rate_power: the negative of `k`, at most 0; with 0 the step size stays the same.
        initial_accumulator_value: the value of `n` before the first step.
        l1_regularization_strength: `l1`, which makes small weights 0.
        l2_regularization_strength: `l2`, which makes weights smaller.
        l2_shrinkage_regularization_strength: twice this times `p` is added to the gradient in `z`, but not in `n`.
        beta: a number that is added to `n**k`.
    """

    _lamina_order = (("accumulator", "linear"),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        return {"accumulator": filled(p, self.initial_accumulator_value), "linear": filled(p)}

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        n, z = slots["accumulator"] + g * g, slots["linear"]
        power, old_power = n**-self.learning_rate_power, slots["accumulator"] ** -self.learning_rate_power
        z = z + g + 2 * self.l2_shrinkage_regularization_strength * p - (power - old_power) / lr * p
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength
        return (jnp.clip(z, -l1, l1) - z) / ((power + self.beta) / lr + 2 * l2), {"accumulator": n, "linear": z}
