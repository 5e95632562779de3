"""The circle loss, which moves samples of one class closer together and samples of different classes apart."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import flag, number
from lamina._settings.settings import setting
from lamina.losses.loss import DType, Formula, Reduction, floating, precision, reduction_word, registry, unfit

NONE = -1e9
"""A very small logarithm, without effect on a sum. Minus infinity would give NaN gradients in rows without a pair."""


@user_facing
def circle(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    ref_labels: ArrayLike | None = None,
    ref_embeddings: ArrayLike | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Array:
    """The values of `Circle`: class numbers (batch,) and vectors of length 1, (batch, n) -> (batch,).

    Args:
        ref_labels, ref_embeddings: the samples that each row is compared with. The default is the batch itself.
    """
    y, p = jnp.asarray(y_true).astype("int32"), floating(y_pred)
    if p.ndim != 2 or y.size != len(p):
        raise unfit(y, p, "The circle loss takes one class number for each vector: (batch,) and (batch, n).")
    others = p if ref_embeddings is None else floating(ref_embeddings)
    labels = y if ref_labels is None else jnp.asarray(ref_labels).astype("int32")
    alike = y.reshape(-1, 1) == labels.reshape(1, -1)
    unlike = ~alike
    if remove_diagonal:
        alike &= ~jnp.eye(len(p), len(others), dtype=bool)
    distance = jnp.maximum(1.0 - p @ others.T, 0.0)
    near = gamma * jnp.maximum(margin + distance, 0.0) * (distance - margin)
    far = gamma * jnp.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    logs = (jax.nn.logsumexp(jnp.where(mask, x, NONE), axis=1) for mask, x in ((alike, near), (unlike, far)))
    return jax.nn.softplus(sum(logs, jnp.zeros((), p.dtype)))


@registry.add()
class Circle(Formula, of=circle):
    """Moves vectors of one class together and others apart: class numbers (batch,), unit vectors (batch, n).

    >>> round(float(Circle()([0, 0, 1], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])), 2)
    19.2

    A row whose loss is 0 does not count in the mean. End the stack with `UnitNormalization()`. Source: Sun et al.,
    Circle Loss: A Unified Perspective of Pair Similarity Optimization, 2020.

    Args:
        gamma: the scale; a larger gamma gives more weight to the pairs with the largest errors.
        margin: how close pairs of one class, and how far other pairs, must be.
        remove_diagonal: whether the comparison of each sample with itself is left out.
    """

    gamma: float = setting(number, default=80.0)
    margin: float = setting(number, default=0.4)
    remove_diagonal: bool = setting(flag, default=True)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")

    _lamina_mixes_rows: ClassVar[bool] = True

    def _lamina_counted(self, y_true: Array, values: Array) -> Array | None:
        return values > 0
