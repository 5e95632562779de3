"""Initializers: what the arrays of a new layer hold. Each is called as `initializer(shape, dtype, key)`.

The key, JAX's raw uint32[2], comes from the layer; an initializer with a whole number as its seed ignores it and
gives the same values at each call, to the bit those of Keras on JAX for that seed.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from lamina import dtypes
from lamina._base.converters import integer, not_negative, number, one_of, optional, seed_value
from lamina._base.frames import user_facing
from lamina._base.public import missing_attribute
from lamina._base.registry import Registry
from lamina._base.settings import Configured, serialize, setting
from lamina._base.weight import Weight
from lamina.errors import ArgumentError, ShapeError
from lamina.random import key_of, next_seed

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "constant", "deserialize", "get",
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform",
    "ones", "orthogonal", "random_normal", "random_uniform", "serialize", "truncated_normal", "variance_scaling",
    "zeros",
]  # fmt: skip

Array = jax.Array
Shape = tuple[int, ...]
registry = Registry("initializer")

# The standard deviation of a normal distribution that is cut off at -2 and 2.
TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Configured):
    """The base class. Your own one defines `values(shape, dtype, key)`, or as in Keras `__call__(shape, dtype=None)`.

    >>> class Countdown(Initializer):
    ...     start: float = 1.0
    ...
    ...     def values(self, shape, dtype, key):
    ...         return self.start - jnp.arange(shape[-1], dtype=dtype)
    >>> Countdown(start=3.0)((3,))
    Array([3., 2., 1.], dtype=float32)
    """

    _lamina_module = "keras.initializers"

    @user_facing
    def __call__(self, shape: Sequence[int], dtype: Any = None, key: Array | None = None) -> Array:
        """An array of that shape and dtype (`floatx()` unless told)."""
        return self.values(tuple(integer(n) for n in shape), jnp.dtype(dtype or dtypes.floatx()), key)

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        raise NotImplementedError(f"{type(self).__name__} defines neither `values` nor `__call__`.")

    def clone(self) -> Self:
        """Another object with the same settings."""
        return self.from_config(self.get_config())


def axis_list(value: Any) -> tuple[int, ...]:
    """A list of whole numbers."""
    if not isinstance(value, (list, tuple)):
        raise ArgumentError(f"expected a list of axes, got {value!r}.")
    return tuple(integer(axis) for axis in value)


Source = Array | np.random.Generator


def chosen(seed: int | None, key: Any) -> Source:
    """Where the numbers come from: JAX's generator for a seed (as in Keras) or for a key of JAX's, else NumPy's.

    Layers hand in a key of NumPy's, (2,) uint32: NumPy draws without compiling, which JAX does once for every shape.
    """
    if seed is not None:
        return key_of(seed)
    if isinstance(key, jax.Array):
        return key
    words = [next_seed()] if key is None else [int(word) for word in key]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


@registry.add("zero")
class Zeros(Initializer):
    """Zeros of any shape.

    >>> Zeros()((3,))
    Array([0., 0., 0.], dtype=float32)
    """

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        return jnp.asarray(np.zeros(shape, dtype))


@registry.add("one")
class Ones(Initializer):
    """Ones of any shape.

    >>> Ones()((3,))
    Array([1., 1., 1.], dtype=float32)
    """

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        return jnp.asarray(np.ones(shape, dtype))


def constant_value(value: Any) -> Any:
    """A number, a list or an array, or an array in the form that it has in a config."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        return np.array(value["config"]["value"], jnp.dtype(value["config"]["dtype"]))
    if isinstance(value, (jax.Array, Weight)):
        return np.asarray(value)
    try:
        np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"expected a number or an array, got {value!r}.") from None
    return value


@registry.add()
class Constant(Initializer):
    """The same value everywhere; an array is repeated over the axes that it lacks.

    >>> Constant(0.5)((2,))
    Array([0.5, 0.5], dtype=float32)
    """

    value: Any = setting(constant_value, default=0.0)

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        value = jnp.asarray(self.value, dtype)
        try:
            return jnp.broadcast_to(value, shape)
        except ValueError:
            raise ShapeError(f"the initial value has shape {value.shape}, the weight has {shape}.") from None


@registry.add("IdentityInitializer")
class Identity(Initializer):
    """`gain` times the identity, for a weight of two axes: ones where row and column agree, else zeros.

    >>> Identity(gain=2.0)((2, 3))
    Array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """

    gain: float = setting(number, default=1.0)

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        if len(shape) != 2:
            raise ShapeError(f"Identity fills weights of 2 axes, got shape {shape}.")
        return (self.gain * jnp.eye(*shape, dtype=dtype)).astype(dtype)


def uniform(source: Source, shape: Shape, dtype: Any, low: float, high: float) -> Array:
    if isinstance(source, np.random.Generator):
        return jnp.asarray(source.uniform(low, high, shape).astype(dtype))
    return jax.random.uniform(source, shape, dtype, low, high)


def normal(source: Source, shape: Shape, dtype: Any, mean: float, stddev: float) -> Array:
    if isinstance(source, np.random.Generator):
        return jnp.asarray(source.normal(mean, stddev, shape).astype(dtype))
    return jax.random.normal(source, shape, dtype) * stddev + mean


def truncated_normal_values(source: Source, shape: Shape, dtype: Any, mean: float, stddev: float) -> Array:
    if not isinstance(source, np.random.Generator):
        return jax.random.truncated_normal(source, -2.0, 2.0, shape, dtype) * stddev + mean
    values = source.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():  # one in 22 is drawn again
        values[outside] = source.standard_normal(outside.sum())
    return jnp.asarray((values * stddev + mean).astype(dtype))


@registry.add("normal")
class RandomNormal(Initializer):
    """Draws from the normal distribution N(mean, stddev²).

    >>> RandomNormal(stddev=0.1, seed=1)((4, 8)).shape
    (4, 8)
    """

    mean: float = setting(number, default=0.0)
    stddev: float = setting(not_negative, default=0.05)
    seed: int | None = setting(seed_value, default=None)

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        return normal(chosen(self.seed, key), shape, dtype, self.mean, self.stddev)


@registry.add()
class TruncatedNormal(Initializer):
    """Draws from N(mean, stddev²) what lies within two `stddev` of the mean; its deviation is 0.88 `stddev`.

    >>> bool(abs(TruncatedNormal(stddev=0.1, seed=1)((1000,))).max() <= 0.2)
    True
    """

    mean: float = setting(number, default=0.0)
    stddev: float = setting(not_negative, default=0.05)
    seed: int | None = setting(seed_value, default=None)

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        return truncated_normal_values(chosen(self.seed, key), shape, dtype, self.mean, self.stddev)


@registry.add("uniform")
class RandomUniform(Initializer):
    """Draws from the uniform distribution on [minval, maxval).

    >>> values = RandomUniform(-1.0, 1.0, seed=1)((1000,))
    >>> bool(values.min() >= -1) and bool(values.max() < 1)
    True
    """

    minval: float = setting(number, default=-0.05)
    maxval: float = setting(number, default=0.05)
    seed: int | None = setting(seed_value, default=None)

    def __post_init__(self) -> None:
        if self.minval > self.maxval:
            raise ArgumentError(f"RandomUniform: minval={self.minval} lies above maxval={self.maxval}.")

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        return uniform(chosen(self.seed, key), shape, dtype, self.minval, self.maxval)


def fans(shape: Shape, input_axes: Shape | None, output_axes: Shape | None) -> tuple[int, int]:
    """How many inputs each output sums over, and how many outputs each input reaches.

    Without axes a weight is taken as (..., inputs, outputs), where all before the last two are a window.
    """
    if input_axes is not None and output_axes is not None:
        if any(not -len(shape) <= axis < len(shape) for axis in input_axes + output_axes):
            raise ShapeError(f"input_axes={input_axes}, output_axes={output_axes} do not fit a weight of {shape}.")
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def known_distribution(value: Any) -> Any:
    """The name of a distribution in any case; "normal" is the truncated one, as in Keras."""
    name = value.lower() if isinstance(value, str) else value
    name = "truncated_normal" if name == "normal" else name
    return one_of("truncated_normal", "untruncated_normal", "uniform")(name)


@registry.add()
class VarianceScaling(Initializer):
    """Draws with mean 0 and variance `scale / n`, n by `mode`: the inputs, the outputs or the mean of both.

    The inputs and outputs of a weight (..., inputs, outputs) are its last two axes, each times the size of the
    axes before; `input_axes` and `output_axes`, given together, name others. Uniform draws lie within
    `sqrt(3 * scale / n)` of 0.

    >>> values = VarianceScaling(scale=2.0, mode="fan_in", distribution="uniform", seed=1)((24, 100))
    >>> bool(abs(values).max() <= 0.5)
    True
    """

    scale: float = setting(number, default=1.0)
    mode: str = setting(one_of("fan_in", "fan_out", "fan_avg"), default="fan_in")
    distribution: str = setting(known_distribution, default="truncated_normal")
    seed: int | None = setting(seed_value, default=None)
    input_axes: Shape | None = setting(optional(axis_list), default=None)
    output_axes: Shape | None = setting(optional(axis_list), default=None)

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ArgumentError(f"VarianceScaling(scale={self.scale}): expected a number above 0.")
        if (self.input_axes is None) != (self.output_axes is None):
            raise ArgumentError("input_axes and output_axes belong together: give both or neither.")

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        inputs, outputs = fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        variance, source = self.scale / max(1.0, n), chosen(self.seed, key)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return uniform(source, shape, dtype, -limit, limit)
        if self.distribution == "untruncated_normal":
            return normal(source, shape, dtype, 0.0, math.sqrt(variance))
        return truncated_normal_values(source, shape, dtype, 0.0, math.sqrt(variance) / TRUNCATED_STDDEV)


class Preset(Initializer):
    """A `VarianceScaling` whose scale, mode and distribution have a name."""

    rule: ClassVar[tuple[float, str, str]]

    seed: int | None = setting(seed_value, default=None)
    input_axes: Shape | None = setting(optional(axis_list), default=None)
    output_axes: Shape | None = setting(optional(axis_list), default=None)

    def __post_init__(self) -> None:
        self.scaling()

    def scaling(self) -> VarianceScaling:
        return VarianceScaling(*self.rule, self.seed, self.input_axes, self.output_axes)

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        return self.scaling().values(shape, dtype, key)


@registry.add()
class GlorotUniform(Preset):
    """Uniform draws within `sqrt(6 / (inputs + outputs))` of 0: variance 2 / (inputs + outputs).

    >>> bool(abs(GlorotUniform(seed=1)((10, 14))).max() <= 0.5)
    True

    Source: Glorot and Bengio 2010, http://proceedings.mlr.press/v9/glorot10a.html
    """

    rule = (1.0, "fan_avg", "uniform")


@registry.add()
class GlorotNormal(Preset):
    """Truncated normal draws with variance `2 / (inputs + outputs)`.

    >>> GlorotNormal(seed=1)((10, 14)).shape
    (10, 14)

    Source: Glorot and Bengio 2010, http://proceedings.mlr.press/v9/glorot10a.html
    """

    rule = (1.0, "fan_avg", "truncated_normal")


@registry.add()
class HeUniform(Preset):
    """Uniform draws within `sqrt(6 / inputs)` of 0: variance 2 / inputs, for relu.

    >>> bool(abs(HeUniform(seed=1)((24, 10))).max() <= 0.5)
    True

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """

    rule = (2.0, "fan_in", "uniform")


@registry.add()
class HeNormal(Preset):
    """Truncated normal draws with variance `2 / inputs`, for relu.

    >>> HeNormal(seed=1)((24, 10)).shape
    (24, 10)

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """

    rule = (2.0, "fan_in", "truncated_normal")


@registry.add()
class LecunUniform(Preset):
    """Uniform draws within `sqrt(3 / inputs)` of 0: variance 1 / inputs.

    >>> bool(abs(LecunUniform(seed=1)((12, 10))).max() <= 0.5)
    True

    Source: LeCun et al. 1998, Efficient BackProp, section 4.6
    """

    rule = (1.0, "fan_in", "uniform")


@registry.add()
class LecunNormal(Preset):
    """Truncated normal draws with variance `1 / inputs`, for selu.

    >>> LecunNormal(seed=1)((12, 10)).shape
    (12, 10)

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
    """

    rule = (1.0, "fan_in", "truncated_normal")


@registry.add("OrthogonalInitializer")
class Orthogonal(Initializer):
    """`gain` times a random matrix with orthonormal columns (or rows, where there are fewer of them).

    A weight with more than two axes is taken as (all the others, last).

    >>> w = Orthogonal(seed=1)((5, 3))
    >>> bool(jnp.allclose(w.T @ w, jnp.eye(3), atol=1e-5))
    True

    Source: Saxe et al. 2014, https://arxiv.org/abs/1312.6120
    """

    gain: float = setting(number, default=1.0)
    seed: int | None = setting(seed_value, default=None)

    def values(self, shape: Shape, dtype: Any, key: Array | None) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal fills weights of 2 axes or more, got shape {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        wide = jnp.float32 if dtype.itemsize < 4 else dtype  # there is no QR of half precision
        source = chosen(self.seed, key)
        host = isinstance(source, np.random.Generator)
        q, r = (np if host else jnp).linalg.qr(normal(source, tall, wide, 0.0, 1.0))
        q = q * (np if host else jnp).sign(r.diagonal())  # else q would not be uniform among the orthogonal matrices
        return jnp.asarray((self.gain * (q if rows >= columns else q.T).reshape(shape)).astype(dtype))


constant, zeros, ones, identity, orthogonal = Constant, Zeros, Ones, Identity, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_normal, glorot_uniform = VarianceScaling, GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal


def keyed(function: Callable[..., Any]) -> Callable[..., Array]:
    """The user's `function(shape, dtype)`, or JAX's `function(key, shape, dtype)`, in the form that layers call."""
    try:
        call = function.__call__ if isinstance(function, Initializer) else function
        names = list(inspect.signature(call).parameters)
    except ValueError:  # written in C, as numpy.zeros
        names = []
    if names[:1] != ["key"] and "key" in names:
        return function

    @user_facing
    def adapted(shape: Sequence[int], dtype: Any = None, key: Array | None = None) -> Array:
        first = (key_of(next_seed()) if key is None else jnp.asarray(key),) if names[:1] == ["key"] else ()
        values = jnp.asarray(function(*first, shape, dtype=dtype), dtype)
        if values.shape != tuple(shape):
            raise ShapeError(f"the initializer {function!r} made shape {values.shape}, the weight has {tuple(shape)}.")
        return values

    signature = inspect.signature(adapted)
    functools.update_wrapper(adapted, function)
    adapted.__signature__ = signature  # type: ignore[attr-defined]  # that of the function would be taken for it
    return adapted


@user_facing
def get(identifier: Any) -> Any:
    """The initializer for a name, an object, a class, a config, a function `(shape, dtype)` or an array; None is None.

    >>> get("glorot_uniform")
    GlorotUniform()
    """
    if isinstance(identifier, (np.ndarray, np.generic, jax.Array, Weight)):
        return Constant(identifier)
    found = registry.get(identifier)
    return found if found is None else keyed(found)


@user_facing
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initializer that `serialize` described; `custom_objects` says what the user's own names stand for."""
    return keyed(registry.deserialize(config, custom_objects))


@user_facing
def __getattr__(name: str) -> Any:
    if name in ("STFT", "STFTInitializer", "stft"):  # it stands beside the spectrograms
        return registry.find(name)
    raise missing_attribute(__name__, name, __all__)
