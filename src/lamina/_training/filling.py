"""Whether a batch may get rows that do not count, so that a short last batch needs no program of its own."""

from __future__ import annotations

from lamina._checks.rows import stay_apart
from lamina._layer.structure import parts
from lamina._training.compilation import Compiled
from lamina._training.model import Model
from lamina.losses.loss import Loss


def takes_more_rows(model: Model, compiled: Compiled, training: bool) -> bool:
    """Whether rows that are added to a batch, and do not count themselves, change nothing for the others."""
    measures = [metric for metric, _ in compiled.metrics or ()]
    # With weights, which leave the added rows out, a metric that ignores a class counts otherwise than without.
    ignores = any(getattr(metric, "ignore_class", None) is not None for metric in measures)
    across = any(_looks_across_rows(getattr(each, "_fn", each)) for each in (compiled.loss, *measures))
    # A loss with a `__call__` of its own need not know what a mask is, and of unreduced values all count for the mean.
    loss = compiled.loss
    whole = loss is not None and (type(loss).__call__ is not Loss.__call__ or loss.reduction in (None, "none"))
    # Of one number a row a loss makes one for the batch.
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
    """Whether a loss or a metric has values that several rows make together."""
    return getattr(measure, "_lamina_mixes_rows", False) or getattr(measure, "axis", -1) != -1
