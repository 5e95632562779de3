"""Learning rates that change with the step: functions of the step, which run inside the compiled program."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax.numpy as jnp
from jax.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._imports.public import public
from lamina._messages.tracebacks import warn
from lamina._settings.arguments import overridable
from lamina._settings.converters import above_zero, flag, number, optional
from lamina._settings.registry import Registry
from lamina._settings.settings import Configured, setting
from lamina.dtypes import wide
from lamina.errors import ArgumentError

_registry = Registry("learning rate schedule")
get, deserialize = _registry.get, _registry.deserialize

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize",
]  # fmt: skip


def _numbers(values: Iterable[object]) -> list[float]:
    return [number(value) for value in values]


def _periods(step: ArrayLike, length: ArrayLike, whole: bool) -> Array:
    """Return `step / length`, rounded down if `whole`.

    It uses an integer division, because in a compiled program a float quotient may be slightly below a whole number.
    """
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

    @overridable
    def __call__(self, step: ArrayLike) -> ArrayLike:
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(self, step).")


@_registry.add()
class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`; with `staircase` the quotient is rounded down.

    >>> print(ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20))
    0.025

    Args:
        initial_learning_rate: the learning rate at step 0.
        decay_steps: the number of steps of one period.
        decay_rate: the factor by which the learning rate changes in one period.
        staircase: change the learning rate once at the end of each period only.
        name: a name, which has no effect.
    """

    initial_learning_rate: float = setting(number)
    decay_steps: float = setting(above_zero)
    decay_rate: float = setting(number)
    staircase: bool = setting(flag, default=False)
    name: str = "ExponentialDecay"

    def __call__(self, step: ArrayLike) -> Array:
        return self.initial_learning_rate * self.decay_rate ** _periods(step, self.decay_steps, self.staircase)


@_registry.add()
class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`; with `staircase` the quotient is rounded down.

    >>> print(InverseTimeDecay(0.1, decay_steps=10, decay_rate=0.5)(20))
    0.05

    Args:
        initial_learning_rate: the learning rate at step 0.
        decay_steps: the number of steps of one period.
        decay_rate: how fast the learning rate falls; 1 halves it in the first period.
        staircase: change the learning rate once at the end of each period only.
        name: a name, which has no effect.
    """

    initial_learning_rate: float = setting(number)
    decay_steps: float = setting(above_zero)
    decay_rate: float = setting(number)
    staircase: bool = setting(flag, default=False)
    name: str = "InverseTimeDecay"

    def __call__(self, step: ArrayLike) -> Array:
        return self.initial_learning_rate / (1 + self.decay_rate * _periods(step, self.decay_steps, self.staircase))


@_registry.add()
class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[0]` up to and including step `boundaries[0]`, then `values[1]` up to `boundaries[1]`, and so on.

    >>> print(PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])(101))
    0.01

    Args:
        boundaries: the last step of each value but the last one, in increasing order.
        values: the learning rates, one more than there are boundaries.
        name: a name, which has no effect.
    """

    boundaries: list[float] = setting(_numbers)
    values: list[float] = setting(_numbers)
    name: str = "PiecewiseConstant"

    def __post_init__(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"PiecewiseConstantDecay: {len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, "
                f"got {len(self.values)}."
            )
        if sorted(set(self.boundaries)) != self.boundaries:
            raise ArgumentError(f"PiecewiseConstantDecay: boundaries must increase, got {self.boundaries}.")

    def __call__(self, step: ArrayLike) -> Array:
        step = jnp.asarray(step)
        passed = jnp.sum(step > jnp.asarray(self.boundaries, step.dtype), dtype=jnp.int32)
        values: Array = jnp.asarray(self.values, wide())
        return values[passed]


@_registry.add()
class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` in `decay_steps`, along `(1 - step / decay_steps) ** power`.

    >>> print(PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)(5))
    0.05

    Args:
        initial_learning_rate: the learning rate at step 0.
        decay_steps: the number of steps until the end; the learning rate stays the same after it.
        end_learning_rate: the learning rate at the end.
        power: the exponent; 1 is a straight line.
        cycle: after the end, continue with `decay_steps` twice as large, then three times as large, and so on.
        name: a name, which has no effect.
    """

    initial_learning_rate: float = setting(number)
    decay_steps: float = setting(above_zero)
    end_learning_rate: float = setting(number, default=0.0001)
    power: float = setting(number, default=1.0)
    cycle: bool = setting(flag, default=False)
    name: str = "PolynomialDecay"

    def __call__(self, step: ArrayLike) -> Array:
        cycles = jnp.maximum(-_periods(-jnp.asarray(step), self.decay_steps, True), 1) if self.cycle else 1
        done = _periods(step, self.decay_steps * cycles, False)
        left = jnp.maximum(1 - done, 0)  # the power of a negative number would be NaN
        return (self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate


@_registry.add()
class CosineDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `alpha` times it in `decay_steps`, along half a cosine.

    With `warmup_target` it first rises in a straight line from `initial_learning_rate` to `warmup_target`, in
    `warmup_steps`, and falls from there (Loshchilov and Hutter 2016, "SGDR: Stochastic
    gradient descent with warm restarts").

    >>> print(CosineDecay(0.1, decay_steps=10)(10))
    0.0

    Args:
        initial_learning_rate: the learning rate at step 0.
        decay_steps: the number of steps of the decay; the learning rate stays the same after it.
        alpha: the learning rate at the end, as a share of that at the start of the decay.
        name: a name, which has no effect.
        warmup_target: the learning rate at the end of the warm-up; None for no warm-up.
        warmup_steps: the number of steps of the warm-up, before those of the decay.
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

    def __call__(self, step: ArrayLike) -> Array:
        step = jnp.asarray(step, wide())
        start, target, warmup = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if target is None:
            return start * self._lamina_share(step)
        falling = target * self._lamina_share(step - warmup)
        return jnp.where(step < warmup, start + (target - start) * (step / max(warmup, 1)), falling)

    def _lamina_share(self, step: Array) -> Array:
        """The learning rate as a share of that at the start of the decay."""
        cosine = 0.5 * (1 + jnp.cos(math.pi * (jnp.minimum(step, self.decay_steps) / self.decay_steps)))
        return (1 - self.alpha) * cosine + self.alpha


@_registry.add()
class CosineDecayRestarts(LearningRateSchedule):
    """`CosineDecay` again and again, where each period is `t_mul` times as long and `m_mul` times as
    high as the one before.

    (Loshchilov and Hutter 2016, "SGDR: Stochastic gradient descent with warm restarts")

    >>> schedule = CosineDecayRestarts(0.1, first_decay_steps=10, m_mul=0.5)
    >>> print(schedule(0), schedule(10), schedule(30))
    0.1 0.05 0.025

    Args:
        initial_learning_rate: the learning rate at step 0.
        first_decay_steps: the number of steps of the first period.
        t_mul: the factor by which each period is longer than the one before.
        m_mul: the factor by which the learning rate at the start of a period differs from the period before.
        alpha: the lowest learning rate, as a share of `initial_learning_rate`.
        name: a name, which has no effect.
    """

    initial_learning_rate: float = setting(number)
    first_decay_steps: float = setting(above_zero)
    t_mul: float = setting(number, default=2.0)
    m_mul: float = setting(number, default=1.0)
    alpha: float = setting(number, default=0.0)
    name: str = "SGDRDecay"

    def __call__(self, step: ArrayLike) -> Array:
        done = _periods(step, self.first_decay_steps, False)
        if self.t_mul == 1:
            restarts = _periods(step, self.first_decay_steps, True)
            done = done - restarts
        else:  # n periods are (1 - t_mul**n) / (1 - t_mul) times as long as the first; 1e-5 makes up for rounding
            restarts = jnp.floor(jnp.log(1 - done * (1 - self.t_mul)) / math.log(self.t_mul) + 1e-5)
            done = (done - (1 - self.t_mul**restarts) / (1 - self.t_mul)) / self.t_mul**restarts
        cosine = 0.5 * self.m_mul**restarts * (1 + jnp.cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


serialize = _registry.serialize


def takes_step(function: Callable[..., Any]) -> bool:
    """Whether a learning rate is a function of the step, and not one without arguments."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return True
    return False


public(__name__, __all__)
