"""Refuses NaN and infinity in the data, which would make the loss NaN."""

from __future__ import annotations

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.data_frames import Columns
from lamina._data.source import Table
from lamina.errors import DataError, LabelError


def finite(table: Table, rows: HostArray | None = None) -> None:
    """Raise a `DataError` with the position of the first NaN or infinity; `rows` are the numbers of the rows of x."""
    for name, array in (("x", table.x), ("y", table.y), ("sample_weight", table.sample_weight)):
        if array is None or array.dtype.kind in "biu":
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(
                array.sum()
            ):  # any NaN makes the sum NaN. A sum can also overflow, so each value is checked below
                continue
        bad = ~np.isfinite(array)
        if bad.any():
            raise _found(name, array, bad, table.columns if name == "x" else None, rows)


def _found(
    name: str, array: HostArray, bad: HostArray, columns: Columns | None, numbers: HostArray | None
) -> DataError:
    first = np.unravel_index(int(bad.argmax()), bad.shape)
    value = array[first]
    if numbers is not None:
        first = (numbers[first[0]], *first[1:])
    kind = "NaN" if np.isnan(value) else str(value)
    rows = int(bad.reshape(len(bad), -1).any(axis=1).sum())
    where = f"{name}[{', '.join(map(str, first))}]"
    spread = ""
    if columns or array.ndim == 2:
        held = np.flatnonzero(bad.any(axis=0))
        names = [repr(columns[i]) if columns else str(i) for i in held]
        spread = f", in column{'s' * (len(names) > 1)} {', '.join(names[:8])}{', ...' * (len(names) > 8)}"
    among = f"{len(array)} rows" + (" that were read with it" if numbers is not None else "")
    many = f"{rows} of {among} hold NaN or infinity{spread}"
    if kind != "NaN":
        advice = "An infinity comes from a division by 0, a log of 0, or a number beyond the dtype's range."
    elif name != "x":
        advice = f"Drop these rows: keep = ~numpy.isnan({name}); x, y = x[keep], y[keep]."
    elif columns:
        advice = (
            "Let the first layer fill the gaps: keras.utils.FeatureSpace.from_frame(x); or drop the rows, also from y."
        )
    else:
        advice = "Fill the gaps: x = sklearn.impute.SimpleImputer().fit_transform(x), or numpy.nan_to_num(x)."
    return (DataError if name == "x" else LabelError)(f"{where} is {kind}; {many}.\n{advice}")
