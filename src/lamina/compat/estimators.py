"""The estimators of Keras 2's `keras.wrappers.scikit_learn`, and the base of the estimators of scikeras.

Both take a function that makes a model. Further arguments are passed by their names to this function and to `fit`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from lamina import optimizers
from lamina._arrays.arrays import HostArray
from lamina.errors import ArgumentError
from lamina.models.sequential import Sequential
from lamina.wrappers.estimator import Classifier, Estimator, Regressor

Maker: TypeAlias = Callable[..., Sequential] | Sequential | None
OF_FIT = frozenset(inspect.signature(Sequential.fit).parameters) - {"self", "x", "y"}
OF_COMPILE = {"optimizer": "rmsprop", "loss": None, "metrics": None}
"""The default arguments of `compile`, for a model that the function did not compile."""
PREFIXES = "model__", "optimizer__", "fit__"
"""Prefixes of arguments in scikeras: `model__units` is passed to the function, `optimizer__learning_rate` to the
optimizer."""


class _OfFunction(Estimator):
    def __init__(self, model: Maker = None, build_fn: Maker = None, **sk_params: Any) -> None:
        self._lamina_given = {name: value for name, value in (("model", model), ("build_fn", build_fn)) if value}
        self.sk_params = sk_params
        for name in sk_params.keys() - self._lamina_arguments() - OF_FIT - OF_COMPILE.keys() - {"random_state"}:
            if name != "warm_start" and not name.startswith(PREFIXES):
                raise ArgumentError(f"{name} is not an argument of {self._lamina_function().__name__}, compile or fit.")

    def _lamina_function(self) -> Any:
        """The function that makes the model. As in Keras 2, this may be the `__call__` of a subclass."""
        given: Any = self._lamina_given.get("build_fn", self._lamina_given.get("model"))
        if given is None and not callable(self):
            raise ArgumentError(f"{type(self).__name__} takes a function that returns a model, as in build_fn=make.")
        return self.__call__ if given is None else given

    def _lamina_arguments(self) -> set[str]:
        function = self._lamina_function()
        return set() if isinstance(function, Sequential) else set(inspect.signature(function).parameters)

    def _lamina_told(self, prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): v for name, v in self.sk_params.items() if name.startswith(prefix)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The function and all arguments."""
        return self._lamina_given | self.sk_params

    def set_params(self, **params: Any) -> Self:
        """Change the function or arguments."""
        made = type(self)(**self.get_params() | params)
        self._lamina_given, self.sk_params = made._lamina_given, made.sk_params
        return self

    def _lamina_seed(self) -> int:
        seed = self.sk_params.get("random_state")
        return super()._lamina_seed() if seed is None else int(seed)

    def _lamina_model(self, X: HostArray, y: HostArray) -> Any:
        function, told = self._lamina_function(), self._lamina_compile()
        if isinstance(function, Sequential):
            return copy.deepcopy(function)
        given = (
            {"meta": self._lamina_meta(X, y), "compile_kwargs": told} | self.sk_params | self._lamina_told("model__")
        )
        model = function(**{name: given[name] for name in self._lamina_arguments() if name in given})
        if isinstance(model, Sequential) and not model.compiled and told["loss"] is not None:
            model.compile(**told)
        return model

    def _lamina_compile(self) -> dict[str, Any]:
        told = OF_COMPILE | {name: self.sk_params[name] for name in OF_COMPILE if name in self.sk_params}
        if options := self._lamina_told("optimizer__"):
            found: Any = optimizers.get(told["optimizer"])
            told["optimizer"] = type(found).from_config(found.get_config() | options)
        return told

    def _lamina_meta(self, X: HostArray, y: HostArray) -> dict[str, Any]:
        """The facts about the data that scikeras passes to the function as `meta`."""
        meta = {"X_shape_": X.shape, "X_dtype_": X.dtype, "n_features_in_": X.shape[1], "n_outputs_": y.shape[1]}
        if not isinstance(self, Classifier):
            return meta | {"target_type_": "continuous" + "-multioutput" * (y.shape[1] > 1)}
        kind = "binary" if len(self.classes_) == 2 else "multiclass"
        return meta | {"n_outputs_": 1, "classes_": self.classes_, "n_classes_": y.shape[1], "target_type_": kind}

    def _lamina_train(self, x: Any, y: Any, kwargs: dict[str, Any]) -> None:
        classes = None
        if isinstance(self, Classifier) and _is_one_hot(y):
            classes, y = np.arange(np.shape(y)[1]), np.argmax(y, axis=1)
        options = {name: value for name, value in self.sk_params.items() if name in OF_FIT}
        goes_on = bool(self.sk_params.get("warm_start"))
        self._lamina_fit(x, y, options | self._lamina_told("fit__") | kwargs, goes_on, classes)


def _is_one_hot(y: ArrayLike) -> bool:
    return np.ndim(y) == 2 and np.shape(y)[1] > 1


class _OfKeras2(_OfFunction):
    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Make a model, train it, and return the history. The model is then the attribute `model`.

        Args:
            x: (rows, ...), an array or a frame.
            y: (rows,), or (rows, outputs).
            kwargs: arguments of `Sequential.fit`.
        """
        self._lamina_train(x, y, kwargs)
        self.model = self.model_
        return self.history_


class KerasClassifier(_OfKeras2, Classifier):
    """`KerasClassifier(build_fn=make_model, epochs=10, batch_size=32, units=8)` of Keras 2."""

    def predict(self, X: object, **kwargs: object) -> HostArray:
        """The class of each row.  -> (rows,)"""
        return super().predict(X)

    def predict_proba(self, X: object, **kwargs: object) -> HostArray:
        """The probability of each class.  -> (rows, classes)"""
        return super().predict_proba(X)

    def score(self, X: object, y: ArrayLike, **kwargs: object) -> float:
        """The accuracy: the share of the rows whose class is predicted."""
        return float(super().score(X, np.argmax(y, axis=1) if _is_one_hot(y) else y))


class KerasRegressor(_OfKeras2, Regressor):
    """`KerasRegressor(build_fn=make_model, epochs=10, batch_size=32, units=8)` of Keras 2."""

    def predict(self, X: object, **kwargs: object) -> HostArray:
        """The number for each row.  -> (rows,) or (rows, outputs)"""
        return super().predict(X)

    def score(self, X: object, y: ArrayLike, **kwargs: object) -> float:
        """The negative loss, so that a higher score is better."""
        measured = self.model_.evaluate(X, y, verbose=0)
        return -float(measured[0] if isinstance(measured, list) else measured)


class OfSciKeras(_OfFunction):
    """The base of the estimators of scikeras, which are in `scikeras/wrappers.py`."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Self:
        """Make a model and train it. `model_` and `history_` are then attributes.

        Args:
            X: (rows, ...), an array or a frame.
            y: (rows,), or (rows, outputs).
            sample_weight: a weight for every row.
            kwargs: arguments of `Sequential.fit`.
        """
        self._lamina_train(X, y, kwargs | ({} if sample_weight is None else {"sample_weight": sample_weight}))
        self.history_ = self.history_.history
        return self

    def __getattr__(self, name: str) -> Any:
        """Return an argument as an attribute."""
        if not name.startswith("_") and name in self.get_params():
            return self.get_params()[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
