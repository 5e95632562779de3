"""Connectionist temporal classification: labels for a sequence whose positions in the sequence are unknown."""

from __future__ import annotations

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._kernels.ctc import label_loss
from lamina._messages.tracebacks import user_facing
from lamina.losses.loss import floating, registry, unfit
from lamina.losses.regression import Regression


@user_facing
def ctc(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `CTC`: labels (batch, length) and logits (batch, time, classes) -> (batch,)."""
    y, p = jnp.asarray(y_true).astype("int32"), floating(y_pred)
    if y.ndim != 2 or p.ndim != 3 or len(y) != len(p):
        raise unfit(y, p, "CTC takes labels (batch, length), filled up with 0, and logits (batch, time, classes).")
    return label_loss(y, p, jnp.sum(y != 0, axis=-1), None)


@registry.add()
class CTC(Regression, of=ctc):
    """`-log` of the probability of the labels (batch, length), in order, given the outputs (batch, time, classes).

    >>> round(float(CTC()([[1, 2]], jnp.zeros((1, 4, 3)))), 4)
    1.6864

    Class 0 is the blank, which also pads the labels. A label may be repeated over several time steps, and a blank
    separates two equal labels. The outputs are logits: end the stack without an activation.
    Source: Graves et al., Connectionist Temporal Classification, 2006.
    """
