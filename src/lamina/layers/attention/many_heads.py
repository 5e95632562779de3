"""Multi-head attention: each head has its own projections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_letters
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp

from lamina import constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._kernels.attention import attend, combined, flash, weights
from lamina._layer.layer import Layer
from lamina._layer.masks import with_mask
from lamina._settings.arguments import (
    Config,
    ConstraintSetting,
    InitializerSetting,
    RegularizerSetting,
)
from lamina._settings.converters import flag, integer, optional, positive, rate, seed_value
from lamina._settings.settings import Converted, setting, value_of
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.attention.seen import expanded, joined, near
from lamina.layers.einsum import EinsumDense
from lamina.layers.regularization import Dropout


class ManyHeads(Layer):
    """Base of multi-head attention: `layer(query, value)` or `layer(query, value, key)`.

    Without a key, the value is also the key. Each head projects the query, the key and the value. Its output is the
    mean of the values, weighted by `softmax(query @ key.T / sqrt(size))`. A last projection combines all heads.
    A subclass gives the number and the size of its heads in `_lamina_sizes`, and the prefix of its sublayers' names
    in `_lamina_prefix`.

    Args:
        dropout: the fraction of the attention weights that is set to 0 in training.
        use_bias: whether the projections have a bias.
        sliding_window: a query sees only keys fewer than this many steps away. None: all keys.
        flash_attention: whether to use cuDNN's flash attention, which needs a GPU and 16 bits and does not store the
            array of all weights. True is an error on a CPU; None and False use the usual formula.
        kernel_initializer, bias_initializer: the initial values of the projections' kernels and biases.
        kernel_regularizer, bias_regularizer: penalties on the kernels and the biases, added to the loss.
        activity_regularizer: a penalty on the output of each projection, added to the loss.
        kernel_constraint, bias_constraint: applied to the kernels and the biases after each step of training.
        use_gate: whether the result is multiplied by `sigmoid` of one more projection of the query.
        seed: a seed for the dropout of this layer alone; None derives it from the model's seed.
    """

    if TYPE_CHECKING:

        def _lamina_settings(self) -> None:
            """The settings of both layers: each class has them among its fields, in Keras's order."""
            self.dropout: float
            self.use_bias: bool
            self.use_gate: bool
            self.sliding_window: int | None
            self.seed: int | None

    activity_regularizer: RegularizerSetting = setting(init=False)

    supports_masking: ClassVar[bool] = True
    _lamina_draws: ClassVar[bool] = False  # its dropout layer draws the random numbers
    _lamina_joins: ClassVar[str] = "self.attention(x, x)"
    _lamina_prefix: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if value_of(self, "flash_attention") and self.dropout:
            raise ArgumentError(
                f"{type(self).__name__}(flash_attention=True, dropout={self.dropout}): flash attention has no dropout; "
                "leave one of them out."
            )

    def _lamina_arguments(self) -> Config:
        regularizer = value_of(self, "activity_regularizer")
        return super()._lamina_arguments() | {"activity_regularizer": regularizer}

    def _lamina_sizes(self) -> tuple[int, int, int, int]:
        """The numbers of query heads and of key and value heads, then the sizes of a key and of a value."""
        raise NotImplementedError

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        _check(self, query_shape, value_shape, key_shape)
        heads, kept_heads, key_size, value_size = self._lamina_sizes()
        for name, shape, *out in (
            ("query", query_shape, heads, key_size),
            ("key", key_shape, kept_heads, key_size),
            ("gate", query_shape, heads, value_size),
            ("value", value_shape, kept_heads, value_size),
        ):
            if name != "gate":
                setattr(self, f"{self._lamina_prefix}{name}_dense", _projection(self, name, shape, 1, out))
            elif self.use_gate:
                self._gate_dense = _projection(self, name, shape, 1, out, "sigmoid")
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)
        self._dropout_layer.build(query_shape)
        dense = _projection(
            self, "attention_output", (*query_shape[:-1], heads, value_size), 2, self._lamina_output(query_shape)
        )
        setattr(self, f"{self._lamina_prefix}output_dense", dense)

    def _lamina_output(self, query_shape: Shape) -> Shape:
        """The sizes that replace the query's last size in the output."""
        return query_shape[-1:]

    def _lamina_axes(self, ndim: int) -> tuple[int, ...]:
        """The axes of the inputs that are attended over."""
        return (1,)

    def call(
        self, query: Array, value: Array, key: Array | None = None, query_mask: Array | None = None,
        value_mask: Array | None = None, key_mask: Array | None = None, attention_mask: Array | None = None,
        return_attention_scores: bool = False, training: bool | None = None, use_causal_mask: bool = False,
    ) -> Any:  # fmt: skip
        """Returns the attention output (batch, n, size) for a query (batch, n, size) and a value (batch, m, size).

        Args:
            query_mask, value_mask, key_mask: which steps of the inputs count, (batch, n) and (batch, m). The default
                is the mask that each input carries.
            attention_mask: which keys each query may see, (batch, n, m) or (batch, heads, n, m).
            return_attention_scores: whether the attention weights, (batch, heads, n, m), are returned too.
            use_causal_mask: whether a query sees only the keys at its own step and before.
        """
        if value_of(self, "flash_attention") and return_attention_scores:
            raise ArgumentError(
                f"{self.name}: flash attention does not compute scores: leave return_attention_scores out."
            )
        key = value if key is None else key
        _check(self, query.shape, value.shape, key.shape)
        axes = self._lamina_axes(query.ndim)
        steps = [tuple(x.shape[axis] for axis in axes) for x in (query, value)]
        masks = [None if query_mask is None else expanded(query_mask, axes, -1)]
        masks += [None if mask is None else expanded(mask, axes, -2) for mask in (value_mask, key_mask)]
        masks.append(near(use_causal_mask, self.sliding_window, *steps))
        masks.append(None if attention_mask is None else jnp.asarray(attention_mask, bool))
        heads, kept_heads, *_ = self._lamina_sizes()
        others = [size for axis, size in enumerate(query.shape[:-1]) if axis not in axes]
        seen = joined(masks, [*others, heads], *steps)
        of_query, of_key, of_value = (
            getattr(self, f"{self._lamina_prefix}{name}_dense")(x)  # (batch, ..., heads, size)
            for name, x in (("query", query), ("key", key), ("value", value))
        )
        if kept_heads < heads:
            of_key, of_value = (jnp.repeat(x, heads // kept_heads, axis=-2) for x in (of_key, of_value))
        asked = {"return_attention_scores": True} if return_attention_scores else {}  # an older override lacks it
        y, scores = self._compute_attention(of_query, of_key, of_value, seen, training, **asked)
        if self.use_gate:
            y = y * self._gate_dense(query)
        y = getattr(self, f"{self._lamina_prefix}output_dense")(y)
        with_mask(y, query_mask)
        return (y, scores) if return_attention_scores else y

    def _compute_attention(
        self, query: Array, key: Array, value: Array, attention_mask: Array | None = None,
        training: bool | None = None, return_attention_scores: bool = False, use_causal_mask: bool = False,
    ) -> tuple[Array, Array | None]:  # fmt: skip
        """Returns the weighted means, and the attention weights if asked for. Override it for a custom formula.

        Args:
            query, key, value: the projected inputs, (batch, ..., heads, size).
            attention_mask: which keys each query may see, as an array that can be broadcast to the weights.
            use_causal_mask: whether a query sees only the keys at its own step and before; False in the layer's own
                call, whose `attention_mask` includes the causal mask.
        """
        axes = self._lamina_axes(query.ndim - 1)
        if (seen := near(use_causal_mask, None, query.shape[1:-2], key.shape[1:-2])) is not None:
            attention_mask = seen if attention_mask is None else seen & jnp.asarray(attention_mask, bool)
        scaled = query * jnp.asarray(1 / math.sqrt(query.shape[-1]), query.dtype)
        if value_of(self, "flash_attention") and query.ndim == 4:
            return flash(self.name, scaled, key, value, attention_mask), None
        q, k, v = (_steps_last(x, axes) for x in (scaled, key, value))  # (batch, ..., heads, n, size)
        if not (return_attention_scores or self.dropout or query.ndim != 4):
            return _steps_back(attend(q, k, v, attention_mask), query.shape, axes), None
        shares = weights(q, k, attention_mask, zeros=True)  # (batch, ..., heads, n, m)
        y = combined(self._dropout_layer(shares, training=training), v)
        steps = [x.shape[axis] for x in (query, key) for axis in axes]
        return _steps_back(y, query.shape, axes), shares.reshape((*shares.shape[:-2], *steps))


def _projection(
    layer: ManyHeads, name: str, shape: Shape, within: int, out: Sequence[int | None], activation: str | None = None
) -> EinsumDense:
    """A dense layer from the last `within` axes of an input of this shape to axes of these sizes."""
    free, last = ascii_letters[: len(shape) - within], ascii_letters[len(shape) - within : len(shape)]
    made = ascii_letters[len(shape) : len(shape) + len(out)]
    told = {
        f"{part}_{what}": value_of(layer, f"{part}_{what}")
        for part in ("kernel", "bias")
        for what in ("initializer", "regularizer", "constraint")
    }
    dense = EinsumDense(
        f"{free}{last},{last}{made}->{free}{made}",
        (*[None] * (len(free) - 1), *out),
        activation,
        bias_axes=made if layer.use_bias else None,
        activity_regularizer=value_of(layer, "activity_regularizer"),
        dtype=layer.dtype_policy,
        name=name,
        **told,
    )
    dense.build(shape)
    vars(dense)["supports_masking"] = True  # the attention layer reads the masks of its inputs, so no mask is lost
    return dense


def _check(layer: ManyHeads, query: Shape, value: Shape, key: Shape) -> None:
    """Refuse inputs whose shapes do not fit together."""
    if len(query) < 3 or not len(query) == len(value) == len(key):
        raise ShapeError(f"expects inputs of (batch, steps, size), got {query}, {value} and {key}")
    rows = [shape[0] for shape in (query, value, key)]
    if all(isinstance(n, int) for n in rows) and len({*rows} - {1}) > 1:
        raise ShapeError(f"expects as many rows in each input, got {query}, {value} and {key}")
    axes = layer._lamina_axes(len(query))
    for axis, (n, m, k) in enumerate(zip(query[1:-1], value[1:-1], key[1:-1], strict=True), 1):
        if m != k:
            raise ShapeError(f"expects a key for each value, got values of {tuple(value)} and keys of {tuple(key)}")
        if axis not in axes and n != m:
            raise ShapeError(f"expects query and values of one size on axis {axis}, got {tuple(query)}, {tuple(value)}")


def _steps_last(x: Array, axes: tuple[int, ...]) -> Array:
    """(batch, *steps, heads, size) -> (batch, heads, steps, size), with one axis for all steps."""
    others = [axis for axis in range(x.ndim - 1) if axis not in axes]
    turned = x.transpose([*others, *axes, x.ndim - 1])
    return turned.reshape((*turned.shape[: len(others)], math.prod(x.shape[axis] for axis in axes), x.shape[-1]))


def _steps_back(y: Array, shape: Any, axes: tuple[int, ...]) -> Array:
    """(batch, heads, steps, size) -> (batch, *steps, heads, size), with the steps of the query's shape."""
    others = [axis for axis in range(len(shape) - 1) if axis not in axes]
    y = y.reshape((*y.shape[: len(others)], *[shape[axis] for axis in axes], y.shape[-1]))
    order = [*others, *axes, len(shape) - 1]
    return y.transpose([order.index(axis) for axis in range(len(order))])


def _sizes(value: object) -> tuple[int, ...]:
    return tuple(positive(size) for size in value) if isinstance(value, (tuple, list)) else (positive(value),)


def _axes(value: object) -> tuple[int, ...]:
    axes = value if isinstance(value, (tuple, list)) else (value,)
    if not axes:
        raise ArgumentError("expected an axis, or several, got none.")
    return tuple(integer(axis) for axis in axes)


class MultiHeadAttention(ManyHeads):
    """Multi-head attention: (batch, n, size) queries read from (batch, m, size) values.

    >>> x = jnp.ones((2, 5, 8))
    >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x).shape
    (2, 5, 8)

    Args:
        num_heads: how many heads there are.
        key_dim: the size of a head's queries and keys.
        value_dim: the size of a head's values. The default is `key_dim`.
        output_shape: the sizes that replace the query's last size in the output; None keeps that size.
        attention_axes: the axes that are attended over, counted with the batch axis as 0; None for all axes between
            the batch axis and the last one.

    Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
    """

    num_heads: int = setting(positive)
    key_dim: int = setting(positive)
    value_dim: int | None = setting(optional(positive), default=None)
    dropout: float = setting(rate, default=0.0)
    use_bias: bool = setting(flag, default=True)
    _lamina_sizes_made: Converted[int | Sequence[int] | None, tuple[int, ...] | None] = setting(
        optional(_sizes), default=None, alias="output_shape"
    )
    attention_axes: Converted[int | Sequence[int] | None, tuple[int, ...] | None] = setting(
        optional(_axes), default=None
    )
    sliding_window: int | None = setting(optional(positive), default=None)
    _lamina_flash_attention: bool | None = setting(
        optional(flag), default=None, alias="flash_attention", in_config=False
    )
    kernel_initializer: InitializerSetting = setting(initializers.get, default="glorot_uniform")
    bias_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    kernel_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    _lamina_of_projections: RegularizerSetting = setting(
        regularizers.get, default=None, alias="activity_regularizer", state="activity_regularizer"
    )
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)
    use_gate: bool = setting(flag, default=False)
    seed: int | None = setting(seed_value, default=None)

    _lamina_prefix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.value_dim = self.value_dim or self.key_dim

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        super().build(query_shape, value_shape, key_shape)
        self.attention_axes = self._lamina_axes(len(query_shape))

    def _lamina_sizes(self) -> tuple[int, int, int, int]:
        assert self.value_dim is not None
        return self.num_heads, self.num_heads, self.key_dim, self.value_dim

    def _lamina_output(self, query_shape: Shape) -> Shape:
        return value_of(self, "output_shape") or query_shape[-1:]

    def _lamina_axes(self, ndim: int) -> tuple[int, ...]:
        if self.attention_axes is None:
            return tuple(range(1, ndim - 1))
        axes = tuple(axis + ndim if axis < 0 else axis for axis in self.attention_axes)
        if len(set(axes)) < len(axes) or not all(0 < axis < ndim - 1 for axis in axes):
            raise ShapeError(
                f"has attention_axes={self.attention_axes}, and expects axes from 1 to {ndim - 2}, each once, for an "
                f"input of {ndim} dimensions"
            )
        return axes


class GroupQueryAttention(ManyHeads):
    """Attention in which several heads of the query share one head of the keys and values.

    >>> x = jnp.ones((2, 5, 8))
    >>> GroupQueryAttention(head_dim=4, num_query_heads=6, num_key_value_heads=2)(x, x).shape
    (2, 5, 8)

    Args:
        head_dim: the size of a head's queries, keys and values.
        num_query_heads: how many heads the query has.
        num_key_value_heads: how many heads the keys and values have, a divisor of `num_query_heads`. 1 is
            multi-query attention; `num_query_heads` is the same as `MultiHeadAttention`.

    Source: Ainslie et al., 2023, https://arxiv.org/abs/2305.13245
    """

    head_dim: int = setting(positive)
    num_query_heads: int = setting(positive)
    num_key_value_heads: int = setting(positive)
    dropout: float = setting(rate, default=0.0)
    use_bias: bool = setting(flag, default=True)
    sliding_window: int | None = setting(optional(positive), default=None)
    _lamina_flash_attention: bool | None = setting(
        optional(flag), default=None, alias="flash_attention", in_config=False
    )
    kernel_initializer: InitializerSetting = setting(initializers.get, default="glorot_uniform")
    bias_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    kernel_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    _lamina_activity: RegularizerSetting = setting(regularizers.get, default=None, alias="activity_regularizer")
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)
    use_gate: bool = setting(flag, default=False)
    seed: int | None = setting(seed_value, default=None)

    _lamina_prefix: ClassVar[str] = "_"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_query_heads % self.num_key_value_heads:
            raise ArgumentError(
                f"GroupQueryAttention(num_query_heads={self.num_query_heads}, num_key_value_heads="
                f"{self.num_key_value_heads}): the first must be a multiple of the second."
            )
        if not self._lamina.named:
            self.name = "grouped_query_attention"  # Keras's class is named GroupedQueryAttention

    def _lamina_sizes(self) -> tuple[int, int, int, int]:
        return self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim
