"""Learning rates that change with the step: plain functions of the step, which run inside the compiled program."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina._base.converters import above_zero, flag, number, optional
from lamina._base.frames import warn
from lamina._base.registry import Registry
from lamina._base.settings import Configured, setting
from lamina.dtypes import wide
from lamina.errors import ArgumentError

Array = jax.Array

registry = Registry("learning rate schedule")
get = registry.get

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay",
]  # fmt: skip


def _numbers(values: Any) -> list[float]:
    return [number(value) for value in values]


def _periods(step: Any, length: Any, whole: bool) -> Array:
    """`step / length`, rounded down in whole numbers: compiled, a quotient of floats may fall just short of one."""
    step = jnp.asarray(step)
    return jnp.asarray(step // length, wide()) if whole else step.astype(wide()) / length


class LearningRateSchedule(Configured):
    """Maps the step, a whole number from 0, to the learning rate. Subclass it and write `__call__(step)`.

    `step` is an array when the model trains, so choose between values with `jnp.where`, not with `if`.

    >>> class Halving(LearningRateSchedule):
    ...     start: float = 0.1
    ...     def __call__(self, step):
    ...         return self.start * 0.5 ** (step // 100)
    >>> round(float(Halving()(250)), 4)
    0.025
    """

    _lamina_module: ClassVar[str | None] = "keras.optimizers.schedules"

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(self, step).")


@registry.add()
class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`; with `staircase` the quotient is rounded down.

    >>> print(ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20))
    0.025
    """

    initial_learning_rate: float = setting(number)
    decay_steps: float = setting(above_zero)
    decay_rate: float = setting(number)
    staircase: bool = setting(flag, default=False)
    name: str = "ExponentialDecay"

    def __call__(self, step: Any) -> Array:
        return self.initial_learning_rate * self.decay_rate ** _periods(step, self.decay_steps, self.staircase)


@registry.add()
class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`; with `staircase` the quotient is rounded down.

    >>> print(InverseTimeDecay(0.1, decay_steps=10, decay_rate=0.5)(20))
    0.05
    """

    initial_learning_rate: float = setting(number)
    decay_steps: float = setting(above_zero)
    decay_rate: float = setting(number)
    staircase: bool = setting(flag, default=False)
    name: str = "InverseTimeDecay"

    def __call__(self, step: Any) -> Array:
        return self.initial_learning_rate / (1 + self.decay_rate * _periods(step, self.decay_steps, self.staircase))


@registry.add()
class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[0]` up to and including step `boundaries[0]`, then `values[1]` up to `boundaries[1]`, and so on.

    >>> print(PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])(101))
    0.01
    """

    boundaries: list[float] = setting(_numbers)
    values: list[float] = setting(_numbers)
    name: str = "PiecewiseConstant"

    def __post_init__(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"PiecewiseConstantDecay: {len(self.boundaries)} boundaries part {len(self.boundaries) + 1} values, "
                f"got {len(self.values)}."
            )
        if sorted(set(self.boundaries)) != self.boundaries:
            raise ArgumentError(f"PiecewiseConstantDecay: boundaries must increase, got {self.boundaries}.")

    def __call__(self, step: Any) -> Array:
        step = jnp.asarray(step)
        passed = jnp.sum(step > jnp.asarray(self.boundaries, step.dtype), dtype=jnp.int32)
        values: Array = jnp.asarray(self.values, wide())
        return values[passed]


@registry.add()
class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` in `decay_steps`, along `(1 - step / decay_steps) ** power`.

    >>> print(PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)(5))
    0.05

    Args:
        cycle: start again after each `decay_steps`, with as many steps more each time, rather than stay at the end.
    """

    initial_learning_rate: float = setting(number)
    decay_steps: float = setting(above_zero)
    end_learning_rate: float = setting(number, default=0.0001)
    power: float = setting(number, default=1.0)
    cycle: bool = setting(flag, default=False)
    name: str = "PolynomialDecay"

    def __call__(self, step: Any) -> Array:
        cycles = jnp.maximum(-_periods(-step, self.decay_steps, True), 1) if self.cycle else 1
        done = _periods(step, self.decay_steps * cycles, False)
        left = jnp.maximum(1 - done, 0)  # never below 0, whose power is NaN
        return (self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate


@registry.add()
class CosineDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `alpha` times it in `decay_steps`, along half a cosine.

    With `warmup_target` it first rises in a straight line from `initial_learning_rate` to that in `warmup_steps`,
    and falls from there. (Loshchilov and Hutter 2016, "SGDR: Stochastic gradient descent with warm restarts")

    >>> print(CosineDecay(0.1, decay_steps=10)(10))
    0.0
    """

    initial_learning_rate: float = setting(number)
    decay_steps: float = setting(above_zero)
    alpha: float = setting(number, default=0.0)
    name: str = "CosineDecay"
    warmup_target: float | None = setting(optional(number), default=None)
    warmup_steps: float = setting(number, default=0)

    def __post_init__(self) -> None:
        if self.warmup_steps and self.warmup_target is None:
            warn("CosineDecay(warmup_steps=...) has no effect without warmup_target=, the rate to rise to.")

    def __call__(self, step: Any) -> Array:
        step = jnp.asarray(step, wide())
        start, target, warmup = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if target is None:
            return start * self._fraction(step)
        falling = target * self._fraction(step - warmup)
        return jnp.where(step < warmup, start + (target - start) * (step / max(warmup, 1)), falling)

    def _fraction(self, step: Array) -> Array:
        cosine = 0.5 * (1 + jnp.cos(math.pi * (jnp.minimum(step, self.decay_steps) / self.decay_steps)))
        return (1 - self.alpha) * cosine + self.alpha


@registry.add()
class CosineDecayRestarts(LearningRateSchedule):
    """`CosineDecay` again and again: each period `t_mul` times as long and `m_mul` times as high as the one before.

    (Loshchilov and Hutter 2016, "SGDR: Stochastic gradient descent with warm restarts")

    >>> schedule = CosineDecayRestarts(0.1, first_decay_steps=10, m_mul=0.5)
    >>> print(schedule(0), schedule(10), schedule(30))
    0.1 0.05 0.025
    """

    initial_learning_rate: float = setting(number)
    first_decay_steps: float = setting(above_zero)
    t_mul: float = setting(number, default=2.0)
    m_mul: float = setting(number, default=1.0)
    alpha: float = setting(number, default=0.0)
    name: str = "SGDRDecay"

    def __call__(self, step: Any) -> Array:
        done = _periods(step, self.first_decay_steps, False)
        if self.t_mul == 1:
            restarts = _periods(step, self.first_decay_steps, True)
            done = done - restarts
        else:  # n periods are (1 - t_mul**n) / (1 - t_mul) times as long as the first; 1e-5 makes up for rounding
            restarts = jnp.floor(jnp.log(1 - done * (1 - self.t_mul)) / math.log(self.t_mul) + 1e-5)
            done = (done - (1 - self.t_mul**restarts) / (1 - self.t_mul)) / self.t_mul**restarts
        cosine = 0.5 * self.m_mul**restarts * (1 + jnp.cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)
