"""Handwritten digits: 60,000 gray images for training and 10,000 for testing (LeCun, Cortes and Burges 1998)."""

from __future__ import annotations

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.datasets.files import arrays_in, fetched
from lamina.datasets.samples import Parts

__all__ = ["load_data"]


@user_facing
def load_data(path: str = "mnist.npz") -> Parts:
    """Loads MNIST as `(x_train, y_train), (x_test, y_test)`.

    The images are uint8 from 0 to 255, (60000, 28, 28) and (10000, 28, 28); the labels are the digits, uint8.

    Source: LeCun, Cortes and Burges 1998, "The MNIST database of handwritten digits".

    Args:
        path: the name of the file in the cache, `~/.keras/datasets`.

    Raises:
        FileError: the file is not in the cache and cannot be downloaded.
    """
    held = fetched(path, "mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1", arrays_in)
    return (held["x_train"], held["y_train"]), (held["x_test"], held["y_test"])


public(__name__, __all__)
