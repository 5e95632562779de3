"""The arguments of `compile` as objects: the optimizer, the loss and the metrics, checked at once."""

from __future__ import annotations

from lamina import metrics, optimizers
from lamina._arrays.shapes import Shape
from lamina._messages.spelling import free_name
from lamina._settings.converters import checked, flag, number, one_of, positive, short
from lamina._settings.pickling import ByName
from lamina.errors import ArgumentError
from lamina.losses.lookup import loss_of
from lamina.losses.loss import registry as loss_registry
from lamina.optimizers.optimizer import registry as known_optimizers


class Compiled(ByName):
    """The arguments of `compile`, checked and converted.

    The names of metrics become objects when the shapes of the data are known, since "accuracy" depends on them.
    """

    _lamina_label = "compile"

    def __init__(
        self, optimizer: object, loss: object, loss_weights: object, measures: object, weighted_measures: object,
        run_eagerly: bool, steps_per_execution: int | str, jit_compile: bool | str, auto_scale_loss: bool, policy: str,
    ) -> None:  # fmt: skip
        name = optimizer if isinstance(optimizer, str) else ""
        if name and known_optimizers.built_in(name) is None and loss_registry.built_in(name) is not None:
            raise ArgumentError(f"{name!r} is a loss; the optimizer comes first: compile('adam', {name!r}).")
        found = optimizers.get(_only(optimizer, "optimizer"))
        if found is None:
            raise ArgumentError("compile needs an optimizer: compile('adam', loss=...).")
        self.auto_scale_loss = auto_scale_loss
        scaled = auto_scale_loss and policy == "mixed_float16"
        self.scales = scaled and not isinstance(found, optimizers.LossScaleOptimizer)
        """Whether `compile` wrapped the optimizer in a `LossScaleOptimizer`."""
        if self.scales:
            found = optimizers.LossScaleOptimizer(found)
        self.optimizer: optimizers.Optimizer = found
        self.told = {
            "loss": loss, "loss_weights": loss_weights, "metrics": measures, "weighted_metrics": weighted_measures,
            "run_eagerly": run_eagerly, "steps_per_execution": steps_per_execution,
        }  # fmt: skip
        """The arguments of `compile` except the optimizer."""
        self.given_loss = _only(loss, "loss")
        """The loss as the user wrote it."""
        self.loss = loss_of(self.given_loss)
        self.loss_weight = checked("compile", "loss_weights", _weight, loss_weights)
        self.measures = _listed(measures, "metrics")
        self.weighted_measures = _listed(weighted_measures, "weighted_metrics")
        for each in (*self.measures, *self.weighted_measures):
            if metrics.get(each, loss=self.loss) is None:
                raise ArgumentError("metrics holds None: expected names, Metric objects or functions.")
        checked("compile", "jit_compile", one_of("auto", True, False, None), jit_compile)
        self.eager = checked("compile", "run_eagerly", flag, run_eagerly) or jit_compile is False
        steps = 1 if steps_per_execution == "auto" else steps_per_execution
        self.steps_per_execution = checked("compile", "steps_per_execution", positive, steps)
        self.mean_loss = metrics.Mean(name="loss")
        self.metrics: list[tuple[metrics.Metric, bool]] | None = None
        """The metrics in use, each with whether it uses the sample weights; None before the first data."""

    @property
    def names(self) -> list[str]:
        """The names of the loss and the metrics, also before the first data."""
        if self.metrics is not None:
            return ["loss", *(metric.name for metric, _ in self.metrics)]
        found = [metrics.get(each, loss=self.loss).name for each in (*self.measures, *self.weighted_measures)]  # type: ignore[union-attr]
        return ["loss", *found]

    def metrics_for(self, y_shape: Shape | None, output_shape: Shape) -> list[tuple[metrics.Metric, bool]]:
        """The metrics as objects with different names. The shapes decide which metric "accuracy" is."""
        if self.metrics is None:
            found: list[tuple[metrics.Metric, bool]] = []
            taken = {"loss"}
            for given, weighted in ((self.measures, False), (self.weighted_measures, True)):
                for each in given:
                    metric = metrics.get(each, loss=self.loss, y_shape=y_shape, output_shape=output_shape)
                    assert metric is not None  # __init__ has made each once
                    metric._lamina_build(output_shape)
                    name = metric.name
                    if name in taken and weighted and f"weighted_{name}" not in taken:
                        name = f"weighted_{name}"
                    metric.name = free_name(name, taken)
                    taken.add(metric.name)
                    found.append((metric, weighted))
            self.metrics = found
        return self.metrics


def _only(value: object, what: str) -> object:
    """The only entry of a list or dict; any other value unchanged. A stack has one output, so more are an error."""
    if (isinstance(value, dict) and "class_name" not in value) or isinstance(value, (list, tuple)):
        entries = list(value.values()) if isinstance(value, dict) else list(value)
        if len(entries) != 1:
            several = " Several metrics are a list: metrics=['mae', 'mse']." if "metrics" in what else ""
            raise ArgumentError(f"{what} got {len(entries)} entries; a stack has one output, so give one.{several}")
        return entries[0]
    return value


def _weight(given: object) -> float:
    """The factor of the loss. Metrics as the third argument are a common mistake, which has a message of its own."""
    if not isinstance(given, dict) and any(isinstance(each, str) or callable(each) for each in _listed(given, "")):
        raise ArgumentError(f"expected a number. Metrics are given by name: compile(..., metrics={short(given)}).")
    weight = _only(given, "loss_weights")
    return 1.0 if weight is None else number(weight)


def _listed(value: object, what: str) -> list[object]:
    """Metrics as a flat list, from one, a list, a list in a list, or a dict with one entry."""
    if value is None:
        return []
    if isinstance(value, dict) and "class_name" not in value:
        return _listed(_only(value, what), what)
    if not isinstance(value, (list, tuple)):
        return [value]
    return [item for entry in value for item in (entry if isinstance(entry, (list, tuple)) else [entry])]
