"""Small color images of 10 classes: 50,000 for training and 10,000 for testing (Krizhevsky 2009)."""

from __future__ import annotations

import numpy as np

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.datasets.cifar import rows, unpacked
from lamina.datasets.samples import Parts

__all__ = ["load_data"]


@user_facing
def load_data() -> Parts:
    """Loads CIFAR-10 as `(x_train, y_train), (x_test, y_test)`.

    The images are uint8 from 0 to 255, (50000, 32, 32, 3) and (10000, 32, 32, 3). The labels are uint8, (50000, 1) and
    (10000, 1): 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".

    Raises:
        FileError: the archive is not in the cache and cannot be downloaded.
    """
    archive, sha256 = "cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    folder = unpacked(archive, "cifar-10-batches-py", sha256)
    parts = (rows(folder, files) for files in ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"]))
    train, test = ((x, y.astype(np.uint8)) for x, y in parts)
    return train, test


public(__name__, __all__)
