"""A table of vectors, one for each index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import constraints, initializers, regularizers
from lamina._base.arguments import Config, ConstraintSetting, InitializerSetting, RegularizerSetting
from lamina._base.converters import flag, positive
from lamina._base.frames import warn
from lamina._base.settings import setting
from lamina._base.shapes import Shape
from lamina._base.weight import Array
from lamina._checks import indices
from lamina._layer.layer import Layer, weight_from_settings


class Embedding(Layer):
    """Maps whole numbers from 0 to input_dim - 1, (batch, ...), to rows of a table: (batch, ..., output_dim).

    >>> Embedding(10, 4)(jnp.array([[1, 2, 3]])).shape
    (1, 3, 4)

    Args:
        input_dim: the number of rows of the table, one more than the greatest index.
        output_dim: the length of each row.
        embeddings_initializer: the start values of the table, (input_dim, output_dim).
        embeddings_regularizer: a penalty on the table, added to the loss.
        embeddings_constraint: applied to the table after each step of training.
        mask_zero: whether index 0 is padding, which later layers, the loss and the metrics skip.
        weights: start values of the table in place of those of the initializer, alone or in a list.
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
    _lamina_takes_integers: ClassVar[bool] = True

    @property
    def _lamina_indices_below(self) -> int:
        """One more than the greatest index."""
        return self.input_dim

    def __post_init__(self) -> None:
        length = vars(self._lamina).pop("input_length", None)  # which means a shape with other layers
        super().__post_init__()
        if length is not None:
            warn(f"Embedding(input_length={length!r}) changes nothing: leave it out, or write Input(({length!r},)).")
        self.autocast = False  # 16 bits do not tell large indices apart
        start = vars(self._lamina).pop("start_weights", None)
        if start is not None:
            self.build(())
            self.set_weights(start if isinstance(start, list) else [start])

    def build(self, input_shape: Shape | None = None) -> None:
        self.embeddings = weight_from_settings(self, "embeddings", (self.input_dim, self.output_dim))

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
