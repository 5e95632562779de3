"""The two halves of a compiled program: the Python objects that it was traced from, and the arrays that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array
from lamina._checks.rows import stay_apart
from lamina._layer.masks import mask_of, with_mask
from lamina._layer.passes import Pass
from lamina._layer.structure import require_adapted, weights_beside, weights_by_path
from lamina._training import own_steps
from lamina._training.compilation import Compiled
from lamina._training.fingerprint import fingerprint
from lamina._training.model import Model
from lamina._training.own_steps import Arrays, Sums
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, NotCompiledError, StackError
from lamina.losses.loss import Loss, same_rank
from lamina.metrics.exact import is_late
from lamina.metrics.metric import updated_state
from lamina.metrics.reduction import summed

Data = dict[str, Array]
"""The arrays of a batch: `x`, and if given `y` and `weight` (the sample weights), with one row for each sample.

If short batches are filled, there is also `counted`, float32: 0 for the rows that only fill a batch, 1 for the others.
"""


class TrainState(NamedTuple):
    """All arrays that a step of training reads and writes.

    A call of a program takes one state and returns the next. A state lives from one call to the next. It holds arrays
    instead of Python numbers, because each new Python number would compile another program.
    """

    params: Arrays
    state: Arrays
    optimizers: list[Any]
    """For each optimizer, the list of its arrays."""
    metrics: Sums
    """For each metric, the list of its variables. The first metric is the mean of the loss."""
    key: Any
    """The model's seed, (2,) uint32."""
    step: Array | np.int32
    """The number of steps that the model was trained, over all calls of `fit`; () int32."""
    bad: Array | np.int32
    """The first step of this call at which the loss was not finite, or -1; () int32."""
    goes_on: Any
    """Whether training continues after such a step; () bool. If not, the call ends there."""


class ProgramSpec:
    """The parts of a program that are not arrays: the layers, the loss, the optimizer, the metrics.

    It refers to the objects of one model and holds no arrays of a step. It lives as long as the trainer,
    predictor or export that made it, or a program compiled from it.
    """

    def __init__(self, model: Model, compiled: Compiled | None = None) -> None:
        require_adapted(model)
        self.model = model
        self.draws = not stay_apart(model)
        """Whether the model has user code, which may draw random numbers in inference too."""
        weights = weights_by_path(model)
        self.trained = {path: weight for path, (weight, trained) in weights.items() if trained}
        self.fixed = {path: weight for path, (weight, trained) in weights.items() if not trained}
        if model._lamina_own_steps:  # a custom step may also train weights beside the stack, such as a critic's
            self.fixed |= weights_beside(model)
        self.paths = {weight: path for path, weight in (self.trained | self.fixed).items()}
        self.carried = [path for path, weight in self.fixed.items() if weight.carried]
        self.loss, self.loss_weight, self.metrics = None, 1.0, []
        self.added: dict[str, tuple[int, int]] = {}
        """For each loss that `predict` returns, the layer that added it; known after the first trace."""
        self.optimizer: Any = None
        self.decay: dict[str, bool] = {}
        if compiled is not None:
            self.loss, self.loss_weight, self.metrics = compiled.loss, compiled.loss_weight, compiled.metrics or []
            self.measures = own_steps.metrics_of(model)
            names = {path: weight.path for path, weight in self.trained.items()}
            self.optimizer = compiled.optimizer._lamina_without_arrays(names)
            self.named = {name: path for path, name in names.items()}
            """For each weight that is trained, its name in the program, by its path."""
            self.waiting = set(compiled.optimizer._lamina_variables["slots"]) - self.named.keys()
            """The paths of weights that were trained before and are frozen now. The program gets no moments of them."""
            self.decay = {
                path: not compiled.optimizer._lamina_excludes(weight.path) for path, weight in self.trained.items()
            }
        self.key = fingerprint(
            [
                model, self.loss, self.loss_weight, self.optimizer, list(self.trained), self.decay,
                [(metric.name, metric, weighted) for metric, weighted in self.metrics],
            ]
        )  # fmt: skip

    def values(self, params: Arrays, state: Arrays) -> dict[Weight, Array]:
        """The array of each weight in a pass."""
        trained = {weight: params[path] for path, weight in self.trained.items()}
        return trained | {weight: state[path] for path, weight in self.fixed.items()}

    def forward(self, now: Pass, params: Arrays, state: Arrays, x: Array) -> tuple[Array, Arrays, Arrays]:
        """Call the model. Returns its output, and the trained and the other weights after the call."""
        now.origins[id(x)] = x, x
        y = now.copy_of(self.model)(x)
        for weight, kept in now.kept.values():
            if weight not in self.paths and kept.array is not kept.first:
                raise StackError(
                    f"call updates {weight.path!r}, which is not a weight of a layer: the new value would be lost. "
                    "Update a metric in train_step, compute_loss or compute_metrics; hold a number in add_weight."
                )
        after = {self.paths[weight]: value for weight, value in now.changed() if weight in self.paths}
        params, state = ({path: after.get(path, value) for path, value in each.items()} for each in (params, state))
        return y, params, state

    def total_loss(self, now: Pass, params: Arrays, batch: Data, y_pred: Array) -> Array:
        """The loss with regularizers and the losses that layers add, as Keras logs it.  -> () float32"""
        regularized = [(path, weight.regularizer) for path, weight in self.trained.items()]
        added = [regularizer(params[path]) for path, regularizer in regularized if regularizer is not None]
        with_mask(y_pred, _mask(batch, y_pred))
        measured = batch.get("y"), y_pred, batch.get("weight")
        total = total_loss(self.loss, self.loss_weight, measured, [*added, *now.losses])
        if total.ndim and now.training:
            name = type(self.loss).__name__
            raise ArgumentError(
                f"training needs one number for a batch, and the loss {name} gives an array of shape {total.shape}.\n"
                f"Leave its reduction at 'sum_over_batch_size': {name}(), without reduction='none'."
            )
        return jnp.mean(total)

    def measured(self, sums: Sums, loss: Array, batch: Data, y_pred: Array) -> Sums:
        """Update the metrics with a batch. The loss of a batch is weighted by its number of rows."""
        rows = batch["counted"].sum() if "counted" in batch else jnp.float32(batch["x"].shape[0])
        (*loss_sums, rest), *others = sums
        after = [summed(loss_sums, rest, [loss * rows, rows])]
        for (metric, weighted), state in zip(self.metrics, others, strict=False):
            mask = _mask(batch, y_pred, metric._lamina_masked)
            weight = counted(batch.get("weight") if weighted else None, mask)
            after.append(updated_state(metric, state, batch["y"], y_pred, weight))
        return after + sums[len(after) :]  # metrics in attributes of the model, which only custom steps update

    def logs(self, sums: Sums) -> Arrays:
        """The mean loss and the results of the metrics so far, by name."""
        (total, count, _), *others = sums
        results = {
            metric.name: metric.stateless_result(state)
            for (metric, _), state in zip(self.metrics, others, strict=False)
            if not is_late(metric)
        }
        return own_steps.logged({"loss": total / jnp.maximum(count, 1), **results})


def total_loss(loss: Loss | None, loss_weight: float, measured: tuple[Any, ...], added: Sequence[Array]) -> Array:
    """The loss of a batch, plus the losses that regularizers and layers added.

    Args:
        measured: the arguments of the loss: y, y_pred and the sample weights.
        added: the other losses.
    """
    terms = [jnp.asarray(loss(*measured)).astype(jnp.float32) * jnp.float32(loss_weight)] if loss is not None else []
    terms += [jnp.asarray(term).astype(jnp.float32).sum() for term in added]
    if not terms:
        raise NotCompiledError("compile got no loss to minimize. Write model.compile('adam', loss='mse').")
    return sum(terms, jnp.zeros((), jnp.float32))


def _mask(batch: Data, y_pred: Array, masked: bool = True) -> Array | None:
    """The mask of the output, which is also False in rows that only fill a short batch; None if every row counts."""
    mask, count = mask_of(y_pred) if masked else None, batch.get("counted")
    if count is None:
        return mask
    rows = count.reshape(-1, *(1,) * max(y_pred.ndim - 2, 0)) > 0
    return rows if mask is None else mask.astype(bool) & rows


def counted(weight: Array | None, mask: Array | None) -> Array | None:
    """Sample weights that are 0 where the mask is False."""
    if mask is None or weight is None:
        return weight if mask is None else mask.astype(jnp.float32)
    return jnp.multiply(*same_rank(weight.reshape(weight.shape + (1,) * (mask.ndim - weight.ndim)), mask))
