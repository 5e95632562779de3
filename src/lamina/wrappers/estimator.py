"""The base of all estimators: it checks the data, makes and fits a model, and converts its output to predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import HostArray
from lamina._data.classes import classes_of, labels_of
from lamina._data.data_frames import REFUSED, is_frame, opened
from lamina._layer.host import takes_frames
from lamina._training.inputs import adapted_to
from lamina._training.model import compiled_of
from lamina._training.targets import middle
from lamina.errors import ArgumentError, DataError, MissingPackageError, NotCompiledError
from lamina.losses import SparseCategoricalCrossentropy
from lamina.models.sequential import Sequential
from lamina.random import seed_given, seeded

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_array, check_is_fitted, validate_data
except ImportError:
    raise MissingPackageError("lamina.wrappers needs scikit-learn: pip install scikit-learn.") from None


FEWEST = 32
"""The fewest rows with which a model is called. So a row has bitwise the same output alone and among a few others."""


def takes_tables(estimator: Any, X: Any) -> bool:
    """Whether X is a table for the estimator's first layer, a FeatureSpace.

    If a function makes the model, its layers are not known yet. Then a table with text or dates counts as one.
    """
    given = vars(estimator).get("layers", vars(estimator).get("model"))
    if isinstance(given, (list, tuple)) and given:
        return getattr(given[0], "_lamina_takes_frames", False) is True
    if isinstance(given, Sequential):
        return takes_frames(given)
    frame = opened(X, "X") if is_frame(X) else X
    kinds = frame.schema.values() if hasattr(frame, "columns") else ()
    return any(type(kind).__name__ in REFUSED or type(kind).__name__ == "Object" for kind in kinds)


def build_on(model: Sequential, X: Any, validation_split: float = 0.0) -> None:
    """Build a model for these data. A FeatureSpace at its start is adapted to the training rows."""
    if takes_frames(model):
        table = adapted_to(model, X, validation_split)
        if not model.built:
            model._lamina_host(table[:1])
    elif not model.built:
        model.build((None, *X.shape[1:]))


class Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator that makes a new model for each fit."""

    model_: Sequential
    history_: Any
    n_iter_: int
    _lamina_raw: bool = False
    """Whether the model takes tables. scikit-learn would convert them to arrays of numbers."""
    _lamina_axes: int
    """The number of axes of y in `fit`."""
    _lamina_numeric: ClassVar[bool] = False
    """Whether y must be numbers."""

    def _lamina_model(self, X: HostArray, y: HostArray) -> Sequential:
        """Make a compiled model for these data."""
        raise NotImplementedError

    def _lamina_seed(self) -> int:
        """The seed of a fit with a new model: the seed of `set_random_seed`, so that equal fits give equal models."""
        return seed_given() or 0

    def _lamina_target(self, y: HostArray, first: bool, classes: ArrayLike | None) -> HostArray:
        """Convert `y` to targets of the model. `classes` may list all classes in the first fit.  -> (rows, outputs)"""
        if first:
            self._lamina_axes = y.ndim
        return y.reshape(len(y), -1)

    def _lamina_as_compiled(self, model: Sequential, y: HostArray) -> HostArray:
        """Convert the targets to the form for the model's loss."""
        return y

    def _lamina_fit(
        self, X: Any, y: Any, options: dict[str, Any], goes_on: bool, classes: ArrayLike | None = None
    ) -> Self:
        """Fit a new model; with `goes_on`, the existing one. The options are arguments of its `fit`."""
        first = not (goes_on and hasattr(self, "model_"))
        self._lamina_raw = takes_tables(self, X)
        if self._lamina_raw:
            if isinstance(X, Mapping):
                raise DataError("X is a dict, and an estimator takes frames: pandas.DataFrame(X), for example.")
            validate_data(self, X, reset=first, skip_check_array=True)
            y = check_array(y, ensure_2d=False, dtype="numeric" if self._lamina_numeric else None)
        else:
            numeric = self._lamina_numeric
            X, y = validate_data(self, X, y, reset=first, allow_nd=True, multi_output=True, y_numeric=numeric)
        y = self._lamina_target(y, first, classes)
        if not first:
            model = self.model_
            history = model.fit(X, self._lamina_as_compiled(model, y), **options)
        else:
            with seeded(self._lamina_seed()):
                model = self._lamina_model(X, y)
                build_on(model, X, options.get("validation_split") or 0.0)
                if not model.compiled or model.loss is None:
                    raise NotCompiledError("the model needs a loss and an optimizer: model.compile('adam', loss=...).")
                history = model.fit(X, self._lamina_as_compiled(model, y), **options)
        self.model_, self.history_ = model, history
        self.n_iter_ = len(history.epoch) + (0 if first else self.n_iter_)
        return self

    def _lamina_output(self, X: Any) -> HostArray:
        """The model's output for the rows.  -> (rows, outputs)"""
        check_is_fitted(self, "model_")
        if self._lamina_raw:
            return self.model_.predict(X, verbose=0)  # type: ignore[no-any-return]
        X = validate_data(self, X, reset=False, allow_nd=True)
        filled = np.concatenate([X, np.zeros((max(FEWEST - len(X), 0), *X.shape[1:]), X.dtype)])
        output: HostArray = self.model_.predict(filled, verbose=0)
        return output[: len(X)]


class Regressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """The base of estimators that predict numbers."""

    _lamina_numeric = True

    def predict(self, X: Any) -> HostArray:
        """The model's output in float64, as in scikit-learn: (rows,), or (rows, outputs) if y had two axes in `fit`."""
        output = self._lamina_output(X).astype("float64")
        return output.reshape(-1) if self._lamina_axes == 1 else output

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output, tags.target_tags.single_output = True, True
        return tags


class Classifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """The base of estimators that predict classes, which are numbers or strings."""

    classes_: HostArray

    def _lamina_target(self, y: HostArray, first: bool, classes: ArrayLike | None) -> HostArray:
        """A 1 in the column of each row's class, else 0.  (rows,) -> (rows, classes)"""
        y = column_or_1d(y, warn=True)
        if (labels := labels_of(y)) is not None:
            classes_of(labels)  # refuses rows without a label
        check_classification_targets(y)
        found = np.unique(y)
        if first:
            self.classes_ = found if classes is None else np.unique(classes)
            if len(self.classes_) == 1:
                raise ArgumentError(f"y has one class, {str(found[0])!r}, and a classifier tells at least two apart.")
        if len(new := np.setdiff1d(found, self.classes_)):
            raise ArgumentError(f"y has a class that is not among those of the first fit: {str(new[0])!r}.")
        return np.eye(len(self.classes_), dtype="float32")[np.searchsorted(self.classes_, y)]

    def _lamina_as_compiled(self, model: Sequential, y: HostArray) -> HostArray:
        """Convert one-hot targets to the form for the model's loss: one column for one output, or the class numbers."""
        if isinstance(compiled_of(model).loss, SparseCategoricalCrossentropy):
            return np.asarray(y.argmax(axis=1), "int32")
        return y[:, 1:] if y.shape[1] == 2 and model.output_shape[-1] == 1 else y

    def predict(self, X: Any) -> HostArray:
        """The class of each row.  -> (rows,)"""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[chosen])

    def predict_proba(self, X: Any) -> HostArray:
        """The probability of each class: the model's output, or the softmax or sigmoid of its logits.

        -> (rows, classes)
        """
        output, loss = self._lamina_output(X).astype("float64"), compiled_of(self.model_).loss
        logits = getattr(loss, "from_logits", False)
        if output.shape[1] == 1:
            second = 1 / (1 + np.exp(-output)) if logits else output
            output = np.hstack([1 - second, second])
        elif logits:
            output = np.exp(output - output.max(axis=1, keepdims=True))
        return np.asarray(output / output.sum(axis=1, keepdims=True))

    def decision_function(self, X: Any) -> HostArray:
        """The model's output for each class: (rows, classes).

        For two classes it is the output of the second class minus that of the first: (rows,)."""
        output = self._lamina_output(X)
        if output.shape[1] == 1:
            return output[:, 0] - middle(self.model_)
        return output[:, 1] - output[:, 0] if len(self.classes_) == 2 else output
