"""Refuses a frame whose columns have another order than in training, which would silently swap them."""

from __future__ import annotations

from lamina._data.data_frames import Columns
from lamina._messages.tracebacks import warn
from lamina.errors import DataError

Names = tuple[str, ...]


def named(columns: Names | None) -> Names | None:
    """Return the columns if they have names; None if they only have numbers, as in `pandas.DataFrame(array)`."""
    return None if columns is None or columns == tuple(map(str, range(len(columns)))) else tuple(columns)


def as_trained(columns: Columns | None, trained: Names | None, name: str = "x") -> None:
    """Compare the columns of a frame with those of the training data, if both have names.

    Raises:
        DataError: the columns are the same, but in another order. If the names differ, there is a warning.
    """
    if columns is None or trained is None or named(columns) in (None, trained):
        return
    missing = [repr(column) for column in trained if column not in columns]
    if missing:
        unknown = [repr(column) for column in columns if column not in trained]
        others = f", and has {_some(unknown)} in place of them" if unknown else ""
        warn(f"{name} lacks the columns {_some(missing)} that the model was trained on{others}.")
        return
    place = next(at for at, column in enumerate(columns) if at >= len(trained) or column != trained[at])
    was = f"{trained[place]!r} was" if place < len(trained) else "none was"
    wanted = repr(list(trained)) if len(trained) <= 8 else "list(x_train.columns)"
    raise DataError(
        f"the columns of {name} are in another order than in fit: column {place} is "
        f"{columns[place]!r}, where {was}.\nSelect them by name: {name.split()[-1]} = {columns.select.format(wanted)}."
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + ", ..." * (len(names) > 8)
