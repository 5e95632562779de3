"""The default `train_step`, `test_step`, `predict_step`, `compute_loss` and `compute_metrics` of Sequential.

They compute the same as the programs in `_training/steps.py`, but a subclass may override each of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._layer.forward import key_alone
from lamina._layer.masks import mask_of, with_mask
from lamina._layer.passes import Pass
from lamina._layer.structure import weights_by_path
from lamina._settings.settings import MISSING
from lamina._training.model import compiled_of
from lamina._training.own_steps import arrays_of, assign, groups_of, metrics_of
from lamina._training.spec import counted, total_loss
from lamina._weights.weight import under_way
from lamina.metrics.metric import state_of

if TYPE_CHECKING:
    from lamina.models.sequential import Sequential


def in_either_form(model: Sequential, step: Callable[..., Any], state: Any, data: Any, parts: tuple[int, ...]) -> Any:
    """Run a step with the arguments `(data)`, or with Keras's `(state, data)`, which also returns the new state."""
    if data is MISSING:
        return step(model, state)
    groups = [groups_of(model)[part] for part in parts]
    assign(groups, state)
    said = step(model, data)
    return said, (arrays_of(groups) if len(parts) > 2 else arrays_of(groups[1:])[0])


def train_step(model: Sequential, data: object) -> dict[str, Any]:
    """One step on one batch: the gradient of `compute_loss` over `stateless_call`, then the optimizer."""
    x, y, sample_weight = _unpacked(data)
    weights = [weight for weight, _ in weights_by_path(model).values()]
    trained = model.trainable_variables
    kept = [weight for weight in weights if weight not in set(trained)]
    kept += [weight for metric in metrics_of(model) for weight in state_of(metric)]
    key = key_alone(model, under_way.get())

    def objective(params: list[Array]) -> tuple[Array, Any]:
        values = {weight: weight.value for weight in kept} | dict(zip(trained, params, strict=True))
        with Pass(values, key=key, of_step=True) as now:
            y_pred = model(x, training=True)  # models that compute_loss calls, such as a teacher, run in inference
            loss = _loss(model, x, y, y_pred, sample_weight, training=True)
            after = [now.read(weight) for weight in kept]
        return model.optimizer.scale_loss(loss), (loss, y_pred, mask_of(y_pred), after)

    grads, (loss, y_pred, mask, after) = jax.grad(objective, has_aux=True)([weight.value for weight in trained])
    with_mask(y_pred, mask)
    assign([kept], [after])
    model.optimizer.apply(grads, trained)
    return _measured(model, loss, x, y, y_pred, sample_weight)


def test_step(model: Sequential, data: object) -> dict[str, Any]:
    """The loss and the metrics on one batch."""
    x, y, sample_weight = _unpacked(data)
    y_pred = model(x, training=False)
    loss = _loss(model, x, y, y_pred, sample_weight, training=False)
    return _measured(model, loss, x, y, y_pred, sample_weight)


def predict_step(model: Sequential, data: object) -> Any:
    """The output for one batch."""
    return model(_unpacked(data)[0], training=False)


def compute_loss(model: Sequential, y: object, y_pred: object, sample_weight: object) -> Array:
    """The loss of `compile`, plus the regularizers and the losses that layers added in this pass.  -> () float32"""
    compiled, measured = compiled_of(model), (y, y_pred, sample_weight)
    return total_loss(compiled.loss, compiled.loss_weight, measured, model.losses)


def compute_metrics(model: Sequential, y: object, y_pred: object, sample_weight: Array | None) -> dict[str, Any]:
    """Update the metrics of `compile` with a batch. Returns their results and the mean loss, by name."""
    for metric, weighted in compiled_of(model).metrics or []:
        mask = mask_of(y_pred) if metric._lamina_masked else None
        weight = counted(sample_weight if weighted else None, mask)
        metric.update_state(y, y_pred, **({} if weight is None else {"sample_weight": weight}))
    return model.get_metrics_result()


def _unpacked(data: object) -> tuple[Any, Any, Any]:
    """Return x, y and the sample weights; a missing one is None."""
    x, y, sample_weight = (*(data if isinstance(data, (tuple, list)) else (data,)), None, None)[:3]
    return x, y, sample_weight


def _loss(model: Sequential, x: object, y: object, y_pred: object, sample_weight: object, training: bool) -> Array:
    """Call `model.compute_loss`. Some programs override it without some of its parameters, such as `training`."""
    told: dict[str, object] = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight, "training": training}
    takes = inspect.signature(model.compute_loss).parameters
    every = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    return jnp.asarray(model.compute_loss(**{name: value for name, value in told.items() if every or name in takes}))


def _measured(model: Sequential, loss: Array, x: object, *others: object) -> dict[str, Any]:
    compiled_of(model).mean_loss.update_state(loss, sample_weight=jnp.float32(jax.tree.leaves(x)[0].shape[0]))
    return model.compute_metrics(x, *others)
