"""Between the model and the compiled programs: hands the arrays in, runs chunks of data, hands the arrays back."""

from __future__ import annotations

import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._base.weight import Array
from lamina._layer.forward import seed_of
from lamina._layer.structure import weights_by_path
from lamina._training import programs
from lamina._training import steps as train
from lamina._training.feeds import Chunk, Feed
from lamina._training.model import Model, compiled_of
from lamina._training.steps import ProgramSpec, TrainState
from lamina.errors import ArgumentError
from lamina.optimizers.optimizer import rebuild
from lamina.optimizers.state import renamed
from lamina.random import key_of


class Trainer:
    """Runs one model with one set of loss, optimizer and metrics."""

    def __init__(self, model: Model, metrics: list[tuple[Any, bool]]) -> None:
        compiled = compiled_of(model)
        self.model, self.optimizer, self.eager = model, compiled.optimizer, compiled.eager
        owner = compiled.optimizer._lamina.owner  # a copy has none
        if compiled.optimizer.built and owner is not None and owner() is not model:
            raise ArgumentError(
                f"this {type(compiled.optimizer).__name__} holds the moments of another model's weights. "
                "Give each model an optimizer of its own: compile(optimizers.Adam(...), ...)."
            )
        compiled.optimizer._lamina.owner = weakref.ref(model)
        weights = weights_by_path(model)
        rebuild(self.optimizer, [weight for weight, trained in weights.values() if trained])
        self.spec = ProgramSpec(model, compiled.loss, compiled.optimizer, metrics, compiled.loss_weight)
        self.trained = {path: weights[path][0] for path in self.spec.trained}
        self.fixed = {path: weights[path][0] for path in self.spec.fixed}

        self.names = {path: weight.path for path, weight in self.trained.items()}
        """What the optimizer calls the weights, by what the programs call them, which know no layer's name."""
        self.paths = {name: path for path, name in self.names.items()}
        self.no_sums = self.spec.initial_metrics()
        self.key = key_of(seed_of(model))
        self.kept: TrainState | None = None

    def gather(self) -> TrainState:
        """The arrays that the layers and the optimizer hold now, with metrics at their start."""
        params, state = self._arrays()
        step, bad = (jnp.asarray(np.int32(number)) for number in (self.model._lamina.steps_trained, -1))
        moments = renamed(self.optimizer._lamina_arrays, self.paths)
        return TrainState(params, state, moments, self.no_sums, self.key, step, bad)

    def open(self) -> TrainState:
        """A state to run from: copies of what the layers hold, since the programs overwrite what they are given."""
        self.kept = self.gather()
        copied = programs.compiled("copy", lambda state: jax.tree.map(jnp.copy, state), (self.kept,))
        state: TrainState = copied.result()(self.kept)
        return state

    def close(self, state: TrainState) -> None:
        """Hand the arrays back to the layers and the optimizer."""
        for path, weight in self.trained.items():
            weight.value = state.params[path]
        for path, weight in self.fixed.items():
            weight.value = state.state[path]
        self.optimizer._lamina_arrays = renamed(state.optimizer, self.names)
        self.model._lamina.steps_trained = int(state.step)

    def reread(self, state: TrainState) -> TrainState:
        """The state with what callbacks may have changed since `close`: weights, learning rate."""
        now = self.gather()
        return state._replace(params=now.params, state=now.state, optimizer=now.optimizer)

    def finalize(self) -> None:
        """The end of training: where the optimizer keeps averaged weights, they replace the last ones."""
        params = renamed(self._arrays()[0], self.names)
        for name, value in self.optimizer._lamina_finalize(params, self.optimizer._lamina_arrays or {}).items():
            self.trained[self.paths[name]].value = value

    def restore(self) -> None:
        """Put everything back to where the last `open` was."""
        assert self.kept is not None
        self.close(self.kept)

    def train(self, state: TrainState, chunk: Chunk) -> tuple[TrainState, dict[str, Any], int | None]:
        """Run a chunk: the state after it, the logs, and the step of this epoch at which the loss was not finite."""
        program = self._train_program(state, chunk).result()
        state, logs = program(state, chunk.data, chunk.order, chunk.start, chunk.steps)
        bad = int(state.bad)
        return state, self._named(logs), bad - int(self.kept.step) if bad >= 0 and self.kept else None

    def test(self, sums: Any, chunk: Chunk) -> tuple[Any, dict[str, Any]]:
        program = self._test_program(sums, chunk).result()
        sums, carried, logs = program(*self._arrays(), sums, chunk.data, chunk.start, chunk.steps)
        for path, value in carried.items():
            self.fixed[path].value = value
        return sums, self._named(logs)

    def prepare(self, feed: Feed, validation: Feed | None) -> None:
        """Compile in the background what is needed later: the short last batch, and the validation."""
        for chunk in feed.examples()[1:]:
            self._train_program(self.gather(), chunk, ahead=True)
        for chunk in validation.examples() if validation else ():
            self._test_program(self.no_sums, chunk, ahead=True)

    def _named(self, logs: dict[str, Array]) -> dict[str, Any]:
        """Logs on the host as Python floats, in the order of `compile`; a metric that is a vector stays an array."""
        host = jax.device_get(logs)
        names = ["loss", *(metric.name for metric, _ in self.spec.metrics)]
        return {name: float(host[name]) if np.ndim(host[name]) == 0 else np.asarray(host[name]) for name in names}

    def _arrays(self) -> tuple[dict[str, Array], dict[str, Array]]:
        return (
            {path: weight.value for path, weight in self.trained.items()},
            {path: weight.value for path, weight in self.fixed.items()},
        )

    def _train_program(self, state: TrainState, chunk: Chunk, ahead: bool = False) -> Any:
        return self._program("train", train.train, chunk, (state, chunk.data, chunk.order), (0,), ahead)

    def _test_program(self, sums: Any, chunk: Chunk, ahead: bool = False) -> Any:
        return self._program("test", train.evaluate, chunk, (*self._arrays(), sums, chunk.data), (), ahead)

    def _program(self, kind: str, make: Any, chunk: Chunk, arrays: Any, donate: tuple[int, ...], ahead: bool) -> Any:
        key = (kind, self.spec.key, chunk.size)
        arguments = (*arrays, chunk.start, chunk.steps)
        return programs.compiled(
            key, make(self.spec, chunk.size), arguments, donate=donate, ahead=ahead, eager=self.eager
        )
