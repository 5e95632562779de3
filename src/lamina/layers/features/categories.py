"""Layers that sort numbers into bins, given or learned by `adapt`, and layers that turn indices into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array, HostArray
from lamina._checks import indices
from lamina._layer.layer import Layer
from lamina._settings.arguments import Name
from lamina._settings.converters import number, optional, positive
from lamina._settings.settings import Converted, setting
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.features.adapting import Adapting
from lamina.layers.features.hashing import MODES, Mode, dense, mode
from lamina.layers.features.numbers import learnable, not_adapted

Boundaries: TypeAlias = Converted[Sequence[float] | HostArray | None, list[float] | None]
Summary: TypeAlias = HostArray
"""Sorted values of the data, and how many numbers of the data each value represents.  (2, n)"""


def hot(places: Array, output_mode: str, depth: int, dtype: str, weights: ArrayLike | None = None) -> Array:
    """Turns indices into vectors of length `depth`: one vector for each index, or one for each row."""
    if output_mode == "one_hot" and places.ndim > 1 and places.shape[-1] == 1:
        places = places[..., 0]
    if not jnp.issubdtype(places.dtype, jnp.integer):
        places = places.astype(jnp.int32)
    if places.ndim == 0:
        places = places[None]
    vectors = jax.nn.one_hot(places, depth, dtype=dtype)
    axis = min(places.ndim - 1, 1)
    if output_mode == "multi_hot":
        return vectors.max(axis)
    if output_mode == "count":
        return (vectors if weights is None else vectors * jnp.asarray(weights, dtype)[..., None]).sum(axis)
    return vectors


def boundaries(value: Any) -> list[float]:
    """A list of numbers, sorted."""
    if not hasattr(value, "__len__") or np.asarray(value).dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise ArgumentError(f"expected a list of finite numbers, as [0.0, 1.0], got {value!r}.")
    if not np.size(value):
        raise ArgumentError("expected at least one number, as [0.0], got none.")
    return sorted(np.asarray(value, float).ravel().tolist())


def fineness(value: object) -> float:
    """A number between 0 and 1."""
    if not 0 < number(value) < 1:
        raise ArgumentError(f"expected a number between 0 and 1, got {value!r}.")
    return number(value)


class Discretization(Adapting):
    """Maps numbers to the indices of bins, or to vectors; bin i holds `boundary[i-1] <= x < boundary[i]`.

    The boundaries are given or learned by `adapt`. Learned boundaries are quantiles of a summary of about `1 / epsilon`
    values; each batch of the data is merged into the summary.

    >>> Discretization(bin_boundaries=[0.0, 1.0, 2.0])(jnp.array([[-1.5, 1.0, 3.4, 0.5]]))
    Array([[0, 2, 3, 1]], dtype=int32)

    Args:
        bin_boundaries: the numbers between the bins; None learns them with `adapt`.
        num_bins: the number of bins that `adapt` makes.
        epsilon: the error of the quantiles, between 0 and 1. A smaller value is more exact and slower.
        output_mode: "int" for the indices, or vectors: "one_hot", "multi_hot", "count".
        sparse: must be False, since the output is dense.
    """

    name: Name = setting(init=False)
    _lamina_dtype: dtypes.Dtype = setting(init=False, alias="dtype")
    bin_boundaries: Boundaries = setting(optional(boundaries), default=None)
    num_bins: int | None = setting(optional(positive), default=None)
    epsilon: float = setting(fineness, default=0.01)
    output_mode: Mode = setting(mode(*MODES), default="int")
    sparse: bool = setting(dense, default=False)
    _lamina_policy: dtypes.Dtype = setting(dtypes.get, default=None, alias="dtype")
    _lamina_name: Name = setting(default=None, alias="name")

    _lamina_takes_integers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reset_state()
        if (self.num_bins is None) == (self.bin_boundaries is None):
            raise ArgumentError("Discretization takes bin_boundaries=[...], or num_bins=... and adapt(); one of them.")

    def call(self, x: Array) -> Array:
        # The layer is not adapted yet: the caller only needs the shape.
        bounds = [0.0] if self.bin_boundaries is None else self.bin_boundaries
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(self.compute_dtype)
        places = jnp.searchsorted(jnp.asarray(bounds, x.dtype), x, side="right").astype(jnp.int32)
        if self.output_mode == "int":
            return places
        depth = self.num_bins or 1 if self.bin_boundaries is None else len(bounds) + 1
        return hot(places, self.output_mode, depth, self.compute_dtype)

    def _lamina_learn(self, data: HostArray, batch: bool) -> None:
        if self.num_bins is None:
            raise ArgumentError(f"{self.name!r} was given bin_boundaries, so it learns none: give num_bins instead.")
        ordered = np.sort(learnable(self, data).astype(np.float32).ravel())
        step = max(len(ordered) * self.epsilon, 1)
        taken = ordered[int(step - 1) :: int(step)]
        merged = np.concatenate([np.stack([taken, np.full_like(taken, step)]), self._lamina.learned], axis=1)
        self._lamina.learned = compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        if self.num_bins is not None and self._lamina.learned.size:
            self.bin_boundaries = compressed(self._lamina.learned, 1 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        self._lamina.learned = np.empty((2, 0), np.float32)

    def _lamina_require_adapted(self) -> None:
        if self.bin_boundaries is None:
            raise not_adapted(self, "boundaries", "bin_boundaries=[...]")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"dtype": self.variable_dtype}
        del config["trainable"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns a layer with the settings that `get_config` returned, including the learned boundaries."""
        learned = config.get("bin_boundaries") if config.get("num_bins") is not None else None
        if learned is None:
            return super().from_config(config)
        layer = super().from_config(config | {"bin_boundaries": None})
        layer.bin_boundaries = super().from_config(config | {"num_bins": None}).bin_boundaries
        return layer


def compressed(summary: Summary, share: float) -> Summary:
    """A summary of about `1 / share` values, by interpolation of the cumulative weights.  (2, n) -> (2, m)"""
    if summary.shape[1] * share < 1:
        return summary
    shares = share + np.arange(0.0, 1.0, share)
    sums = summary[1].cumsum()
    values, at = (np.interp(shares, sums / sums[-1], each) for each in (summary[0], sums))
    return np.stack([values, np.diff(at, prepend=0)]).astype(np.float32)


class CategoryEncoding(Layer):
    """Maps indices from 0 to `num_tokens - 1` to vectors of length `num_tokens`.

    >>> CategoryEncoding(num_tokens=4, output_mode="one_hot")(jnp.array([3, 1]))
    Array([[0., 0., 0., 1.],
           [0., 1., 0., 0.]], dtype=float32)

    Args:
        num_tokens: the number of indices.
        output_mode: "one_hot" makes one vector for each index. "multi_hot" makes one vector for each row, with a 1 for
            each index in the row. "count" makes one vector for each row, with the number of times that each index
            occurs, or with the sum of its `count_weights`, an argument of the call.
        sparse: must be False, since the output is dense.
    """

    num_tokens: int | None = setting(optional(positive), default=None)
    output_mode: Mode = setting(mode("one_hot", "multi_hot", "count"), default="multi_hot")
    sparse: bool = setting(dense, default=False)

    _lamina_takes_integers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_tokens is None:
            raise ArgumentError("CategoryEncoding needs num_tokens; where it is not known, take IntegerLookup.")

    def call(self, x: Array, count_weights: ArrayLike | None = None) -> Array:
        if count_weights is not None and self.output_mode != "count":
            raise ArgumentError(f"{self.name}: count_weights are for output_mode='count', not {self.output_mode!r}.")
        if count_weights is not None and np.shape(count_weights) != x.shape:
            raise ShapeError(f"expects count_weights of {x.shape}, one for each index, got {np.shape(count_weights)}")
        if not isinstance(x, jax.core.Tracer):
            indices.check(x, self)
        return hot(x, self.output_mode, self._lamina_indices_below, self.compute_dtype, count_weights)

    @property
    def _lamina_indices_below(self) -> int:
        """One more than the greatest index."""
        return self.num_tokens or 0

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse"]
        return config
