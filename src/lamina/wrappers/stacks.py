"""Lamina's own estimators, which take a list of layers and the arguments of the training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils.validation import _check_sample_weight

from lamina import losses, optimizers
from lamina._arrays.arrays import HostArray
from lamina._layer.layer import Layer
from lamina._settings.arguments import Config, Named
from lamina._training.request import Callbacks
from lamina._training.targets import last_activation
from lamina.errors import ArgumentError
from lamina.models.sequential import Sequential
from lamina.wrappers.estimator import Classifier, Estimator, Regressor, build_on

Layers = Sequence[Layer] | Callable[..., Sequence[Layer] | Sequential]
GivenOptimizer = str | optimizers.Optimizer | type[optimizers.Optimizer] | Config
RandomState = int | np.random.RandomState | None


class _OfLayers(Estimator):
    def __init__(
        self, layers: Layers, *, layers_kwargs: dict[str, Any] | None = None, loss: Named | Sequence[Named] = None,
        optimizer: GivenOptimizer = "adam", learning_rate: float | None = None,
        metrics: Named | Sequence[object] = None, epochs: int = 50, batch_size: int = 32,
        validation_split: float = 0.0, callbacks: Callbacks = None, verbose: int | str = 0, warm_start: bool = False,
        random_state: RandomState = None,
    ) -> None:  # fmt: skip
        self.layers = layers
        self.layers_kwargs = layers_kwargs
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_split = validation_split
        self.callbacks = callbacks
        self.verbose = verbose
        self.warm_start = warm_start
        self.random_state = random_state

    def _lamina_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _lamina_model(self, X: HostArray, y: HostArray) -> Sequential:
        made = self.layers(X=X, y=y, **(self.layers_kwargs or {})) if callable(self.layers) else self.layers
        if not isinstance(made, (list, tuple, Sequential)):
            raise ArgumentError(f"layers is a list of layers, or a function that returns one; got {made!r}.")
        model = made if isinstance(made, Sequential) else Sequential(copy.deepcopy(list(made)))
        if not model.compiled:
            build_on(model, X, self.validation_split)
            loss = self._lamina_loss(model) if self.loss is None else self.loss
            found: Any = optimizers.get(self.optimizer)
            told = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
            model.compile(type(found).from_config(found.get_config() | told), loss, metrics=self.metrics)
        return model

    def _lamina_loss(self, model: Sequential) -> str | losses.Loss:
        """The loss if none was given."""
        return "mean_squared_error"

    def _lamina_run(self, X: Any, y: Any, weights: Any, classes: ArrayLike | None = None, part: bool = False) -> Self:
        """Train a model; with `part`, train the existing one for one more epoch."""
        options = {
            "epochs": 1 if part else self.epochs, "validation_split": 0.0 if part else self.validation_split,
            "batch_size": self.batch_size, "callbacks": self.callbacks, "verbose": self.verbose,
            "sample_weight": None if weights is None else _check_sample_weight(weights, X),
        }  # fmt: skip
        return self._lamina_fit(X, y, options, part or self.warm_start, classes)


class LaminaClassifier(Classifier, _OfLayers):
    """A classifier of scikit-learn that trains a stack of layers.

    >>> from lamina import layers
    >>> from lamina.wrappers import LaminaClassifier
    >>> estimator = LaminaClassifier([layers.Dense(8, "relu"), layers.Dense(2, "softmax")], epochs=2, random_state=0)
    >>> estimator.fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"]).predict_proba([[1.5]]).shape
    (1, 2)

    Args:
        layers: the whole stack as a list, with fresh weights in each fit; or a function that returns it, or a
            Sequential, called with `X`, with `y` as (rows, classes), a 1 in the column of each row's class, and with
            `layers_kwargs`. The last layer has one unit for each class, or one unit for two classes.
        layers_kwargs: further arguments of the function.
        class_weight: a weight for each class, or "balanced", as in scikit-learn.
        loss: the loss. The default is a crossentropy that fits the last layer.
        optimizer: a name or an object; each fit uses a copy.
        learning_rate: replaces the optimizer's own. A search over learning rates compiles no new programs.
        metrics: metrics besides the loss.
        epochs: the number of passes over the data in a fit.
        batch_size: the number of rows in a step.
        validation_split: the fraction of the rows, at the end, that is held out for `val_loss`.
        callbacks: a `Callback`, or a list of them.
        verbose: 0 shows nothing, 1 a bar, 2 one line for each epoch.
        warm_start: whether a fit continues with the weights of the fit before.
        random_state: the seed. With a number, each fit gives the same model.

    Attributes:
        model_: the trained Sequential.
        history_: the History that its `fit` returned.
        classes_: the classes, sorted.
        n_iter_: the number of epochs of the training.
    """

    def __init__(
        self, layers: Layers, *, layers_kwargs: dict[str, Any] | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        loss: Named | Sequence[Named] = None, optimizer: GivenOptimizer = "adam", learning_rate: float | None = None,
        metrics: Named | Sequence[object] = None, epochs: int = 50, batch_size: int = 32,
        validation_split: float = 0.0, callbacks: Callbacks = None, verbose: int | str = 0, warm_start: bool = False,
        random_state: RandomState = None,
    ) -> None:  # fmt: skip
        super().__init__(
            layers, layers_kwargs=layers_kwargs, loss=loss, optimizer=optimizer, learning_rate=learning_rate,
            metrics=metrics, epochs=epochs, batch_size=batch_size, validation_split=validation_split,
            callbacks=callbacks, verbose=verbose, warm_start=warm_start, random_state=random_state,
        )  # fmt: skip
        self.class_weight = class_weight

    def _lamina_loss(self, model: Sequential) -> str | losses.Loss:
        last, single = last_activation(model.layers[-1]), model.output_shape[-1] == 1
        kind = losses.BinaryCrossentropy if single else losses.SparseCategoricalCrossentropy
        return kind(from_logits=last != ("sigmoid" if single else "softmax"))

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new stack; with `warm_start`, the existing one.

        Args:
            X: (rows, ...), an array or a frame.
            y: (rows,), numbers or strings.
            sample_weight: a weight for every row.
        """
        return self._lamina_run(X, y, self._lamina_weights(y, sample_weight))

    def partial_fit(self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        Args:
            X: (rows, ...), an array or a frame.
            y: (rows,), numbers or strings.
            classes: all classes. The first call needs them if its `y` does not contain all of them.
            sample_weight: a weight for every row.
        """
        return self._lamina_run(X, y, self._lamina_weights(y, sample_weight), classes, part=True)

    def _lamina_weights(self, y: Any, sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        weights = compute_sample_weight(self.class_weight, y)
        return weights if sample_weight is None else weights * sample_weight


class LaminaRegressor(Regressor, _OfLayers):
    """A regressor of scikit-learn that trains a stack of layers.

    Args:
        layers: the whole stack as a list, with fresh weights in each fit; or a function that returns it, or a
            Sequential, called with `X`, with `y` as (rows, outputs), and with `layers_kwargs`.
        layers_kwargs: further arguments of the function.
        loss: the loss. The default is "mean_squared_error".
        optimizer: a name or an object; each fit uses a copy.
        learning_rate: replaces the optimizer's own. A search over learning rates compiles no new programs.
        metrics: metrics besides the loss.
        epochs: the number of passes over the data in a fit.
        batch_size: the number of rows in a step.
        validation_split: the fraction of the rows, at the end, that is held out for `val_loss`.
        callbacks: a `Callback`, or a list of them.
        verbose: 0 shows nothing, 1 a bar, 2 one line for each epoch.
        warm_start: whether a fit continues with the weights of the fit before.
        random_state: the seed. With a number, each fit gives the same model.

    Attributes:
        model_: the trained Sequential.
        history_: the History that its `fit` returned.
        n_iter_: the number of epochs of the training.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new stack; with `warm_start`, the existing one.

        Args:
            X: (rows, ...), an array or a frame.
            y: (rows,) or (rows, outputs).
            sample_weight: a weight for every row.
        """
        return self._lamina_run(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        Args:
            X: (rows, ...), an array or a frame.
            y: (rows,) or (rows, outputs).
            sample_weight: a weight for every row.
        """
        return self._lamina_run(X, y, sample_weight, part=True)
