"""Small color images of 100 classes: 50,000 for training and 10,000 for testing (Krizhevsky 2009)."""

from __future__ import annotations

from typing import Literal

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, one_of
from lamina.datasets.cifar import rows, unpacked
from lamina.datasets.samples import Parts

__all__ = ["load_data"]


@user_facing
def load_data(label_mode: Literal["fine", "coarse"] = "fine") -> Parts:
    """Loads CIFAR-100 as `(x_train, y_train), (x_test, y_test)`.

    The images are uint8 from 0 to 255, (50000, 32, 32, 3) and (10000, 32, 32, 3); the labels are int64, (50000, 1) and
    (10000, 1).

    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".

    Args:
        label_mode: "fine" for the 100 classes, "coarse" for the 20 groups of classes.

    Raises:
        FileError: the archive is not in the cache and cannot be downloaded.
    """
    labels = f"{checked('load_data', 'label_mode', one_of('fine', 'coarse'), label_mode)}_labels"
    archive, sha256 = "cifar-100-python.tar.gz", "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
    folder = unpacked(archive, "cifar-100-python", sha256)
    return rows(folder, ["train"], labels), rows(folder, ["test"], labels)


public(__name__, __all__)
