"""The parts of a model in a file that Keras does not save: with them, training continues exactly after loading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from lamina._layer.structure import parts
from lamina._training.model import Model

if TYPE_CHECKING:
    from lamina.optimizers import Optimizer

FORMAT = 1
"""The version of the format of these extras."""


def of(model: Model) -> dict[str, Any]:
    """Return the extras of a model: the seeds of its layers by path, the number of steps, the names of the columns of
    the training data, and the positions of the optimizer's weights in the list of all weights."""
    places = {weight.path: place for place, weight in enumerate(model.weights)}
    known = _inner(model.optimizer)._lamina.paths if model.compiled else ()
    return {
        "format": FORMAT,
        "steps": model._lamina.steps_trained,
        "columns": model._lamina.columns,
        "classes": model._lamina.classes,
        "seeds": {part.path: part.layer._lamina.seed for part in parts(model) if part.layer._lamina.seed is not None},
        "optimizer": [places[path] for path in known if path in places],
    }


def restore(model: Model, extra: dict[str, Any]) -> None:
    """Set the seeds, the number of steps, the columns and the classes of a model; ignore what does not fit it."""
    steps, seeds, columns = extra.get("steps"), extra.get("seeds", {}), extra.get("columns")
    if _is_count(steps, 2**31):
        model._lamina.steps_trained = steps
    if isinstance(columns, list) and all(isinstance(column, str) for column in columns):
        model._lamina.columns = tuple(columns)
    classes = extra.get("classes")
    if isinstance(classes, list) and classes and all(isinstance(name, (str, bool)) for name in classes):
        model._lamina.classes = tuple(classes)
    if isinstance(seeds, dict):
        for part in parts(model):
            if _is_count(seed := seeds.get(part.path), 2**32):
                part.layer._lamina.seed = seed


def build_optimizer(model: Model, extra: dict[str, Any]) -> None:
    """Make the optimizer's state for the weights of its last steps, which may differ from those trainable now."""
    weights, places = model.weights, extra.get("optimizer")
    if isinstance(places, list) and places and all(_is_count(place, len(weights)) for place in places):
        known = [weights[place] for place in dict.fromkeys(places)]
        if tuple(weight.path for weight in known) != _inner(model.optimizer)._lamina.paths:
            model.optimizer._lamina_arrays = None
            model.optimizer.build(known)


def _inner(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer that has the state; in a LossScaleOptimizer, that is the inner one."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _is_count(value: object, below: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below
