"""Embedding layers: a table with one vector for each index, also used to map vectors back to indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._checks import indices
from lamina._layer.layer import Layer, weight_from_settings
from lamina._layer.masks import with_mask
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.arguments import (
    Config,
    ConstraintSetting,
    InitializerSetting,
    RegularizerSetting,
)
from lamina._settings.converters import above_zero, flag, optional, positive
from lamina._settings.settings import setting
from lamina.dtypes import standardize_dtype
from lamina.layers.low_rank import LowRank, adapt


class Embedding(LowRank):
    """Maps whole numbers from 0 to input_dim - 1, (batch, ...), to rows of a table: (batch, ..., output_dim).

    >>> Embedding(10, 4)(jnp.array([[1, 2, 3]])).shape
    (1, 3, 4)

    Args:
        input_dim: the number of rows of the table, one more than the greatest index.
        output_dim: the length of each row.
        embeddings_initializer: the initial values of the table, (input_dim, output_dim).
        embeddings_regularizer: a penalty on the table, added to the loss.
        embeddings_constraint: applied to the table after each step of training.
        mask_zero: whether index 0 is padding, which later layers, the loss and the metrics skip.
        weights: initial values of the table, alone or in a list. They replace those of the initializer.
        lora_rank, lora_alpha: the rank and the weight of a low-rank adaptation, see `enable_lora`.
    """

    input_dim: int = setting(positive)
    output_dim: int = setting(positive)
    embeddings_initializer: InitializerSetting = setting(initializers.get, default="uniform")
    embeddings_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    embeddings_constraint: ConstraintSetting = setting(constraints.get, default=None)
    mask_zero: bool = setting(flag, default=False)
    _lamina_start_weights: ArrayLike | Sequence[ArrayLike] | None = setting(
        default=None, alias="weights", in_config=False
    )

    _lamina_constants: ClassVar[Config] = {"quantization_config": None}
    _lamina_large: ClassVar[str] = "embeddings"
    _lamina_takes_integers: ClassVar[bool] = True

    @property
    def _lamina_indices_below(self) -> int:
        """One more than the greatest index."""
        return self.input_dim

    def __post_init__(self) -> None:
        length = vars(self._lamina).pop("input_length", None)  # for other layers, this argument means a shape
        super().__post_init__()
        if length is not None:
            warn(f"Embedding(input_length={length!r}) changes nothing: leave it out, or write Input(({length!r},)).")
        vars(self)["supports_masking"] = self.mask_zero
        self.autocast = False  # 16-bit floats cannot represent large indices exactly
        start = vars(self._lamina).pop("start_weights", None)
        if start is not None:
            self.build(())
            self.set_weights(start if isinstance(start, list) else [start])

    def build(self, input_shape: Shape | None = None) -> None:
        self.embeddings = weight_from_settings(self, "embeddings", (self.input_dim, self.output_dim))
        if self.lora_rank:
            adapt(self, self.lora_rank, self.lora_alpha)

    def call(self, x: Array) -> Array:  # (batch, ...)
        if not isinstance(x, jax.core.Tracer):
            indices.check(x, self)
        rows = x if jnp.issubdtype(x.dtype, jnp.integer) else x.astype(jnp.int32)
        return jnp.asarray(self.embeddings).at[rows].get(mode="fill", fill_value=jnp.nan).astype(self.compute_dtype)

    def compute_mask(self, x: Array, mask: Array | None = None) -> Array | None:
        return x != 0 if self.mask_zero else None

    def _lamina_arguments(self) -> Config:
        told = {name: value for name, value in super()._lamina_arguments().items() if name != "autocast"}
        return {"input_dim": self.input_dim, "activity_regularizer": self.activity_regularizer} | told


class _Tied(Layer):
    input_dim: int = setting(positive)
    output_dim: int = setting(positive)
    tie_weights: bool = setting(flag, default=True)


class ReversibleEmbedding(Embedding, _Tied):
    """An Embedding whose table also maps vectors back: `layer(x, reverse=True)` gives a number for each index.

    In reverse, (batch, ..., output_dim) becomes (batch, ..., input_dim): the product with the transposed table.

    >>> layer = ReversibleEmbedding(10, 4)
    >>> vectors = layer(jnp.array([[1, 2, 3]]))  # (1, 3, 4)
    >>> layer(vectors, reverse=True).shape
    (1, 3, 10)

    Args:
        input_dim: the number of rows of the table, one more than the greatest index.
        output_dim: the length of each row.
        tie_weights: whether the reverse call uses the same table. With False it has a separate matrix,
            (output_dim, input_dim).
        embeddings_initializer: the initial values of the table, (input_dim, output_dim), and of that matrix.
        embeddings_regularizer: a penalty on the table, added to the loss.
        embeddings_constraint: applied to the table after each step of training.
        mask_zero: whether index 0 is padding, which later layers, the loss and the metrics skip.
        reverse_dtype: the dtype of the computation in reverse. The default is the dtype of the weights.
        logit_soft_cap: a number c: the reverse output y becomes `c * tanh(y / c)`. None leaves y unchanged.
    """

    reverse_dtype: str | None = setting(optional(standardize_dtype), default=None)
    logit_soft_cap: float | None = setting(optional(above_zero), default=None)
    _lamina_start_weights: ArrayLike | Sequence[ArrayLike] | None = setting(
        default=None, kw_only=True, alias="weights", in_config=False
    )

    def build(self, input_shape: Shape | None = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            shape = (self.output_dim, self.input_dim)
            self.reverse_embeddings = self.add_weight(shape, self.embeddings_initializer)

    def call(self, x: Array, reverse: bool = False) -> Array:
        if not reverse:
            rows = super().call(x)  # (batch, ..., output_dim)
            with_mask(rows, super().compute_mask(x))
            return rows
        table = jnp.asarray(self.embeddings).T if self.tie_weights else jnp.asarray(self.reverse_embeddings)
        back = table.astype(self.compute_dtype)
        if self.reverse_dtype is not None:
            x, back = x.astype(self.reverse_dtype), back.astype(self.reverse_dtype)
        y = jnp.matmul(x, back)  # (batch, ..., input_dim)
        return y if self.logit_soft_cap is None else jnp.tanh(y / self.logit_soft_cap) * self.logit_soft_cap

    def compute_mask(self, x: Array, mask: Array | None = None) -> None:
        """None, since `call` sets the mask of the output itself."""
        return None

    @user_facing
    def compute_output_shape(self, input_shape: Shape, reverse: bool = False) -> Shape:
        """The shape of the output for the shape of an input: of indices, or in reverse of vectors."""
        shape = tuple(input_shape)
        return (*shape[:-1], self.input_dim) if reverse else (*shape, self.output_dim)
