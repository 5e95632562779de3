"""The checks of a run: whether the model learned anything, overfits, or has unsettled moving statistics.

The loss of the best constant output has a formula: `var(y)` for the squared error, with the mean as output;
`mean(abs(y - median))` for the absolute error, with the median; and `-sum(p log(p))` for the crossentropy, with the
shares p of the classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from lamina import losses
from lamina._arrays.arrays import Array, HostArray, as_array
from lamina._checks.rows import holds_own_code
from lamina._diagnosis.case import Case
from lamina._diagnosis.findings import ROWS, Finding
from lamina._layer.layer import Layer
from lamina._layer.passes import Pass
from lamina.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
)
from lamina.layers.normalizations.batch import BatchNormalization

STEPS = 100
"""The number of steps after which a model should have learned something."""
PASS = 1024
"""The most rows for which these checks call the layers."""


def constant_loss(case: Case) -> float | None:
    """The loss of the best constant output; None if there is no formula for this loss."""
    loss, y = case.loss, case.y
    changed = getattr(loss, "label_smoothing", 0.0) or getattr(loss, "ignore_class", None) is not None
    if y is None or case.weighted or changed:
        return None
    if isinstance(loss, losses.BinaryCrossentropy):
        if y.min() < 0 or y.max() > 1:
            return None
        share = y.reshape(len(y), -1).mean(0, dtype=np.float64)
        return float(np.mean(_entropy(share) + _entropy(1 - share)))
    if case.classes is not None and isinstance(
        loss, (losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy, losses.Crossentropy)
    ):
        return float(_entropy(np.bincount(case.classes) / len(case.classes)).sum())
    if isinstance(loss, losses.MeanSquaredError):
        return float(y.var(0, dtype=np.float64).mean())
    if isinstance(loss, losses.MeanAbsoluteError):
        return float(np.abs(y - np.median(y, axis=0)).mean(dtype=np.float64))
    return None


def _entropy(share: HostArray) -> HostArray:
    return -share * np.log(np.where(share > 0, share, 1))


def outputs(layers: Sequence[Layer], x: HostArray, by_batch: bool = False) -> Iterator[Array]:
    """The output of each layer in inference, for a few rows.

    Args:
        by_batch: let batch normalization use the statistics of these rows, not its moving ones.
    """
    y = as_array(x)
    for layer in layers:
        with Pass({}):  # in a pass, these calls leave no trace in the layers
            if by_batch and isinstance(layer, BatchNormalization):
                y = _by_batch(layer, y)
            else:  # a layer that begins on the host: only its part in the program is called
                y = Layer.__call__(layer, y, training=False) if layer._lamina_on_host else layer(y, training=False)
        yield y


def _by_batch(layer: BatchNormalization, x: Array) -> Array:
    over = tuple(axis for axis in range(x.ndim) if axis != layer.axis % x.ndim)
    shape = [1 if axis in over else -1 for axis in range(x.ndim)]
    y = (x - x.mean(over, keepdims=True)) / jnp.sqrt(x.var(over, keepdims=True) + layer.epsilon)
    y = y * jnp.reshape(layer.gamma, shape) if layer.scale else y
    return y + jnp.reshape(layer.beta, shape) if layer.center else y


def measured(case: Case, by_batch: bool = False) -> float:
    """The loss of the stack on a few rows, without penalties."""
    *_, y = outputs(case.layers, case.x, by_batch)
    assert case.loss is not None
    return float(case.loss(as_array(case.y), y))


def few_rows(case: Case) -> Case | None:
    """At most `PASS` rows at equal distances; None if user code forbids calls of the layers outside of training."""
    if case.loss is None or case.y is None or len(case.x) < ROWS or any(map(holds_own_code, case.layers)):
        return None
    return case.every(-(-len(case.x) // PASS))


def nothing_learned(case: Case, loss: float, rate: float | None, steps: int) -> Iterator[Finding]:
    """Find that the loss is still that of a constant output, after the first epoch that ends after step 100.

    Args:
        loss: the loss of the epoch. Only if it is high are the layers called.
        rate: the learning rate.
    """
    constant = constant_loss(case)
    if not constant or loss < 0.99 * constant or (few := few_rows(case)) is None:
        return
    now = measured(few)
    constant = constant_loss(few) or 0.0
    if now < 0.995 * constant:
        return
    dead = [
        float((jnp.max(y.reshape(-1, y.shape[-1]), axis=0) <= 0).mean())
        for layer, y in zip(few.layers, outputs(few.layers, few.x), strict=True)
        if getattr(getattr(layer, "activation", None), "__name__", "") == "relu"
    ]
    relus = f" {max(dead):.0%} of a layer's relus give 0 for every row." if dead and max(dead) > 0.2 else ""
    learning = "" if rate is None else f" The learning rate is {rate:.4g}."
    yield Finding(
        "nothing learned", "loss",
        f"after {steps} steps the loss, {now:.4g}, is that of a constant output, {constant:.4g}.{learning}{relus}",
        "Scale the columns with layers.BatchNormalization() first, and try another learning rate: "
        f"compile(optimizers.Adam({_other(rate)}), ...).",
    )  # fmt: skip


def _other(rate: float | None) -> str:
    return "1e-3" if rate is None or not 3e-4 <= rate <= 3e-3 else "1e-4"


REACTING = EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, SwapEMAWeights


def overfitting(history: Mapping[str, Sequence[float]], callbacks: Sequence[Callback]) -> Iterator[Finding]:
    """Find that val_loss was above its best value in the last three epochs, and that no callback reacts to it."""
    losses = np.asarray(history.get("val_loss", ()), float)
    reacting = any(isinstance(each, REACTING) or _keeps_best(each) for each in callbacks)
    if len(losses) < 6 or reacting or not np.isfinite(losses).all():
        return
    best = int(losses.argmin())
    if 0 < losses[best] < losses[-3:].min() / 1.05 and len(losses) - 1 - best >= 5:
        yield Finding(
            "overfitting", "val_loss",
            f"val_loss was best in epoch {best + 1}, {losses[best]:.4g}, and is {losses[-1]:.4g} at the end.",
            "Keep the best epoch: callbacks=[EarlyStopping(patience=5, restore_best_weights=True)].",
        )  # fmt: skip


def _keeps_best(callback: Callback) -> bool:
    return isinstance(callback, ModelCheckpoint) and callback.save_best_only


def not_settled(case: Case, steps: int) -> Iterator[Finding]:
    """Find that the moving statistics of batch normalization are far from those of the data after a short training."""
    moving = [layer for layer in case.layers if isinstance(layer, BatchNormalization) and layer.trainable]
    if not moving or any(layer.renorm for layer in moving):
        return
    if max(layer.momentum for layer in moving) ** steps < 0.05 or (few := few_rows(case)) is None:
        return
    moved, by_batch = measured(few), measured(few, by_batch=True)
    if moved > 1.5 * by_batch > 0:
        yield Finding(
            "batch normalization", moving[0].name,
            f"after {steps} steps the moving statistics of {moving[0].name!r} have not settled: with them the loss is "
            f"{moved:.4g}, and with the batch's own {by_batch:.4g}.",
            "Train for longer, or make them follow faster: layers.BatchNormalization(momentum=0.9).",
        )  # fmt: skip
