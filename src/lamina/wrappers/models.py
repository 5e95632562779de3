"""Keras's estimators, which take a compiled model or a function that makes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import sklearn
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from lamina._arrays.arrays import HostArray
from lamina.errors import ArgumentError
from lamina.models.cloning import clone_model
from lamina.models.sequential import Sequential
from lamina.wrappers.estimator import Classifier, Estimator, Regressor


class _OfModel(Estimator):
    """An estimator with the arguments of Keras's estimators."""

    def __init__(
        self, model: Sequential | Callable[..., Sequential], warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None, fit_kwargs: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def _lamina_model(self, X: HostArray, y: HostArray) -> Sequential:
        if isinstance(self.model, Sequential):
            return self.model if self.warm_start else clone_model(self.model)
        if not callable(self.model):
            raise ArgumentError(f"model is a Sequential or a function that returns one, got {self.model!r}.")
        made = self.model(X=X, y=y, **(self.model_kwargs or {}))
        if not isinstance(made, Sequential):
            raise ArgumentError(f"the function that was given as model returned {made!r}; expected a Sequential.")
        return made

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:
        """Fit the model.

        Args:
            X: (rows, ...), an array or a frame.
            y: (rows,) or (rows, outputs).
            kwargs: arguments of `Sequential.fit`, which override `fit_kwargs`.
        """
        return self._lamina_fit(X, y, (self.fit_kwargs or {}) | kwargs, goes_on=self.warm_start)

    def set_fit_request(self, **kwargs: Any) -> Self:
        """Set which arguments of `fit` a meta-estimator passes on. See scikit-learn's guide "Metadata Routing".

        Args:
            kwargs: for each name of an argument, True, False, None or another name.
        """
        if not sklearn.get_config().get("enable_metadata_routing"):
            raise RuntimeError("switch metadata routing on first: sklearn.set_config(enable_metadata_routing=True).")
        self._metadata_request = self._get_metadata_request()
        for name, alias in kwargs.items():
            self._metadata_request.fit.add_request(param=name, alias=alias)
        return self


class SKLearnClassifier(Classifier, _OfModel):
    """A classifier of scikit-learn that trains a model.

    Each fit begins with the seed of `set_random_seed`, so equal fits give equal models.

    >>> from lamina import Sequential, layers
    >>> from lamina.wrappers import SKLearnClassifier
    >>> def network(X, y, units):
    ...     stack = [layers.Input(X.shape[1:]), layers.Dense(units, "relu"), layers.Dense(y.shape[1], "softmax")]
    ...     model = Sequential(stack)
    ...     model.compile("adam", "categorical_crossentropy")
    ...     return model
    >>> estimator = SKLearnClassifier(network, model_kwargs={"units": 8}, fit_kwargs={"epochs": 2, "verbose": 0})
    >>> estimator.fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"]).classes_.tolist()
    ['no', 'yes']

    Args:
        model: a compiled Sequential, of which each fit trains a copy with fresh weights; or a function that returns a
            compiled one, called with `X`, with `y` as (rows, classes), a 1 in the column of each row's class, and with
            `model_kwargs`.
        warm_start: whether a fit continues with the weights of the fit before.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `Sequential.fit`.

    Attributes:
        model_: the trained model.
        history_: the History that its `fit` returned.
        classes_: the classes, sorted.
        n_iter_: the number of epochs of the training.
    """


class SKLearnRegressor(Regressor, _OfModel):
    """A regressor of scikit-learn that trains a model.

    Each fit begins with the seed of `set_random_seed`, so equal fits give equal models.

    Args:
        model: a compiled Sequential, of which each fit trains a copy with fresh weights; or a function that returns a
            compiled one, called with `X`, with `y` as (rows, outputs), and with `model_kwargs`.
        warm_start: whether a fit continues with the weights of the fit before.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `Sequential.fit`.

    Attributes:
        model_: the trained model.
        history_: the History that its `fit` returned.
        n_iter_: the number of epochs of the training.
    """


class SKLearnTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _OfModel):  # type: ignore[misc]
    """A transformer of scikit-learn. The output of its model is the new features.

    Args:
        model: as for `SKLearnRegressor`.
        warm_start: whether a fit continues with the weights of the fit before.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `Sequential.fit`.
    """

    _lamina_numeric = True

    def transform(self, X: Any) -> HostArray:
        """The model's output.  (rows, ...) -> (rows, outputs)"""
        return self._lamina_output(X)

    def predict(self, X: Any) -> HostArray:
        """The model's output, as in Keras's class; (rows,) if y had one axis in `fit`."""
        output = self._lamina_output(X)
        return output.reshape(-1) if self._lamina_axes == 1 else output

    @property
    def _n_features_out(self) -> int:
        return int(self.model_.output_shape[-1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        tags.target_tags.required = True
        return tags
