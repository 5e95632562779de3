"""Connectionist temporal classification: labels for a sequence, without saying where in it each of them lies."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from numpy.typing import ArrayLike

from lamina._base.frames import user_facing
from lamina._base.weight import Array
from lamina.losses.loss import floating, registry, unfit
from lamina.losses.regression import Regression

NEVER = -1e5
"""The logarithm of the probability of what cannot be; finite, so that its gradient is a number."""


@user_facing
def ctc(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `CTC`: labels (batch, length) and logits (batch, time, classes) -> (batch,)."""
    y, p = jnp.asarray(y_true).astype("int32"), floating(y_pred)
    if y.ndim != 2 or p.ndim != 3 or len(y) != len(p):
        raise unfit(y, p, "CTC takes labels (batch, length), filled up with 0, and logits (batch, time, classes).")
    chances = jax.nn.log_softmax(p.astype(jnp.promote_types(p.dtype, "float32")))  # (batch, time, classes)
    # Between the labels, before and after them stands the class 0, "nothing": 0 a 0 b 0.
    states = jnp.zeros((len(y), 2 * y.shape[1] + 1), "int32").at[:, 1::2].set(y)  # (batch, states)
    said = jnp.take_along_axis(chances, states[:, None], axis=-1)  # (batch, time, states)
    before = jnp.pad(states, ((0, 0), (2, 0)))[:, :-2]
    skips = jnp.where(
        (states != 0) & (states != before), 0.0, NEVER
    )  # from a label to the next one, unless it is equal
    start = jnp.where(jnp.arange(states.shape[1]) < 2, said[:, 0], NEVER)

    def step(ways: Array, now: Array) -> tuple[Array, None]:
        one, two = (jnp.pad(ways, ((0, 0), (n, 0)), constant_values=NEVER)[:, :-n] for n in (1, 2))
        return jnp.logaddexp(jnp.logaddexp(ways, one), two + skips) + now, None

    ways, _ = lax.scan(step, start, said[:, 1:].swapaxes(0, 1))
    last = 2 * jnp.sum(y != 0, axis=-1, keepdims=True)  # the state after the last label
    ends = jnp.take_along_axis(ways, jnp.concatenate([last, jnp.maximum(last - 1, 0)], axis=1), axis=1)
    return -jnp.where(last[:, 0] > 0, jnp.logaddexp(ends[:, 0], ends[:, 1]), ends[:, 0])


@registry.add()
class CTC(Regression, of=ctc, init=False):
    """`-log` of the probability that the outputs, (batch, time, classes), say the labels, (batch, length), in order.

    >>> round(float(CTC()([[1, 2]], jnp.zeros((1, 4, 3)))), 4)
    1.6864

    Class 0 is "nothing"; the labels are filled up with it. An output says its label once or several times in a row,
    and two equal labels are said apart by a "nothing". The outputs are logits: the stack ends without an activation.
    Source: Graves et al., Connectionist Temporal Classification, 2006.
    """
