"""Layers for kinds of columns that Keras's FeatureSpace lacks: dates, piecewise linear and periodic features."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lamina import initializers
from lamina._arrays.arrays import Array, HostArray
from lamina._arrays.shapes import Shape
from lamina._layer.host import HostLayer
from lamina._layer.layers_by_name import registry
from lamina._settings.converters import above_zero, number, optional, positive
from lamina._settings.settings import setting
from lamina.layers.features.adapting import Adapting
from lamina.layers.features.categories import boundaries
from lamina.layers.features.numbers import learnable, not_adapted


class DateParts(Adapting, HostLayer):
    """Maps each date to seven numbers: the standardized year, and the sine and cosine of month, weekday and hour.

    >>> layer = DateParts(mean=2020.0, deviation=2.0)
    >>> layer._lamina_host(np.array([["2022-01-01"]], "datetime64[s]"))[0, :3]
    array([1., 0., 1.], dtype=float32)

    Args:
        mean: the mean of the years; None learns it.
        deviation: the standard deviation of the years.
    """

    mean: float | None = setting(optional(number), default=None)
    deviation: float = setting(above_zero, default=1.0)

    def _lamina_learn(self, data: HostArray, batch: bool) -> None:
        years = data.astype("datetime64[Y]").astype(np.int64) + 1970
        self._lamina.learned = float(years.mean()), float(years.std()) or 1.0

    def finalize_state(self) -> None:
        self.mean, self.deviation = self._lamina.learned

    def reset_state(self) -> None:
        self._lamina.learned = None

    def _lamina_require_adapted(self) -> None:
        if self.mean is None:
            raise not_adapted(self, "mean of the years", "mean=..., deviation=...")

    def _lamina_host(self, x: HostArray) -> HostArray:  # (rows, 1)
        dates = x.reshape(-1).astype("datetime64[s]")
        days, months = dates.astype("datetime64[D]").astype(np.int64), dates.astype("datetime64[M]").astype(np.int64)
        hours = dates.astype("datetime64[h]").astype(np.int64) % 24
        turns = [months % 12 / 12, (days - 4) % 7 / 7, hours / 24]  # 1970 began on a Thursday
        year = (months // 12 + 1970 - (self.mean or 0.0)) / self.deviation
        waves = [wave(2 * np.pi * turn) for turn in turns for wave in (np.sin, np.cos)]
        return np.stack([year, *waves], axis=1).astype(np.float32)  # (rows, 7)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], 7)


class Edged(Adapting):
    """Base of the layers that learn edges, which are quantiles of the data."""

    _lamina_takes_integers: ClassVar[bool] = True
    edges: Sequence[float] | None = setting(optional(boundaries), default=None, kw_only=True)

    def _lamina_learn(self, data: HostArray, batch: bool) -> None:
        self._lamina.learned = np.concatenate([self._lamina.learned, learnable(self, data).ravel()])

    def reset_state(self) -> None:
        self._lamina.learned = np.empty(0)

    def _lamina_require_adapted(self) -> None:
        if self.edges is None:
            raise not_adapted(self, "edges", "edges=[...]")


class PiecewiseLinear(Edged):
    """Maps x to one number for each bin: 0 below the bin, 1 above it, and between 0 and 1 inside it.

    The edges are quantiles of the data. If some quantiles are equal, quantiles of the other distinct values replace
    them. So a column that is mostly zero has as many bins as other columns.
    With `units`, the output is `relu(pieces @ kernel + bias)`; this kernel and bias of the column are trained.

    >>> PiecewiseLinear(edges=[0.0, 1.0, 3.0])(jnp.array([[2.0]]))
    Array([[1. , 0.5]], dtype=float32)
    >>> PiecewiseLinear(units=4, edges=[0.0, 1.0, 3.0])(jnp.array([[2.0]])).shape
    (1, 4)

    Args:
        num_bins: the number of bins that `adapt` makes; fewer if there are fewer distinct values.
        units: the number of trained outputs; None returns the pieces themselves.
        edges: the edges of the bins; None learns them.

    Source: Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, 2022.
    """

    num_bins: int = setting(positive, default=32)
    units: int | None = setting(optional(positive), default=None)

    def build(self, input_shape: Shape) -> None:
        if self.units is not None:
            self.kernel = self.add_weight((len(self.edges or [0.0, 1.0]) - 1, self.units), name="kernel")
            self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def finalize_state(self) -> None:
        learned = self._lamina.learned.astype(np.float32)
        places = np.linspace(0, 1, self.num_bins + 1)
        edges = np.unique(np.quantile(learned, places, method="nearest"))
        others = np.setdiff1d(learned, edges)
        if (count := len(places) - len(edges)) and len(others):
            edges = np.union1d(edges, np.quantile(others, np.linspace(0, 1, count), method="nearest"))
        self.edges = (edges if len(edges) > 1 else np.array([edges[0], edges[0] + 1])).tolist()

    def call(self, x: Array) -> Array:  # (batch, 1)
        edges = jnp.asarray(self.edges or [0.0, 1.0], jnp.float32)
        place = (x.astype(jnp.float32) - edges[:-1]) / (edges[1:] - edges[:-1])  # (batch, bins)
        pieces = jnp.clip(place, 0, 1).astype(self.compute_dtype)
        return pieces if self.units is None else jax.nn.relu(pieces @ self.kernel + self.bias)


class PeriodicWaves(Edged):
    """Maps x to `relu(concat(sin(2 pi c x), cos(2 pi c x)) @ kernel + bias)`, where c, kernel and bias are trained.

    Before that, x is mapped by its quantiles to a normal distribution.

    >>> layer = PeriodicWaves(frequencies=4, units=3)
    >>> layer.adapt(np.arange(10.0))
    >>> layer(jnp.array([[2.0]])).shape
    (1, 3)

    Args:
        frequencies: the number of frequencies c.
        units: the number of outputs.
        sigma: the standard deviation of the frequencies when they are made.
        edges: quantiles of the data; None learns them.
        scores: the value of each edge on the normal scale.

    Source: Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, 2022.
    """

    frequencies: int = setting(positive, default=16)
    units: int = setting(positive, default=8)
    sigma: float = setting(above_zero, default=0.1)
    scores: Sequence[float] | None = setting(optional(boundaries), default=None, kw_only=True)

    def build(self, input_shape: Shape) -> None:
        normal = initializers.RandomNormal(stddev=self.sigma)
        self.frequency = self.add_weight((self.frequencies,), normal, name="frequency")
        self.kernel = self.add_weight((2 * self.frequencies, self.units), name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def finalize_state(self) -> None:
        ordered = np.sort(self._lamina.learned)
        edges = np.unique(np.quantile(ordered, np.linspace(0, 1, 129)).astype(np.float32))
        below, upto = np.searchsorted(ordered, edges, "left"), np.searchsorted(ordered, edges, "right")
        ranks = np.clip((below + upto) / (2 * len(ordered)), 1e-3, 1 - 1e-3)
        self.edges, self.scores = edges.tolist(), [NormalDist().inv_cdf(rank) for rank in ranks]

    def call(self, x: Array) -> Array:  # (batch, 1)
        edges, scores = self.edges or [0.0], self.scores or [0.0]
        scaled = jnp.interp(x.astype(jnp.float32), jnp.asarray(edges), jnp.asarray(scores))  # (batch, 1)
        turns = 2 * jnp.pi * scaled.astype(self.compute_dtype) * self.frequency  # (batch, frequencies)
        waves = jnp.concatenate([jnp.sin(turns), jnp.cos(turns)], axis=-1)  # (batch, 2 * frequencies)
        return jax.nn.relu(waves @ self.kernel + self.bias)  # (batch, units)


for _layer in (DateParts, PiecewiseLinear, PeriodicWaves):
    registry.add(_layer.__name__)(_layer)
