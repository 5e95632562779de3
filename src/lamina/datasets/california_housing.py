"""Prices of houses in California: 20,640 block groups of the census of 1990 (Pace and Barry 1997)."""

from __future__ import annotations

from typing import Literal

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, one_of
from lamina.datasets.files import arrays_in, fetched
from lamina.datasets.samples import Parts, chance, share, shuffled, split

__all__ = ["load_data"]

SMALL = 600


@user_facing
def load_data(
    version: Literal["large", "small"] = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int | None = 113,
) -> Parts:
    """Loads the California data as `(x_train, y_train), (x_test, y_test)`: (rows, 8) and the prices in dollars.

    The columns are those of StatLib's file. The target is the median price of each block group.

    Source: Pace and Barry 1997, "Sparse spatial autoregressions".

    Args:
        version: "large" for all 20,640 rows, "small" for the first 600 rows.
        path: the name of the file in the cache, `~/.keras/datasets`.
        test_split: the fraction of the rows that is the test set.
        seed: the seed of the order of the rows.

    Raises:
        FileError: the file is not in the cache and cannot be downloaded.
    """
    rows = {"large": None, "small": SMALL}[checked("load_data", "version", one_of("large", "small"), version)]
    random, part = chance(seed), share(test_split)
    held = fetched(
        path, "california_housing.npz", "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f", arrays_in
    )
    return split(*shuffled(held["x"][:rows], held["y"][:rows], random), part)


public(__name__, __all__)
