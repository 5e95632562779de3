"""An optimizer that needs no schedule, since it averages its weights."""

from __future__ import annotations

import jax.numpy as jnp

from lamina._arrays.arrays import Array, copied
from lamina._settings.converters import count, not_negative, rate, short
from lamina._settings.settings import setting
from lamina.errors import ArgumentError
from lamina.optimizers.built_in import BuiltIn
from lamina.optimizers.optimizer import Arrays, Optimizer, registry
from lamina.optimizers.state import RateSetting, filled, learning_rate


def _share(value: object) -> float:
    if not rate(value) > 0:
        raise ArgumentError(f"expected a number above 0 and at most 1, got {short(value)}.")
    return rate(value)


class _ScheduleFreeAdamW(Optimizer):
    _lamina_learning_rate: RateSetting = setting(learning_rate, alias="learning_rate", default=0.0025)
    beta_1: float = setting(_share, default=0.9)
    beta_2: float = setting(rate, default=0.999)
    epsilon: float = setting(not_negative, default=1e-8)
    warmup_steps: int = setting(count, default=0)


@registry.add()
class ScheduleFreeAdamW(BuiltIn, _ScheduleFreeAdamW):
    """`z -= lr * g / (sqrt(v / (1 - beta_2**t)) + epsilon)`, with `v` a running mean of `g**2`; `x` is the mean of all
    `z` so far, and the weights are `p = (1 - beta_1) * z + beta_1 * x` (Defazio et al. 2024, "The road less
    scheduled").

    The number of steps need not be known before, unlike with a learning-rate schedule.

    >>> ScheduleFreeAdamW(warmup_steps=100)
    ScheduleFreeAdamW(warmup_steps=100)

    Args:
        beta_1: the share of the mean in the weights, above 0.
        beta_2: the share of the old value in the running mean of the squares of the gradients.
        epsilon: a small number in the divisor, so that nothing is divided by 0.
        warmup_steps: the number of steps in which the learning rate rises to its value; 0 for no warm-up.
    """

    _lamina_order = (("momentum", "velocity"),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        """Keras calls `z` the momentum; at the start it is the weight itself."""
        return {"momentum": copied(p), "velocity": filled(p)}

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        if self.warmup_steps:
            lr = lr * jnp.minimum(t / self.warmup_steps, 1)
        beta_1, beta_2, old = jnp.asarray(self.beta_1, t.dtype), jnp.asarray(self.beta_2, t.dtype), slots["momentum"]
        v = slots["velocity"] + (g * g - slots["velocity"]) * (1 - beta_2)
        z = old - lr * g / (jnp.sqrt(v / (1 - beta_2**t)) + self.epsilon)
        x = (p - (1 - beta_1) * old) / beta_1
        x = (1 - 1 / t) * x + z / t
        return (1 - beta_1) * z + beta_1 * x, {"momentum": z, "velocity": v}
