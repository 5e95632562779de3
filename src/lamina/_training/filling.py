"""Checks whether a short last batch may be filled with rows of weight 0, so that it needs no separate program."""

from __future__ import annotations

from lamina._checks.rows import stay_apart
from lamina._layer.structure import parts
from lamina._training.compilation import Compiled
from lamina._training.model import Model
from lamina.losses.loss import Loss


def takes_more_rows(model: Model, compiled: Compiled, training: bool) -> bool:
    """Whether rows that are added with weight 0 leave the results of the other rows unchanged."""
    measures = [metric for metric, _ in compiled.metrics or ()]
    # Weights mark the added rows, and a metric that ignores a class counts differently when it gets weights.
    ignores = any(getattr(metric, "ignore_class", None) is not None for metric in measures)
    across = any(_looks_across_rows(getattr(each, "_fn", each)) for each in (compiled.loss, *measures))
    # A loss with its own `__call__` may ignore masks, and all unreduced values count in the mean.
    loss = compiled.loss
    whole = loss is not None and (type(loss).__call__ is not Loss.__call__ or loss.reduction in (None, "none"))
    # If the output has shape (batch,), the loss is a mean over the rows: none can be left out.
    lone = model._lamina.shapes is not None and len(model._lamina.shapes[1]) < 2
    if ignores or across or whole or lone or not stay_apart(model):
        return False
    return not any(
        layer.activity_regularizer is not None
        or any(weight.carried for weight in layer._lamina.weights)
        or (training and getattr(layer, "_lamina_mixes_rows", False))
        for layer in (part.layer for part in parts(model))
    )


def _looks_across_rows(measure: object) -> bool:
    """Whether a loss or a metric computes values from several rows together."""
    return getattr(measure, "_lamina_mixes_rows", False) or getattr(measure, "axis", -1) != -1
