"""Cross-validation: trains a model for each fold."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from lamina import _display as display
from lamina._arrays.arrays import HostArray
from lamina._data.raw_table import raw_table
from lamina._data.sample_weights import ClassWeight
from lamina._data.source import Table, arrays, is_stream
from lamina._ensembles.together import build, trained
from lamina._layer.host import adapt_on, takes_frames
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import short
from lamina._training.inputs import require_compiled
from lamina._training.request import Callbacks, DataRequest
from lamina._training.targets import forgotten_on_error, numbers_of
from lamina.callbacks import History
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError, MissingPackageError, StackError
from lamina.models.cloning import clone_model
from lamina.models.sequential import Sequential
from lamina.random import next_seed


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The result of `cross_validate`.

    Attributes:
        scores: for each fold, the loss and the metrics on the held-out rows, by name.
        predictions: for each row, the output of the model that was not trained on it; NaN for rows in no fold.
        models: the model of each fold.
        histories: the history of each training.
        folds: for each fold, the training rows and the held-out rows.
    """

    scores: list[dict[str, float]]
    predictions: HostArray = field(repr=False)
    models: list[Sequential] = field(repr=False)
    histories: list[History] = field(repr=False)
    folds: list[tuple[HostArray, HostArray]] = field(repr=False)

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each score over the folds."""
        return {name: float(np.mean([score[name] for score in self.scores])) for name in self.scores[0]}

    @property
    def deviation(self) -> dict[str, float]:
        """The standard deviation of each score over the folds."""
        return {name: float(np.std([score[name] for score in self.scores])) for name in self.scores[0]}

    def __str__(self) -> str:
        spread = self.deviation
        listed = (f"{name}: {value:.4f} ± {spread[name]:.4f}" for name, value in self.mean.items())
        return f"{len(self.scores)} folds - {' - '.join(listed)}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the curves of all folds, and the scores of each."""
        html, names = display.html, list(self.scores[0])
        rows = [[number, *(html.shown(score[name]) for name in names)] for number, score in enumerate(self.scores, 1)]
        return html.learning_curves(self.histories, strong=0) + html.table(str(self), ["fold", *names], rows)


@user_facing
def cross_validate(
    model: Sequential, x: Any, y: Any = None, folds: Any = 10, *, groups: Any = None, batch_size: int | None = None,
    epochs: int = 1, verbose: int | str = "auto", callbacks: Callbacks = None, shuffle: bool | Literal["batch"] = True,
    class_weight: ClassWeight = None, sample_weight: Any = None,
) -> CrossValidation:  # fmt: skip
    """Train a model like `model` for each fold, on the rows of the other folds, and evaluate it on the fold's own rows.

    The models share one compiled program, and each core trains one at a time. Each model is the same as after a `fit`
    of its own. This needs scikit-learn (`pip install scikit-learn`), which divides the rows into folds.

    >>> from lamina import Sequential, layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1)])
    >>> model.compile("adam", "mse", metrics=["mae"])
    >>> x = np.random.default_rng(0).normal(size=(60, 4))
    >>> found = cross_validate(model, x, x[:, 0], folds=5, epochs=2, verbose=0)
    >>> len(found.scores), sorted(found.mean), found.predictions.shape
    (5, ['loss', 'mae'], (60, 1))

    Args:
        model: a compiled Sequential; it is not changed.
        x: arrays or a frame with one row per sample. A FeatureSpace is adapted in each fold: its
            vocabularies to all rows, its means, medians and edges to the training rows.
        y: the targets.
        folds: the number of folds, a splitter of scikit-learn, or pairs of training rows and held-out rows. With a
            number, rows are assigned at random; if y is classes, each fold has equal shares of each class.
        groups: the group of each row; all rows of a group are in one fold.
        batch_size: rows per batch, 32 by default.
        epochs: the number of passes of each model over its rows.
        verbose: 0 silent, 1 a bar over the folds, 2 one line; with the means of the last epochs.
        callbacks: a `Callback`, or a list of them; each model gets a copy.
        shuffle: whether each epoch takes the rows in a new order.
        class_weight: a weight for each class.
        sample_weight: a weight for every row.

    Raises:
        StackError: the stack begins with a layer for raw data.
        MissingPackageError: scikit-learn is not installed.
    """
    if not isinstance(model, Sequential):
        raise ArgumentError(f"cross_validate takes a compiled Sequential, got {short(model)}.")
    require_compiled(model, "cross_validate")
    raw = raw_table(x) if takes_frames(model) else None
    if raw is None and model._lamina_on_host:
        raise StackError(
            f"{model.layers[0].name!r} turns raw data into numbers, and a cross-validation takes the numbers: "
            "call it on the data first, and leave it out of the stack."
        )
    if raw is None and is_stream(x):
        raise DataError(f"a cross-validation takes arrays; x is a {type(x).__name__}, a stream of batches.")
    before = model._lamina.classes
    with forgotten_on_error(model):
        request = numbers_of(model, DataRequest(x, y, class_weight=class_weight), learns=True)
    y, class_weight = request.y, cast(ClassWeight, request.class_weight)
    classes, model._lamina.classes = model._lamina.classes, before
    table = arrays(np.zeros((len(raw), 1)) if raw else x, y, sample_weight, floatx=floatx())
    cuts = list(_folds(model, table, folds, groups))
    models = [clone_model(model) for _ in cuts]
    for (rows, _), fold in zip(cuts, models, strict=True):
        fold._lamina.classes = classes
        if raw:
            adapt_on(fold, raw[rows], raw)
            build([fold], fold._lamina_host(raw[:1]).shape[1:])
    if not raw:
        build(models, table.x.shape[1:])
    told = [copy.deepcopy(callbacks) for _ in cuts]

    def part(rows: HostArray) -> list[Any]:
        inputs = raw[rows] if raw else table.x[rows]
        return [inputs, *(None if array is None else array[rows] for array in table[1:3])]

    scores: list[dict[str, float]] = [{} for _ in cuts]
    outputs: list[Any] = [None for _ in cuts]

    def fit(number: int) -> History:
        inputs, targets, weights = part(cuts[number][0])
        options: Any = {"shuffle": shuffle, "class_weight": class_weight, "sample_weight": weights, "verbose": 0}
        history = models[number].fit(inputs, targets, batch_size, epochs, callbacks=told[number], **options)
        inputs, targets, weights = part(cuts[number][1])
        options = {"sample_weight": weights, "verbose": 0, "return_dict": True}
        scores[number] = models[number].evaluate(inputs, targets, **options)
        outputs[number] = models[number].predict(inputs, verbose=0)
        return history

    histories = trained(models, fit, verbose, "fold")
    predictions = np.full((table.rows, *outputs[0].shape[1:]), np.nan, outputs[0].dtype)
    for (_, held), output in zip(cuts, outputs, strict=True):
        predictions[held] = output
    return CrossValidation(scores, predictions, models, histories, cuts)


def _folds(model: Sequential, table: Table, folds: Any, groups: Any) -> Iterator[tuple[HostArray, HostArray]]:
    """Yield the training rows and the held-out rows of each fold."""
    if not hasattr(folds, "split") and not hasattr(folds, "__index__"):
        for rows, held in folds:
            yield np.asarray(rows), np.asarray(held)
        return
    classes = _classes(model, table.y)
    if not hasattr(folds, "split"):
        folds = _splitter(int(folds), classes is not None, groups is not None, table.rows)
    yield from folds.split(np.zeros(table.rows), classes, groups)


def _splitter(folds: int, classes: bool, groups: bool, rows: int) -> Any:
    try:
        from sklearn import model_selection
    except ImportError:
        raise MissingPackageError("cross_validate needs scikit-learn: pip install scikit-learn.") from None
    if not 2 <= folds <= rows:
        raise ArgumentError(f"cross_validate(folds={folds}): expected a number from 2 to {rows}, the number of rows.")
    kind = f"{'Stratified' * classes}{'Group' * groups}KFold"
    return getattr(model_selection, kind)(folds, shuffle=True, random_state=next_seed())


def _classes(model: Sequential, y: HostArray | None) -> HostArray | None:
    """The class of each row, if the model is a classifier with one output or one column for each class; else None."""
    loss = type(model._lamina.compiled.loss).__name__ if model._lamina.compiled else ""
    if y is None or not loss.endswith(("Crossentropy", "Hinge")):
        return None
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1) if (y.sum(axis=1) == 1).all() else None
    flat = y.reshape(len(y)) if y.size == len(y) else None
    return flat if flat is not None and (flat == np.rint(flat)).all() else None
