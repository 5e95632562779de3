"""Turns the `loss` argument of `compile`, in any form, into an object."""

from __future__ import annotations

from lamina._arrays.shapes import Shape
from lamina._settings.origin import of_library
from lamina._settings.settings import Configured
from lamina.errors import ArgumentError
from lamina.losses.crossentropies import Crossentropy, fitting
from lamina.losses.loss import Loss, LossFunction, function, registry


def loss_of(identifier: object, *, y_shape: Shape | None = None, output_shape: Shape | None = None) -> Loss | None:
    """The loss for a name, a class, a config, a function or an object; None gives None.

    Args:
        y_shape, output_shape: the shapes with the batch axis; they choose the loss for the name "crossentropy".
    """
    found = registry.get(identifier)
    if isinstance(found, Crossentropy) and y_shape is not None and output_shape is not None:
        return fitting(found, y_shape, output_shape)
    if found is None or isinstance(found, Loss):
        return found
    if isinstance(found, Configured):
        raise ArgumentError(f"expected a loss, got {found!r}.")
    own = registry.built_in(found.__name__) if of_library(found, "lamina") else None
    return LossFunction(function(found)) if own is None else own()
