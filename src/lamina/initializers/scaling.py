"""Initializers that scale the variance by the number of a weight's inputs or outputs, or by their mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, TypeAlias

from lamina._arrays.arrays import Array
from lamina._settings.converters import integer, number, one_of, optional
from lamina._settings.settings import Converted, setting
from lamina._weights.weight import initializers as registry
from lamina.errors import ArgumentError, ShapeError
from lamina.initializers.base import DType, Key, Seed, Shape, seed_of
from lamina.initializers.distributions import Random, normal, source_of, truncated_normal, uniform

Mode: TypeAlias = Literal["fan_in", "fan_out", "fan_avg"]
Distribution: TypeAlias = Literal["truncated_normal", "untruncated_normal", "uniform"]
DistributionSetting: TypeAlias = Converted[Distribution | Literal["normal"], Distribution]
Axes: TypeAlias = Converted[Sequence[int] | None, Shape | None]

# The standard deviation of a standard normal distribution truncated at -2 and 2.
TRUNCATED_STDDEV = 0.87962566103423978


def axis_list(value: object) -> Shape:
    """A list of whole numbers."""
    if not isinstance(value, (list, tuple)):
        raise ArgumentError(f"expected a list of axes, got {value!r}.")
    return tuple(integer(axis) for axis in value)


def fans(shape: Shape, input_axes: Shape | None, output_axes: Shape | None) -> tuple[int, int]:
    """The number of inputs that each output sums over (fan in), and of outputs that each input reaches (fan out).

    Without given axes, a weight is (..., inputs, outputs), and all axes before the last two are a window.
    """
    if input_axes is not None and output_axes is not None:
        if any(not -len(shape) <= axis < len(shape) for axis in input_axes + output_axes):
            raise ShapeError(f"input_axes={input_axes}, output_axes={output_axes} do not fit a weight of {shape}.")
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def known_distribution(value: object) -> Distribution:
    """The name of a distribution in lower case; "normal" means the truncated one, as in Keras."""
    name = value.lower() if isinstance(value, str) else value
    name = "truncated_normal" if name == "normal" else name
    choice: Callable[[object], Distribution] = one_of("truncated_normal", "untruncated_normal", "uniform")
    return choice(name)


class Scaled(Random):
    """Base of the initializers whose variance depends on the number of inputs and outputs.

    A weight (..., inputs, outputs) has as many inputs and outputs as its last two axes, each multiplied by the sizes of
    the other axes.

    Args:
        input_axes: the axes whose sizes are multiplied for the number of inputs; by default the last but one.
        output_axes: the axes whose sizes are multiplied for the number of outputs. Give it together with `input_axes`.
    """


@registry.add()
class VarianceScaling(Scaled):
    """Draws with mean 0 and variance `scale / n`; n is the number of inputs or outputs, or their mean.

    Uniform values lie within `sqrt(3 * scale / n)` of 0.

    >>> values = VarianceScaling(scale=2.0, mode="fan_in", distribution="uniform", seed=1)((24, 100))
    >>> bool(abs(values).max() <= 0.5)
    True

    Args:
        scale: the factor of the variance, above 0.
        mode: the meaning of n: "fan_in" for the inputs, "fan_out" for the outputs, "fan_avg" for their mean.
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
    """

    scale: float = setting(number, default=1.0)
    mode: Mode = setting(one_of("fan_in", "fan_out", "fan_avg"), default="fan_in")
    distribution: DistributionSetting = setting(known_distribution, default="truncated_normal")
    seed: Seed = setting(seed_of, default=None)
    input_axes: Axes = setting(optional(axis_list), default=None)
    output_axes: Axes = setting(optional(axis_list), default=None)

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ArgumentError(f"VarianceScaling(scale={self.scale}): expected a number above 0.")
        if (self.input_axes is None) != (self.output_axes is None):
            raise ArgumentError("input_axes and output_axes belong together: give both or neither.")

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        inputs, outputs = fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        variance, source = self.scale / max(1.0, n), source_of(self.seed, key)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return uniform(source, shape, dtype, -limit, limit)
        if self.distribution == "untruncated_normal":
            return normal(source, shape, dtype, 0.0, math.sqrt(variance))
        return truncated_normal(source, shape, dtype, 0.0, math.sqrt(variance) / TRUNCATED_STDDEV)


class Preset(Scaled):
    """A `VarianceScaling` whose scale, mode and distribution are fixed."""

    _lamina_rule: ClassVar[tuple[float, Mode, Distribution]]

    seed: Seed = setting(seed_of, default=None)
    input_axes: Axes = setting(optional(axis_list), default=None)
    output_axes: Axes = setting(optional(axis_list), default=None)

    def __post_init__(self) -> None:
        self._lamina_scaling()

    def _lamina_scaling(self) -> VarianceScaling:
        return VarianceScaling(*self._lamina_rule, self.seed, self.input_axes, self.output_axes)

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        return self._lamina_scaling()._lamina_values(shape, dtype, key)


@registry.add()
class GlorotUniform(Preset):
    """Uniform values within `sqrt(6 / (inputs + outputs))` of 0, so that the variance is 2 / (inputs + outputs).

    >>> bool(abs(GlorotUniform(seed=1)((10, 14))).max() <= 0.5)
    True

    Source: Glorot and Bengio 2010, http://proceedings.mlr.press/v9/glorot10a.html
    """

    _lamina_rule = (1.0, "fan_avg", "uniform")


@registry.add()
class GlorotNormal(Preset):
    """Values of a truncated normal distribution with variance `2 / (inputs + outputs)`.

    >>> GlorotNormal(seed=1)((10, 14)).shape
    (10, 14)

    Source: Glorot and Bengio 2010, http://proceedings.mlr.press/v9/glorot10a.html
    """

    _lamina_rule = (1.0, "fan_avg", "truncated_normal")


@registry.add()
class HeUniform(Preset):
    """Uniform values within `sqrt(6 / inputs)` of 0, so that the variance is 2 / inputs; for layers with relu.

    >>> bool(abs(HeUniform(seed=1)((24, 10))).max() <= 0.5)
    True

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """

    _lamina_rule = (2.0, "fan_in", "uniform")


@registry.add()
class HeNormal(Preset):
    """Values of a truncated normal distribution with variance `2 / inputs`; for layers with relu.

    >>> HeNormal(seed=1)((24, 10)).shape
    (24, 10)

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """

    _lamina_rule = (2.0, "fan_in", "truncated_normal")


@registry.add()
class LecunUniform(Preset):
    """Uniform values within `sqrt(3 / inputs)` of 0, so that the variance is 1 / inputs.

    >>> bool(abs(LecunUniform(seed=1)((12, 10))).max() <= 0.5)
    True

    Source: LeCun et al. 1998, Efficient BackProp, section 4.6
    """

    _lamina_rule = (1.0, "fan_in", "uniform")


@registry.add()
class LecunNormal(Preset):
    """Values of a truncated normal distribution with variance `1 / inputs`; for layers with selu.

    >>> LecunNormal(seed=1)((12, 10)).shape
    (12, 10)

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
    """

    _lamina_rule = (1.0, "fan_in", "truncated_normal")
