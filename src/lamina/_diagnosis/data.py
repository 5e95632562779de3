"""The checks of the data. Each is a function from a case to its findings; `CHECKS` is the order of the checks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from lamina import losses
from lamina._arrays.arrays import HostArray
from lamina._diagnosis.case import Case
from lamina._diagnosis.findings import ROWS, Finding
from lamina._messages.spelling import listed
from lamina.layers.core import Dense, InputLayer
from lamina.layers.regularization import Dropout, GaussianNoise
from lamina.layers.reshaping import Flatten, Reshape
from lamina.losses.of_classes import OF_TWO

SAME_SCALE = InputLayer, Flatten, Reshape, Dropout, GaussianNoise
"""Layers that leave the scale of the columns as it is."""
ON_THE_SCALE_OF_Y = losses.MeanSquaredError, losses.MeanAbsoluteError, losses.Huber, losses.LogCosh
"""Losses that grow with the scale of y."""
SMALL = 2**18
"""`fit` compares the rows of the validation and the training data only if they have at most this many numbers."""

ALIKE = 10
"""Columns whose names differ only in numbers are not reported if there are more than this number of them."""


def label_in_a_column(case: Case) -> Iterator[Finding]:
    """Find a column of x that is the target, or from which the target follows."""
    sample = case.sample
    if not sample.is_table or sample.target is None:
        return
    found, strength = None, np.abs(sample.correlations)
    if sample.classes is not None:
        for column in _of_few_values(sample, int(sample.classes.max()) + 1, strength):
            share = agreement(sample.x[:, column], sample.classes)
            if share >= 0.99 and (share := agreement(case.x[:, column], case.classes)) >= 0.99:
                found = column, f"tells the class of {share:.1%} of the rows"
                break
    else:
        first, second = np.argsort(strength)[:-3:-1]
        if strength[first] > 0.99999 and strength[second] < 0.9:
            found = int(first), f"has a correlation of {sample.correlations[first]:.6f} with y"
    if found is not None:
        column, told = found
        name = case.name(column)
        found_here = f"{name} {told}: it is probably the label itself."
        yield Finding("label in x", name, found_here, f"Leave it out: {case.left_out(column)}.")


def _of_few_values(sample: Case, count: int, strength: HostArray) -> list[int]:
    """The columns whose values may correspond to the classes. Columns with too many values are left out."""
    if count == 2:
        return list(np.flatnonzero(strength > 0.8))
    values = 1 + (np.diff(np.sort(sample.x[:64], axis=0), axis=0) != 0).sum(0)
    return list(np.flatnonzero((values > 1) & (values <= count) & sample.whole)[:20])


def agreement(column: HostArray, classes: HostArray | None) -> float:
    """The share of rows whose class follows from the value in a column.

    It is 0 if the number of values differs from the number of classes, or if the column predicts the class hardly
    better than the most frequent class does.
    """
    assert classes is not None
    values, codes = np.unique(column, return_inverse=True)
    count = int(classes.max()) + 1
    if len(values) > 2 * count:
        return 0.0
    table = np.bincount(codes * count + classes, minlength=len(values) * count).reshape(len(values), count)
    frequent, told = table.sum(0), table.argmax(1)
    if len(values) != np.count_nonzero(frequent) or len(set(told.tolist())) != len(values):
        return 0.0
    share, constant = table.max(1).sum() / len(column), frequent.max() / len(column)
    return float(share) if 1 - share <= 0.1 * (1 - constant) else 0.0


def another_scale(case: Case) -> Iterator[Finding]:
    """Find a column with a much larger scale than the others that no layer normalizes before the first Dense."""
    sample = case.sample
    first = next((layer for layer in case.layers if not isinstance(layer, SAME_SCALE)), None)
    if not sample.is_table or not isinstance(first, Dense):
        return
    deviations = sample.deviations
    varying = deviations[deviations > 0]
    column = int(deviations.argmax())
    if not len(varying) or deviations[column] <= max(100 * np.median(varying), 10.0):
        return
    name = case.name(column)
    yield Finding(
        "scale of x", name,
        f"{name} has a standard deviation of {deviations[column]:,.4g}, and half of the columns have one of at most "
        f"{np.median(varying):,.4g}: it dominates the others.",
        "Put layers.BatchNormalization() first; or layers.Normalization(), adapted to the training rows.",
    )  # fmt: skip


def large_target(case: Case) -> Iterator[Finding]:
    """Find a target on a large scale that neither the loss nor the last layer takes into account."""
    y = case.sample.y
    if y is None or len(y) < ROWS or y.dtype.kind not in "iuf" or not isinstance(case.loss, ON_THE_SCALE_OF_Y):
        return
    last = case.layers[-1] if case.layers else None
    deviation, mean = float(y.std(dtype=np.float64)), float(y.mean(dtype=np.float64))
    if deviation <= 100 or not isinstance(last, Dense) or last.activation.__name__ not in ("linear", "relu"):
        return
    yield Finding(
        "scale of y", "y",
        f"y has a standard deviation of {deviation:,.4g}, and the last layer begins with outputs near 0.",
        f"End the stack with layers.Rescaling({deviation:.4g}, offset={mean:.4g}), or scale y and what you predict.",
    )  # fmt: skip


def useless_columns(case: Case) -> Iterator[Finding]:
    """Find named columns that are constant, equal to another column, or numbers of the rows."""
    if case.columns is None or not case.is_table:
        return
    yield from _few(case, "constant column", "is constant", "are constant", constant_columns(case))
    yield from _few(case, "copied column", "is a copy of another one", "are copies of others", duplicate_columns(case))
    yield from _few(case, "id", "numbers the rows", "number the rows", id_columns(case))


def _few(case: Case, check: str, does: str, do: str, columns: list[int]) -> Iterator[Finding]:
    """Make a finding about a few columns; none if they are more than 3 columns and more than a twentieth of all.

    Columns that belong to many numbered ones, such as the pixels at the edge of an image, are not reported.
    """
    alike = Counter(re.sub(r"\d+", "#", str(name)) for name in case.columns or ())
    columns = [column for column in columns if alike[re.sub(r"\d+", "#", str((case.columns or ())[column]))] <= ALIKE]
    if columns and not (len(columns) > 3 and len(columns) > 0.05 * case.whole.sum()):
        names = [(case.columns or ())[column] for column in columns]
        found = f"The column {names[0]!r} {does}." if len(names) == 1 else f"The columns {listed(names, 4)} {do}."
        yield Finding(check, f"x[{names[0]!r}]", found, f"Leave out what tells nothing: {case.left_out(*columns)}.")


def constant_columns(case: Case) -> list[int]:
    """The columns with one value in all rows."""
    suspects = np.flatnonzero((case.sample.deviations == 0) & case.whole).tolist()
    return [column for column in suspects if (case.x[:, column] == case.x[0, column]).all()]


def duplicate_columns(case: Case) -> list[int]:
    """The columns that are equal to an earlier column in all rows, and are not constant."""
    sample, seen, found = case.sample, dict[bytes, int](), []
    for column in np.flatnonzero((sample.deviations > 0) & case.whole).tolist():
        mark = sample.x[:256, column].tobytes()
        earlier = seen.setdefault(mark, column)
        if earlier != column and np.array_equal(case.x[:, earlier], case.x[:, column]):
            found.append(column)
    return found


def id_columns(case: Case) -> list[int]:
    """The columns that hold each whole number of a range once."""
    first, rows = case.x[:64], len(case.x)
    whole = (first == np.floor(first)).all(0) & (np.diff(np.sort(first, axis=0), axis=0) != 0).all(0)
    found = []
    for column in np.flatnonzero(whole & case.whole).tolist():
        values = np.sort(case.x[:, column].astype(np.float64))
        if values[-1] - values[0] == rows - 1 and (np.diff(values) == 1).all():
            found.append(column)
    return found


def shared_rows(case: Case) -> Iterator[Finding]:
    """Find rows of the validation data that are also in the training data, more than chance explains."""
    if case.held_out is None or len(case.x) < ROWS or case.held_out.shape[1:] != case.x.shape[1:]:
        return
    rows, held_out = (_as_bytes(x, case.x.dtype) for x in (case.x, case.held_out))
    different = set(rows)
    twins = 1 - len(different) / len(rows)
    share = sum(row in different for row in held_out) / len(held_out)
    if share > 3 * twins + 0.01:
        yield Finding(
            "shared rows", "validation_data",
            f"{share:.1%} of the validation rows are training rows too, but only {twins:.1%} of the training rows "
            "occur twice.",
            "The validation loss is too low then: drop duplicates before you split, x = x.drop_duplicates().",
        )  # fmt: skip


def _as_bytes(x: HostArray, dtype: np.dtype) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(x, dtype)]


def imbalance(case: Case) -> Iterator[Finding]:
    """Find classes of very different sizes if accuracy is the only metric."""
    classes = case.sample.classes
    measured = [name for name in case.metrics if name != "loss"]
    if classes is None or len(classes) < ROWS or case.weighted or not measured:
        return
    share = np.bincount(classes).max() / len(classes)
    if 0.95 <= share < 1 and all(name in ("acc", "accuracy") or name.endswith("_accuracy") for name in measured):
        rare = "metrics=['AUC']" if isinstance(case.loss, OF_TWO) else "metrics=['F1Score']"
        yield Finding(
            "imbalance", "y",
            f"{share:.1%} of the rows are of one class: if a model always predicts it, its accuracy is {share:.3f}.",
            f"Add a metric for the rare class, {rare}, and weigh the classes: fit(..., class_weight='balanced').",
        )  # fmt: skip


def ranks_the_classes(case: Case) -> Iterator[Finding]:
    """Find a column that separates two classes nearly perfectly. Only `model.check` does this.

    The area under the ROC curve is the share of the pairs with one row of each class that the column orders correctly.
    """
    classes = case.classes
    if not case.is_table or classes is None or classes.max() != 1:
        return
    many = np.bincount(classes)
    for column in np.flatnonzero(case.whole).tolist():
        _, codes, count = np.unique(case.x[:, column], return_inverse=True, return_counts=True)
        ranks = (np.cumsum(count) - (count - 1) / 2)[codes]  # of equal values the mean rank
        area = (ranks[classes == 1].sum() - many[1] * (many[1] + 1) / 2) / (many[0] * many[1])
        if max(area, 1 - area) > 0.999:
            name = case.name(column)
            found = f"{name} alone separates the classes, with an AUC of {max(area, 1 - area):.4f}."
            yield Finding("label in x", name, found, "Find out whether it is known before the label is.")


CHECKS = label_in_a_column, shared_rows, another_scale, large_target, imbalance, useless_columns


def findings(case: Case) -> Iterator[Finding]:
    """The findings of all checks, in their order."""
    told = set()
    for check in (*CHECKS, ranks_the_classes):
        for finding in check(case):
            if finding[:2] not in told:
                told.add(finding[:2])
                yield finding


def quick(case: Case) -> Iterator[Finding]:
    """The findings of the checks in `fit`. It compares rows only if the data are small."""
    for check in CHECKS:
        if check is not shared_rows or case.x.size <= SMALL:
            yield from check(case)
