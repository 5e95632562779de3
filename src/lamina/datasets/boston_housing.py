"""Prices of houses in and around Boston: 506 places with 13 numbers each (Harrison and Rubinfeld 1978)."""

from __future__ import annotations

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.datasets.files import arrays_in, fetched
from lamina.datasets.samples import Parts, chance, share, shuffled, split

__all__ = ["load_data"]


@user_facing
def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int | None = 113) -> Parts:
    """Loads the Boston data as `(x_train, y_train), (x_test, y_test)`: (rows, 13) and the prices in 1,000 dollars.

    One of the 13 numbers, "B", assumes that the skin color of a place's people sets its prices. The data is an example
    of how not to collect data; to learn from data, use `california_housing`.

    Source: Harrison and Rubinfeld 1978, "Hedonic housing prices and the demand for clean air".

    Args:
        path: the name of the file in the cache, `~/.keras/datasets`.
        test_split: the fraction of the rows that is the test set.
        seed: the seed of the order of the rows.

    Raises:
        FileError: the file is not in the cache and cannot be downloaded.
    """
    random, part = chance(seed), share(test_split)
    held = fetched(
        path, "boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5", arrays_in
    )
    return split(*shuffled(held["x"], held["y"], random), part)


public(__name__, __all__)
