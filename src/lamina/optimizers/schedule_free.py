"""An optimizer that needs no schedule, since it averages its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lamina._arrays.arrays import Array, copied
from lamina._settings.converters import count, not_negative, rate, short
from lamina._settings.settings import setting
from lamina.errors import ArgumentError
from lamina.optimizers.optimizer import Arrays, Optimizer, registry
from lamina.optimizers.state import Rate, RateSetting, filled, learning_rate


def _share(value: object) -> float:
    if not rate(value) > 0:
        raise ArgumentError(f"expected a number above 0 and at most 1, got {short(value)}.")
    return rate(value)


@registry.add()
class ScheduleFreeAdamW(Optimizer):
    """`z -= lr * g / (sqrt(v / (1 - beta_2**t)) + epsilon)`, with `v` a running mean of `g**2`; `x` is the mean of all
    `z` so far, and the weights are `p = (1 - beta_1) * z + beta_1 * x` (Defazio et al. 2024, "The road less
    scheduled").

    No end of the training needs to be known, as a schedule of the learning rate would.

    >>> ScheduleFreeAdamW(warmup_steps=100)
    ScheduleFreeAdamW(warmup_steps=100)

    Args:
        beta_1: the share of the mean in the weights, above 0.
        beta_2: the share of the old value in the running mean of the squares of the gradients.
        epsilon: a small number in the divisor, so that nothing is divided by 0.
        warmup_steps: in how many steps the learning rate rises to its value; 0 for none.
    """

    _lamina_learning_rate: RateSetting = setting(learning_rate, alias="learning_rate", default=0.0025)
    beta_1: float = setting(_share, default=0.9)
    beta_2: float = setting(rate, default=0.999)
    epsilon: float = setting(not_negative, default=1e-8)
    warmup_steps: int = setting(count, default=0)

    if TYPE_CHECKING:  # the order in which Python takes them, for type checkers
        # fmt: off
        def __init__(
            self, learning_rate: Rate = 0.0025, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
            warmup_steps: int = 0, weight_decay: float | None = None, clipnorm: float | None = None,
            clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
            ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
            loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
            name: str | None = None,
        ) -> None: ...
        # fmt: on

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
