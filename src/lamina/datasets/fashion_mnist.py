"""Images of clothes: 60,000 gray images for training and 10,000 for testing (Xiao, Rasul and Vollgraf 2017)."""

from __future__ import annotations

import gzip
import io
import os
import zlib

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._saving import guard
from lamina.datasets.files import FOLDER
from lamina.datasets.samples import Parts
from lamina.errors import FileError
from lamina.utils import get_file

__all__ = ["load_data"]

IMAGES, LABELS = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"
LARGEST = 60_000 * 28 * 28 + 16


@user_facing
def load_data() -> Parts:
    """Loads Fashion-MNIST as `(x_train, y_train), (x_test, y_test)`.

    The images are uint8 from 0 to 255, (60000, 28, 28) and (10000, 28, 28). The labels are uint8: 0 T-shirt/top,
    1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.

    Source: Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms".

    Raises:
        FileError: a file is not in the cache and cannot be downloaded.
    """
    train, test = ((_fetched(f"{part}-{IMAGES}"), _fetched(f"{part}-{LABELS}")) for part in ("train", "t10k"))
    return train, test


def _fetched(name: str) -> HostArray:
    path = get_file(name, FOLDER + name, cache_subdir=os.path.join("datasets", "fashion-mnist"))
    try:
        with gzip.open(io.BytesIO(guard.file_bytes(path))) as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"it holds more than {LARGEST:,} bytes")
        axes = data[3]
        shape = np.frombuffer(data, ">u4", axes, offset=4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
    except (OSError, EOFError, zlib.error, ValueError, IndexError) as error:
        raise FileError(f"{path!r} is damaged ({error}). Delete it, and it is downloaded again.") from error


public(__name__, __all__)
