"""Gradient descent, with momentum or by the sign of the gradient."""

from __future__ import annotations

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._settings.converters import flag, rate
from lamina._settings.settings import setting
from lamina.errors import ArgumentError
from lamina.optimizers.built_in import BuiltIn
from lamina.optimizers.optimizer import Arrays, Optimizer, registry
from lamina.optimizers.state import RateSetting, filled, learning_rate


class _SGD(Optimizer):
    _lamina_learning_rate: RateSetting = setting(learning_rate, alias="learning_rate", default=0.01)
    momentum: float = setting(rate, default=0.0)
    nesterov: bool = setting(flag, default=False)


@registry.add()
class SGD(BuiltIn, _SGD):
    """`p -= lr * g`; with momentum `m = momentum * m - lr * g` and `p += m`.

    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9)

    Args:
        momentum: the share of the last step that is added to this one; 0 is plain gradient descent.
        nesterov: Nesterov momentum: `p += momentum * m - lr * g` with the new `m` (Sutskever et al. 2013, "On the
            importance of initialization and momentum in deep learning").
    """

    _lamina_order = (("momentum",),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        return {"momentum": filled(p)} if self.momentum else {}

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        if not self.momentum:
            return p - lr * g, slots
        m = self.momentum * slots["momentum"] - lr * g
        return p + (self.momentum * m - lr * g if self.nesterov else m), {"momentum": m}


def _lion_beta_1(value: object) -> float:
    if not rate(value) > 0:
        raise ArgumentError("expected a number above 0; with 0 only the sign of the last gradient would count.")
    return rate(value)


class _Lion(Optimizer):
    beta_1: float = setting(_lion_beta_1, default=0.9)
    beta_2: float = setting(rate, default=0.99)


@registry.add()
class Lion(BuiltIn, _Lion):
    """`p -= lr * sign(beta_1 * m + (1 - beta_1) * g)`, then `m = beta_2 * m + (1 - beta_2) * g` (Chen et al. 2023,
    "Symbolic discovery of optimization algorithms").

    >>> Lion(1e-4)
    Lion(learning_rate=0.0001)

    Args:
        beta_1: the share of `m` in the direction of a step; the rest is the gradient's.
        beta_2: the share of the old value in the running mean `m`.
    """

    _lamina_order = (("momentum",),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        return {"momentum": filled(p)}

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        m, beta_1, beta_2 = slots["momentum"], jnp.asarray(self.beta_1, t.dtype), jnp.asarray(self.beta_2, t.dtype)
        direction = jnp.sign(beta_1 * m + (1 - beta_1) * g)
        return p - lr * direction, {"momentum": beta_2 * m + (1 - beta_2) * g}
