"""Attention without projections: the inputs themselves are the queries, values and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._kernels.attention import combined
from lamina._kernels.precision import in_float32
from lamina._layer.inputs import is_shape
from lamina._layer.layer import Layer
from lamina._settings.converters import flag, one_of, rate, seed_value
from lamina._settings.settings import setting
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.attention.seen import causal
from lamina.layers.regularization import dropped


class OneHead(Layer):
    """Base of the layers that are called on a list, `layer([query, value])` or `layer([query, value, key])`.

    Without a key, the value is also the key. A subclass makes its weights in `build` and computes the scores in
    `_calculate_scores`.

    Args:
        use_scale: whether the scores are scaled by a weight.
        dropout: the fraction of the attention weights that is set to 0 in training.
        seed: a seed for the dropout of this layer alone; None derives it from the model's seed.
    """

    supports_masking: ClassVar[bool] = True
    _lamina_one_tensor: ClassVar[bool | None] = False
    _lamina_joins: ClassVar[str] = "self.attention([x, x])"

    if TYPE_CHECKING:

        def _lamina_settings(self) -> None:
            """The settings of both layers: each class has them among its fields, in Keras's order."""
            self.use_scale: bool
            self.dropout: float
            self.seed: int | None

    @property
    def _lamina_draws(self) -> bool:
        """Whether the layer draws random numbers."""
        return bool(self.dropout)

    def call(
        self, inputs: Sequence[Array], mask: Sequence[Array | None] | None = None, training: bool | None = False,
        return_attention_scores: bool = False, use_causal_mask: bool = False,
    ) -> Any:  # fmt: skip
        """Returns the weighted means of the values, (batch, n, size), for a query (batch, n, size).

        Args:
            inputs: the list of the query, the value and, if it differs from the value, the key.
            mask: a list of the query's mask, (batch, n), and the value's, (batch, m). The output is 0 where the
                query's mask is False, and no query sees a value whose mask is False.
            return_attention_scores: whether the attention weights, (batch, n, m), are returned too.
            use_causal_mask: whether a query sees only the values at its own step and before.
        """
        query, value, *keys = _in_list(self, inputs)
        query_mask, value_mask = (None, None) if mask is None else _masks(self, mask)
        scores = self._calculate_scores(query, keys[0] if keys else value)  # (batch, n, m)
        seen = None if value_mask is None else jnp.asarray(value_mask, bool)[..., None, :]
        if use_causal_mask:
            earlier = causal(*scores.shape[-2:])
            seen = earlier if seen is None else seen & earlier
        shares = _shares(scores, seen)
        kept = dropped(self, shares, self.dropout, shares.shape) if training and self.dropout else shares
        y = combined(kept, value)  # (batch, n, size)
        if query_mask is not None:
            y = jnp.where(jnp.asarray(query_mask, bool)[..., None], y, jnp.zeros((), y.dtype))
        return (y, shares) if return_attention_scores else y

    def _calculate_scores(self, query: Array, key: Array) -> Array:
        """The score of each key for each query: (batch, n, size) and (batch, m, size) -> (batch, n, m)."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _calculate_scores(self, query, key).")

    def compute_mask(self, inputs: Any, mask: Sequence[Array | None] | None = None) -> Array | None:
        """The query's mask."""
        return None if mask is None else _masks(self, mask)[0]


@in_float32
def _shares(scores: Array, seen: Array | None) -> Array:
    """The attention weights: a softmax in which the scores of masked keys are close to minus infinity."""
    if seen is not None:
        far = jnp.asarray(65504.0 if scores.dtype == jnp.float16 else 1e9, scores.dtype)
        scores = jnp.where(seen, scores, scores - far)
    return jax.nn.softmax(scores)


def _in_list(layer: Layer, inputs: Any) -> list[Any]:
    """The two or three inputs, or their shapes."""
    if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3) or isinstance(inputs[0], (int, type(None))):
        got = f"a list of {len(inputs)}" if isinstance(inputs, (list, tuple)) else type(inputs).__name__
        got = "one tensor" if is_shape(inputs) or isinstance(inputs, jax.Array) else got
        raise ArgumentError(
            f"{layer.name} ({type(layer).__name__}) takes a list of two or three inputs, got {got}.\n"
            "Call it as layer([query, value]) or layer([query, value, key])."
        )
    return list(inputs)


def _masks(layer: Layer, mask: Any) -> tuple[Array | None, Array | None]:
    """The masks of the query and of the value."""
    if not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3):
        got = f"a list of {len(mask)}" if isinstance(mask, (list, tuple)) else type(mask).__name__
        raise ArgumentError(
            f"{layer.name} ({type(layer).__name__}) takes mask=[query_mask, value_mask], got {got}.\n"
            "Write None for an input that has no mask."
        )
    return mask[0], mask[1]


def _fitting(layer: Layer, shapes: Any) -> list[Shape]:
    """The shapes of the inputs; raises a `ShapeError` if they do not fit together."""
    query, value, *keys = _in_list(layer, shapes)
    key = keys[0] if keys else value
    if min(len(query), len(value), len(key)) < 3:
        raise ShapeError(f"expects inputs of (batch, steps, size), got {query}, {value} and {key}")
    if None not in (query[-1], key[-1]) and query[-1] != key[-1]:
        raise ShapeError(f"expects a query and a key of one size on the last axis, got {query} and {key}")
    if None not in (value[-2], key[-2]) and value[-2] != key[-2]:
        raise ShapeError(f"expects a key for each value, got values of {value} and keys of {key}")
    return [query, value, key]


class Attention(OneHead):
    """The means of the values, weighted by `softmax(query @ key.T)`: Luong's attention.

    >>> query, value = jnp.ones((1, 4, 3)), jnp.ones((1, 5, 3))
    >>> Attention()([query, value]).shape
    (1, 4, 3)

    Args:
        score_mode: "dot" for the product `query @ key.T`, "concat" for `w * sum(tanh(query + key))` with a weight w.

    Source: Luong et al., 2015, https://arxiv.org/abs/1508.04025
    """

    use_scale: bool = setting(flag, default=False)
    score_mode: Literal["dot", "concat"] = setting(one_of("dot", "concat"), default="dot")
    dropout: float = setting(rate, default=0.0)
    seed: int | None = setting(seed_value, default=None)

    def build(self, input_shape: Any) -> None:
        _fitting(self, input_shape)
        self.scale = self.add_weight((), "ones") if self.use_scale else None
        self.concat_score_weight = self.add_weight((), "ones") if self.score_mode == "concat" else None

    def _calculate_scores(self, query: Array, key: Array) -> Array:
        if self.concat_score_weight is not None:
            return _sums_of_tanh(query, key, self.concat_score_weight, self.scale)
        return _products(query, key, self.scale)


class AdditiveAttention(OneHead):
    """The means of the values, weighted by `softmax(sum(scale * tanh(query + key)))`: Bahdanau's attention.

    >>> query, value = jnp.ones((1, 4, 3)), jnp.ones((1, 5, 3))
    >>> AdditiveAttention()([query, value]).shape
    (1, 4, 3)

    Source: Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473
    """

    use_scale: bool = setting(flag, default=True)
    dropout: float = setting(rate, default=0.0)
    seed: int | None = setting(seed_value, default=None, kw_only=True)

    def build(self, input_shape: Any) -> None:
        size = _fitting(self, input_shape)[0][-1]
        self.scale = self.add_weight((size,), "glorot_uniform") if self.use_scale else None

    def _calculate_scores(self, query: Array, key: Array) -> Array:
        return _sums_of_tanh(query, key, self.scale)


@in_float32
def _products(query: Array, key: Array, scale: Array | None) -> Array:
    scores = query @ key.mT  # (batch, n, m)
    return scores if scale is None else scores * scale


@in_float32
def _sums_of_tanh(query: Array, key: Array, weight: Array | None, within: Array | None = None) -> Array:
    """`sum(weight * tanh(within * (query + key)))` over the last axis, for each query and key."""
    added = query[..., :, None, :] + key[..., None, :, :]  # (batch, n, m, size)
    bent = jnp.tanh(added if within is None else within * added)
    return jnp.sum(bent if weight is None else weight * bent, -1)  # (batch, n, m)
