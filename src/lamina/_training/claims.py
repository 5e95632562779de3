"""Reserves a model and its weights for the thread that trains it; another thread that trains them gets an error."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from lamina._arrays.nested import leaves
from lamina._layer.structure import weights_by_path
from lamina._training.model import Model
from lamina._training.own_steps import optimizers_of
from lamina._weights.turns import trained
from lamina._weights.weight import Weight
from lamina.errors import BusyError
from lamina.optimizers import Optimizer


def states_of(optimizers: Collection[Optimizer]) -> list[Any]:
    """Return the states of optimizers and of their inner optimizers."""
    return [each._lamina for one in optimizers for each in (one, getattr(one, "inner_optimizer", one))]


def claims_of(model: Model) -> list[Any]:
    """Return all existing objects that training changes."""
    return [
        model._lamina, *(weight for weight, _ in weights_by_path(model).values()), *states_of(optimizers_of(model))
    ]  # fmt: skip


@contextmanager
def training(model: Model, claims: Collection[Any]) -> Iterator[None]:
    """Reserve a model for training in this thread. Arrays that another thread may still read are copied."""
    with trained(claims, lambda taken: _refusal(model, taken)) as moved:
        for each in moved:
            if isinstance(each, Weight):
                each.shown = True
            elif each is not model._lamina:
                for _, variable in leaves(each.variables):
                    variable.shown = True  # type: ignore[attr-defined]
        yield


def _refusal(model: Model, taken: Any) -> BusyError:
    if isinstance(taken, Weight) and not model._lamina.busy:
        return BusyError(
            f"another thread trains a model that holds {taken.path!r}, a weight of {model.name!r} as well: a layer of "
            "two models is trained by one of them at a time. Let the first fit end, or give each model a layer of its "
            "own: copy.deepcopy(layer)."
        )
    return BusyError(
        f"another thread trains {model.name!r} at this moment, and only one can. Let its fit end, or train a copy "
        "made before, copy.deepcopy(model). Predict, evaluate and save work meanwhile."
    )
