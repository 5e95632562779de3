"""Reports on a model: the precision and the recall of each class, and the importance of each column."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina import _display as display
from lamina._arrays.arrays import HostArray
from lamina._data.classes import labels_of, numbered
from lamina._data.data_frames import is_frame, opened
from lamina._data.source import arrays
from lamina._display import plots
from lamina._display.frames import pandas_for
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, positive
from lamina._training.targets import class_numbers
from lamina.errors import ArgumentError, DataError, MissingPackageError
from lamina.models.sequential import Sequential

if TYPE_CHECKING:
    import pandas


class Report:
    """A table. `print` and notebooks show its rows, and `frame()` returns them as a frame of pandas."""

    def __init__(
        self, title: str, headings: Sequence[str], rows: Sequence[tuple[Any, ...]], notes: Iterable[str] = ()
    ) -> None:
        self.rows = [dict(zip(headings, row, strict=True)) for row in rows]
        """Each row as a dict by the headings."""
        self._lamina_shown = title, [*headings], [[display.html.shown(cell) for cell in row] for row in rows], [*notes]

    def frame(self) -> pandas.DataFrame:
        """The rows as a frame of pandas.

        Raises:
            MissingPackageError: without pandas.
        """
        made: pandas.DataFrame = pandas_for("frame", "rows").DataFrame(self.rows)
        return made

    def __repr__(self) -> str:
        return display.tables.text(*self._lamina_shown)

    def _repr_html_(self) -> str:
        return display.html.table(*self._lamina_shown)


class ClassificationReport(Report):
    """The result of `classification_report`, with `rows`, `confusion` and `accuracy`."""

    def __init__(self, names: Sequence[str], confusion: HostArray) -> None:
        self.confusion = confusion
        """The number of rows of each class (down) that were predicted as each class (across).  (classes, classes)"""
        right, told, there = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
        self.accuracy = float(right.sum() / confusion.sum())
        """The share of the rows whose class was predicted."""
        rates = [np.divide(right, many, out=np.zeros(len(names)), where=many > 0) for many in (told, there)]
        both = told + there
        f1 = np.divide(2 * right, both, out=np.zeros(len(names)), where=both > 0)
        columns = (each.tolist() for each in (*rates, f1, there, confusion))
        rows = [(name, *numbers, *counts) for name, *numbers, counts in zip(names, *columns, strict=True)]
        headings = ("class", "precision", "recall", "f1", "rows", *(f"as {name}" for name in names))
        title = f"{confusion.sum():,} rows, accuracy {self.accuracy:.4f}"
        super().__init__(title, headings, rows)


@user_facing
def classification_report(
    model: Sequential, x: Any, y: Any, to_file: str | os.PathLike[str] | None = None
) -> ClassificationReport:
    """Measure the precision, the recall and F1 of each class, and how often each class is predicted as each other one.

    Precision is the share of correct rows among the rows predicted as the class. Recall is the share of correct rows
    among the rows of the class. F1 is `2 * precision * recall / (precision + recall)`, and 0 if both are 0.

    >>> from lamina import layers
    >>> model = Sequential([layers.Dense(1, activation="sigmoid")])
    >>> model.compile("adam", "binary_crossentropy")
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> y = np.where(x[:, 0] > 0, "high", "low")
    >>> _ = model.fit(x, y, verbose=0)
    >>> report = classification_report(model, x, y)
    >>> report.confusion.sum(), [row["class"] for row in report.rows]
    (np.int64(40), ['high', 'low'])

    Args:
        model: a Sequential with one output for two classes, or one for each class.
        x: the inputs.
        y: the classes: names as in `fit`, numbers, or one-hot rows.
        to_file: where to save a picture of the confusion matrix; its ending decides the format. It needs matplotlib.

    Raises:
        DataError: y does not hold one class for each row.
    """
    output = model.predict(x, verbose=0)
    numbers, count = class_numbers(model, output).reshape(-1), max(output.shape[-1], 2)
    truth = _numbers(model, y)
    if len(truth) != len(numbers):
        raise DataError(f"x has {len(numbers)} rows and y has {len(truth)} classes: y has one class for each row.")
    if truth.min() < 0 or truth.max() >= count:
        raise DataError(f"y has classes from {truth.min()} to {truth.max()}, and the model has 0 to {count - 1}.")
    confusion = np.bincount(truth * count + numbers, minlength=count * count).reshape(count, count)
    known = model.classes_ or ()
    names = [str(known[number]) if number < len(known) else str(number) for number in range(count)]
    if to_file is not None:
        _draw(names, confusion, to_file)
    return ClassificationReport(names, confusion)


def _numbers(model: Sequential, y: Any) -> HostArray:
    """The number of the class of each row of y.  (rows,)"""
    labels = labels_of(y)
    if labels is not None and model.classes_ is not None:
        return numbered(labels, model.classes_).astype(np.int64)
    array = arrays(y, names=("y", "y")).x
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(1)
    flat = np.rint(array.reshape(len(array), -1)[:, 0]).astype(np.int64)
    if array.size != len(array) or (flat != array.reshape(-1)).any():
        raise DataError(f"y has the shape {array.shape} and {array.dtype.name}s; expected one class for each row.")
    return flat


def _draw(names: Sequence[str], confusion: HostArray, to_file: str | os.PathLike[str]) -> None:
    """Save a picture of the confusion matrix. Colours show the shares of each row, and each cell has its number."""
    figure = plots.figure_class()(figsize=(1.2 + 0.9 * len(names), 1 + 0.8 * len(names)), dpi=150)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for down, across in np.ndindex(confusion.shape):
        colour = "white" if shares[down, across] > 0.5 else plots.INK
        axes.text(across, down, f"{confusion[down, across]:,}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(names)), names, rotation=30 if max(map(len, names)) > 6 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    plots.save(figure, to_file)


@user_facing
def permutation_importance(
    model: Sequential, x: Any, y: Any, n_repeats: int = 5, random_state: int | None = None
) -> Report:
    """Measure the importance of each column: the rise of the loss when its values are shuffled among the rows.

    A column that the model does not use has an importance of about 0. Use rows on which the model was not trained.
    It needs scikit-learn: `pip install scikit-learn`. Source: Breiman, 2001, Random Forests.

    >>> from lamina import layers
    >>> model = Sequential([layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> _ = model.fit(x, 3 * x[:, 0], epochs=2, verbose=0)
    >>> sorted(row["column"] for row in permutation_importance(model, x, 3 * x[:, 0]).rows)
    ['0', '1']

    Args:
        model: a compiled Sequential.
        x: a frame or an array with columns.
        y: the targets.
        n_repeats: the number of times that each column is shuffled.
        random_state: the seed of the shuffling; None draws a new one for each call.

    Returns:
        A report with a row for each column, the most important first: the mean and the deviation of the rise.
    """
    try:
        from sklearn.inspection import permutation_importance as measured
    except ImportError:
        raise MissingPackageError("permutation_importance needs scikit-learn: pip install scikit-learn.") from None
    count = checked("permutation_importance", "n_repeats", positive, n_repeats)
    table = opened(x, "x").to_pandas() if is_frame(x) else arrays(x).x
    if np.ndim(table) != 2:
        raise ArgumentError(f"permutation_importance shuffles columns, and x has the shape {np.shape(table)}.")

    def negative_loss(model: Sequential, x: Any, y: Any) -> float:
        return -float(model.evaluate(x, y, verbose=0, return_dict=True)["loss"])

    found = measured(model, table, y, scoring=negative_loss, n_repeats=count, random_state=random_state)
    names = [str(name) for name in getattr(table, "columns", range(table.shape[1]))]
    rows = list(zip(names, found.importances_mean.tolist(), found.importances_std.tolist(), strict=True))
    return Report("Rise of the loss", ("column", "importance", "deviation"), sorted(rows, key=lambda row: -row[1]))
