"""Layers that prepare numbers: scaled, put into bins, made into vectors, with what `adapt` learned of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from lamina.checks import indices, values
from lamina.config import image_data_format
from lamina.data.arrays import HostArray
from lamina.data.source import Table
from lamina.dtypes import epsilon, floatx
from lamina.errors import ArgumentError, DataError, NotAdaptedError, ShapeError
from lamina.host import Adapting, Line
from lamina.layer import Layer
from lamina.layers.hashes import MODES, dense, mode
from lamina.layers.names import held
from lamina.settings import flag, integer, number, optional, positive, serialize, setting
from lamina.shapes import InputSpec, Shape

Array = jax.Array


def numbers(value: Any) -> Any:
    """A number, or an array of numbers of any kind, that a config can hold too."""
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        return np.asarray(value["config"]["value"], value["config"]["dtype"])
    if np.asarray(value).dtype.kind not in "iuf":
        raise ArgumentError(f"expected numbers, got {value!r}.")
    return value


def hot(places: Any, output_mode: str, depth: int, dtype: Any, weights: Any = None) -> Array:
    """Indices as vectors of `depth`: one for each, or one for each row."""
    if output_mode == "one_hot" and places.ndim > 1 and places.shape[-1] == 1:
        places = places[..., 0]
    if not jnp.issubdtype(places.dtype, jnp.integer):
        places = places.astype(jnp.int32)
    vectors = jax.nn.one_hot(places, depth, dtype=dtype)
    axis = min(places.ndim - 1, 1)
    if output_mode == "multi_hot":
        return vectors.max(axis)
    if output_mode == "count":
        return (vectors if weights is None else vectors * jnp.asarray(weights, dtype)[..., None]).sum(axis)
    return vectors


class Rescaling(Layer):
    """`x * scale + offset`, for example `Rescaling(1 / 255)` for images of bytes.

    >>> Rescaling(1 / 127.5, offset=-1)(jnp.array([[0, 255]], jnp.uint8))
    Array([[-1.,  1.]], dtype=float32)
    """

    scale: Any = setting(numbers)
    offset: Any = setting(numbers, default=0.0)

    supports_masking: ClassVar[bool] = True
    integer_input: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        scale, offset = (jnp.asarray(value, self.compute_dtype) for value in (self.scale, self.offset))
        if scale.ndim and image_data_format() == "channels_first":
            scale = scale.reshape(scale.shape + (1,) * (3 - scale.ndim))
        try:
            return x.astype(self.compute_dtype) * scale + offset
        except (TypeError, ValueError):
            raise ShapeError(
                f"has scale of shape {scale.shape} and offset of shape {offset.shape}, which do not go with {x.shape}"
            ) from None


def axes(value: Any) -> tuple[int, ...]:
    """None for no axis, an axis, or several."""
    several = value if isinstance(value, (tuple, list)) else [] if value is None else [value]
    found = tuple(integer(axis) for axis in several)
    if len(set(found)) < len(found):
        raise ArgumentError(f"expected each axis once, got {value!r}.")
    return found


def learnable(layer: Layer, data: HostArray) -> HostArray:
    """The data, if it is made of numbers: statistics that one NaN spoils are none."""
    if data.dtype == object:
        raise DataError(f"{layer.name!r} takes numbers, got text ({data.ravel()[0]!r}).")
    if not data.size:
        raise DataError(f"{layer.name!r} was shown nothing: the data has shape {data.shape}.")
    values.finite(Table(data))
    return data


class Normalization(Adapting):
    """Brings every feature (`axis`) to mean 0 and variance 1: `(x - mean) / max(sqrt(variance), epsilon)`.

    Mean and variance are given, or learned by `adapt`, and then are weights that no training changes.

    >>> layer = Normalization()
    >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], "float32"))
    >>> layer(np.array([[1.0, 30.0]], "float32"))
    Array([[-1.,  1.]], dtype=float32)

    Args:
        axis: the axis, or the axes, that have statistics of their own; None for one mean of all.
        invert: undo it, `x * max(sqrt(variance), epsilon) + mean`.
    """

    axis: Any = setting(axes, default=-1)
    mean: Any = setting(optional(numbers), default=None)
    variance: Any = setting(optional(numbers), default=None)
    invert: bool = setting(flag, default=False)

    supports_masking: ClassVar[bool] = True
    integer_input: ClassVar[bool] = True
    unshared: ClassVar[frozenset[str]] = Layer.unshared | {"moments", "restored"}

    def prepare(self) -> None:
        super().prepare()
        self.input_mean: Any = None
        self.input_variance: Any = None
        self.moments: tuple[int, Any, Any] | None = None
        """How many numbers a statistic is over, their mean, and their squared distance from it, summed."""

    def validate(self) -> None:
        super().validate()
        mean, variance = np.shape(self.input_mean), np.shape(self.input_variance)
        if (self.input_mean is None) != (self.input_variance is None):
            raise ArgumentError("Normalization takes mean and variance together, or neither of them and adapt().")
        if mean != variance or len(mean) > len(self.axis):
            raise ArgumentError(
                f"Normalization: mean {mean} and variance {variance} have one shape, with one size for each axis of "
                f"{self.axis}."
            )
        if self.input_variance is not None and not np.all(np.asarray(self.input_variance) >= 0):
            raise ArgumentError(f"Normalization(variance={self.input_variance!r}): expected numbers of at least 0.")

    def given(self) -> dict[str, Any]:
        return super().given() | {"mean": _listed(self.input_mean), "variance": _listed(self.input_variance)}

    def build(self, input_shape: Shape) -> None:
        rank = len(input_shape)
        if not all(-rank <= axis < rank for axis in self.axis):
            raise ShapeError(f"has axis={self.axis}, which is not in {input_shape}")
        kept = sorted(axis % rank for axis in self.axis)
        if any(input_shape[axis] is None for axis in kept):
            raise ShapeError(f"has axis={self.axis}, whose size has to be known, got {input_shape}")
        self.input_spec = InputSpec(ndim=rank, axes={axis: input_shape[axis] for axis in kept})
        self.kept, self.sizes = kept, [input_shape[axis] if axis in kept else 1 for axis in range(rank)]
        if self.input_mean is None:
            shape = tuple(input_shape[axis] for axis in kept)
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, autocast=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, autocast=False, name="variance")
            self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")
        else:
            try:
                self.statistics(np)
            except ValueError:
                wanted = tuple(input_shape[axis] for axis in kept)
                raise ShapeError(f"has a mean of shape {np.shape(self.input_mean)}, and axis {self.axis} of the data "
                                 f"has {wanted}") from None  # fmt: skip

    def statistics(self, xp: Any = jnp) -> tuple[Any, Any]:
        """Mean and variance, in a shape that goes with the input's."""
        if self.input_mean is None:
            return jnp.asarray(self.adapt_mean).reshape(self.sizes), jnp.asarray(self.adapt_variance).reshape(
                self.sizes
            )
        shape = [1] * len(self.sizes)
        given = np.shape(self.input_mean)
        for axis, size in zip(self.kept[len(self.kept) - len(given) :], given, strict=True):
            shape[axis] = size
        dtype = self.variable_dtype if xp is jnp else None
        mean, variance = (xp.asarray(each, dtype).reshape(shape) for each in (self.input_mean, self.input_variance))
        return xp.broadcast_to(mean, self.sizes), xp.broadcast_to(variance, self.sizes)

    def call(self, x: Array) -> Array:
        dtype = jnp.promote_types(self.compute_dtype, jnp.float32)
        mean, variance = (each.astype(dtype) for each in self.statistics())
        width = jnp.maximum(jnp.sqrt(variance), jnp.asarray(epsilon(), dtype))
        wide = x.astype(dtype)
        y: Array = wide * width + mean if self.invert else (wide - mean) / width
        return y.astype(self.compute_dtype)

    def learn(self, data: HostArray, batch: bool) -> None:
        if self.input_mean is not None:
            raise ArgumentError(f"{self.name!r} has mean and variance given, and learns none.")
        data = learnable(self, data)
        data = data[:, None] if data.ndim == 1 and self.axis == (-1,) and not batch else data
        self.build_for((None, *data.shape[1:]))
        if len(data.shape) != len(self.sizes) or any(data.shape[axis] != self.sizes[axis] for axis in self.kept):
            raise ShapeError(f"{self.name!r} is built for {tuple(self.sizes)}, and cannot learn from {data.shape}.")
        over = tuple(axis for axis in range(data.ndim) if axis not in self.kept)
        data = data.astype(np.float64)
        mean = data.mean(over)
        count, squares = data.size // max(mean.size, 1), ((data - np.expand_dims(mean, over)) ** 2).sum(over)
        if self.moments is not None:  # Chan, Golub and LeVeque, 1979
            before, old_mean, old_squares = self.moments
            apart, both = mean - old_mean, before + count
            squares = old_squares + squares + apart**2 * (before * count / both)
            mean, count = old_mean + apart * (count / both), both
        self.moments = count, mean, squares

    def finalize_state(self) -> None:
        if self.moments is not None:
            count, mean, squares = self.moments
            self.adapt_mean.assign(mean.astype(floatx()))
            self.adapt_variance.assign((squares / count).astype(floatx()))
            self.count.assign(np.int32(min(count, np.iinfo(np.int32).max)))

    def reset_state(self) -> None:
        self.moments = None

    def require_adapted(self) -> None:
        if self.input_mean is not None or (self.built and int(self.count) > 0):
            return
        at_start = not self.built or (not np.any(self.adapt_mean) and np.all(np.equal(self.adapt_variance, 1)))
        if at_start:  # files of Keras have no count
            raise _not_adapted(self, "mean and variance", "mean=..., variance=...")


def _listed(value: Any) -> Any:
    return None if value is None else np.asarray(value).tolist()


def _moment(name: str, which: int) -> Any:
    """The argument, and once the layer is built the statistic in use: Keras's `layer.mean`."""

    def read(self: Normalization) -> Any:
        if not self.built:
            return vars(self).get(f"input_{name}")
        from_weights = self.statistics(np if self.input_mean is not None else jnp)
        return np.asarray(from_weights[which])

    return property(read, lambda self, value: vars(self).update({f"input_{name}": value}))


Normalization.mean, Normalization.variance = _moment("mean", 0), _moment("variance", 1)


def boundaries(value: Any) -> list[float]:
    """A list of numbers, put in order."""
    if not hasattr(value, "__len__") or np.asarray(value).dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise ArgumentError(f"expected a list of finite numbers, as [0.0, 1.0], got {value!r}.")
    if not np.size(value):
        raise ArgumentError("expected at least one number, as [0.0], got none.")
    return sorted(np.asarray(value, float).ravel().tolist())


def fineness(value: Any) -> float:
    """A number between 0 and 1."""
    if not 0 < number(value) < 1:
        raise ArgumentError(f"expected a number between 0 and 1, got {value!r}.")
    return number(value)


class Discretization(Adapting):
    """Puts numbers into bins: the index of the bin, or vectors of it; bin i holds `boundary[i-1] <= x < boundary[i]`.

    The boundaries are given, or learned by `adapt`: quantiles from a summary of about `1 / epsilon` values that is
    merged batch by batch.

    >>> Discretization(bin_boundaries=[0.0, 1.0, 2.0])(jnp.array([[-1.5, 1.0, 3.4, 0.5]]))
    Array([[0, 2, 3, 1]], dtype=int32)

    Args:
        num_bins: how many bins `adapt` makes.
        epsilon: how fine the summary is; smaller is more exact.
        output_mode: "int", or vectors: "one_hot", "multi_hot", "count".
    """

    bin_boundaries: Any = setting(optional(boundaries), default=None)
    num_bins: int | None = setting(optional(positive), default=None)
    epsilon: float = setting(fineness, default=0.01)
    output_mode: str = setting(mode(*MODES), default="int")
    sparse: bool = setting(dense, default=False)
    dtype: Any = setting(default=None)
    name: Any = None

    integer_input: ClassVar[bool] = True
    unshared: ClassVar[frozenset[str]] = Layer.unshared | {"summary"}

    def prepare(self) -> None:
        super().prepare()
        self.summary = np.empty((2, 0), np.float32)
        """Values of the data in order, and how many stand behind each."""

    def validate(self) -> None:
        super().validate()
        if (self.num_bins is None) == (self.bin_boundaries is None):
            raise ArgumentError("Discretization takes bin_boundaries=[...], or num_bins=... and adapt(); one of them.")

    def call(self, x: Array) -> Array:
        # Not adapted yet, only the shape is asked for.
        bounds = [0.0] * ((self.num_bins or 1) - 1) if self.bin_boundaries is None else self.bin_boundaries
        x = x.astype(self.compute_dtype) if jnp.issubdtype(x.dtype, jnp.integer) else x
        places = jnp.searchsorted(jnp.asarray(bounds, x.dtype), x, side="right").astype(jnp.int32)
        if self.output_mode == "int":
            return places
        return hot(places, self.output_mode, len(bounds) + 1, self.compute_dtype)

    def learn(self, data: HostArray, batch: bool) -> None:
        if self.num_bins is None:
            raise ArgumentError(f"{self.name!r} has bin_boundaries given, and learns none: give num_bins instead.")
        ordered = np.sort(learnable(self, data).astype(np.float32).ravel())
        step = max(len(ordered) * self.epsilon, 1)
        taken = ordered[int(step - 1) :: int(step)]
        merged = np.concatenate([np.stack([taken, np.full_like(taken, step)]), self.summary], axis=1)
        self.summary = compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        if self.num_bins is not None and self.summary.size:
            self.bin_boundaries = compressed(self.summary, 1 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        self.summary = np.empty((2, 0), np.float32)

    def require_adapted(self) -> None:
        if self.bin_boundaries is None:
            raise _not_adapted(self, "boundaries", "bin_boundaries=[...]")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"dtype": self.variable_dtype}
        del config["trainable"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer with the settings that `get_config` returned, the learned boundaries among them."""
        learned = config["bin_boundaries"] if config.get("num_bins") is not None else None
        layer = super().from_config(config | {"bin_boundaries": None} if learned is not None else config)
        layer.bin_boundaries = layer.bin_boundaries if learned is None else learned
        return layer


def compressed(summary: Any, share: float) -> Any:
    """A summary of about `1 / share` values, by interpolation of the cumulated weights.  (2, n) -> (2, m)"""
    if summary.shape[1] * share < 1:
        return summary
    shares = share + np.arange(0.0, 1.0, share)
    sums = summary[1].cumsum()
    values, at = (np.interp(shares, sums / sums[-1], each) for each in (summary[0], sums))
    return np.stack([values, np.diff(at, prepend=0)]).astype(np.float32)


def _not_adapted(layer: Layer, what: str, otherwise: str) -> NotAdaptedError:
    return NotAdaptedError(
        f"{layer.name!r} ({type(layer).__name__}) has no {what} yet: call {layer.name}.adapt(x) first, or give "
        f"{otherwise}."
    )


class CategoryEncoding(Layer):
    """Makes vectors of indices from 0 to `num_tokens - 1`.

    >>> CategoryEncoding(num_tokens=4, output_mode="one_hot")(jnp.array([3, 1]))
    Array([[0., 0., 0., 1.],
           [0., 1., 0., 0.]], dtype=float32)

    Args:
        output_mode: "one_hot" makes one vector an index; "multi_hot" one vector a row, with a 1 for each index in it;
            "count" how often each occurs, or the sum of its `count_weights`, which are given in the call.
    """

    num_tokens: int | None = setting(optional(positive), default=None)
    output_mode: str = setting(mode("one_hot", "multi_hot", "count"), default="multi_hot")
    sparse: bool = setting(dense, default=False)

    integer_input: ClassVar[bool] = True

    def validate(self) -> None:
        super().validate()
        if self.num_tokens is None:
            raise ArgumentError("CategoryEncoding needs num_tokens; where it is not known, take IntegerLookup.")

    def call(self, x: Array, count_weights: Any = None) -> Array:
        if count_weights is not None and self.output_mode != "count":
            raise ArgumentError(f"{self.name}: count_weights are for output_mode='count', not {self.output_mode!r}.")
        if count_weights is not None and np.shape(count_weights) != x.shape:
            raise ShapeError(f"wants count_weights of {x.shape}, one for each index, got {np.shape(count_weights)}")
        if not isinstance(x, jax.core.Tracer):
            indices.check(x, self)
        return hot(x, self.output_mode, self.indices_below, self.compute_dtype, count_weights)

    @property
    def indices_below(self) -> int:
        """One more than the greatest index."""
        return self.num_tokens or 0

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse"]
        return config


def several(value: Any) -> list[Layer]:
    """A list of layers."""
    if not isinstance(value, (tuple, list)):
        raise ArgumentError(f"expected a list of layers, as [{value!r}].")
    return [held(each) for each in value]


class Pipeline(Line):
    """Applies layers one after another, as one layer.

    >>> Pipeline([Rescaling(2.0), Rescaling(1.0, offset=1.0)])(jnp.ones((1, 2)))
    Array([[3., 3.]], dtype=float32)
    """

    layers: Sequence[Any] = setting(several)  # type: ignore[misc]
    name: Any = None

    trains_alone: ClassVar[bool] = True
    supports_masking: ClassVar[bool] = True
    integer_input: ClassVar[bool] = True

    def validate(self) -> None:
        super().validate()
        late = [layer.name for layer in self.body[1:] if layer.on_host]
        if late:
            raise ArgumentError(f"Pipeline: {late[0]!r} works on the host, so it stands before {self.body[0].name!r}.")

    @property
    def line(self) -> list[Any]:
        return list(self.layers)

    def call(self, x: Array, training: bool = False, mask: Any = None) -> Array:
        for layer in self.body:
            inputs, x = x, layer(x, training=training, mask=mask)
            mask = layer.compute_mask(inputs, mask)
        self.mask = mask
        return x

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The mask that the last layer passes on, once `call` has run."""
        return self.mask

    def get_config(self) -> dict[str, Any]:
        return {"layers": serialize(self.layers), "name": self.name}
