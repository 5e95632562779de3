"""Code shared by CIFAR-10 and CIFAR-100: reading pickles of images with the channels first."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from lamina._saving import guard
from lamina.config import image_data_format
from lamina.datasets.pickles import unpickled
from lamina.datasets.samples import Rows
from lamina.utils import get_file

FOLDER = "https://www.cs.toronto.edu/~kriz/"


def unpacked(archive: str, folder: str, file_hash: str) -> str:
    """The path of a folder in an archive, which is downloaded and unpacked if needed."""
    place = get_file(f"{folder}-target", FOLDER + archive, extract=True, file_hash=file_hash)
    return os.path.join(place, folder)


def rows(folder: str, files: list[str], labels: str = "labels") -> Rows:
    """Images (rows, 32, 32, 3), or with the channels first if `image_data_format` says so; labels (rows, 1), int64."""
    images, classes = [], []
    for name in files:
        held = unpickled(guard.file_bytes(path := os.path.join(folder, name)))
        if not _is_batch(held, labels.encode()):
            raise guard.refused(path, "it holds no images and labels.", "Delete the folder, and it is unpacked again.")
        images.append(held[b"data"])
        classes.append(held[labels.encode()])
    x = np.concatenate(images).reshape(-1, 3, 32, 32)
    if image_data_format() == "channels_last":
        x = x.transpose(0, 2, 3, 1)
    return x, np.concatenate(classes).reshape(-1, 1)


def _is_batch(held: Any, labels: bytes) -> bool:
    """Whether the values are an array with one image in each row, and a list of as many numbers."""
    match held:
        case {b"data": np.ndarray(dtype=np.uint8, shape=(rows, 3072))}:
            numbers = held.get(labels)
            return type(numbers) is list and len(numbers) == rows and set(map(type, numbers)) <= {int}
    return False
